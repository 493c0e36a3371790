"""One forecast's whole way from rows and lines: every step that was kept, none that was not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from rich.console import Console

from monitoring.journey import STEPS, Heard, JourneyRow, build_journey
from monitoring.journey_views import journey_card, journey_figure, notes, render_journey
from monitoring.night import build_night_report
from monitoring.night_html import render_html
from monitoring.page_parts import Figure
from tests.unit.monitoring.nights import TIP, forecast_game, hops, night


def after(ms: float) -> Any:
    return TIP + timedelta(milliseconds=ms)


ROW = JourneyRow(
    game_id="0022200701", home="BOS", away="PHX", source="live", league_date=date(2023, 2, 3), minute=18, revision=0,
    trace_id="a" * 32, request_id="live:0022200701:18:0:abc", model_version="3", point=4.5, elapsed_s=1083.0,
    played_at=after(-4000), polled_at=after(0), queued_at=after(40), asked_at=after(55), answered_at=after(65),
    committed_at=after(70), settled_at=after(900_000),
)  # fmt: skip
HEARD = Heard(
    taken_at=after(45), made_at=after(62), told_at=after(75), broadcast_at=after(80), received_at=after(82.5)
)  # fmt: skip


def shown(row: JourneyRow, heard: Heard | None = None, width: int = 140) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(render_journey(build_journey(row, heard)))
    return console.export_text()


def test_a_way_of_which_everything_was_kept_has_every_step_and_gap() -> None:
    journey = build_journey(ROW, HEARD)
    assert [step.name for step in journey.steps] == list(STEPS)
    assert [step.gap_ms for step in journey.steps] == [
        None, 4000.0, 40.0, 5.0, 10.0, 7.0, 3.0, 5.0, 5.0, 5.0, 2.5, 899_917.5,
    ]  # fmt: skip
    assert (journey.total_ms, journey.missing) == (82.5, ())


def test_steps_without_a_record_are_named_and_the_gap_goes_over_them() -> None:
    journey = build_journey(replace(ROW, settled_at=None))
    assert journey.missing == ("taken", "made", "told", "broadcast", "received", "settled")
    gaps = {step.name: step.gap_ms for step in journey.steps}
    assert gaps == {"played": None, "polled": 4000, "queued": 40, "asked": 15, "answered": 10, "committed": 5}
    assert journey.total_ms == 70.0
    assert "No record was found of: taken, made, told, broadcast, received, settled." in notes(journey)


def test_a_replays_plays_are_on_a_clock_of_their_own() -> None:
    [played, polled, *_] = build_journey(replace(ROW, source="recorded")).steps
    assert (played.clock, played.gap_ms, polled.clock, polled.gap_ms) == ("feed", None, "wall", None)


def test_without_the_poll_there_is_no_total() -> None:
    journey = build_journey(replace(ROW, polled_at=None, queued_at=None, played_at=None), HEARD)
    assert journey.total_ms is None
    assert journey.steps[0].name == "taken"


def test_an_answer_that_was_kept_is_older_than_its_request_and_said_to_be() -> None:
    journey = build_journey(replace(ROW, asked_at=after(-60_000)), HEARD)
    assert [step.gap_ms for step in journey.steps if step.name == "asked"] == [-60_045.0]
    assert any("had kept" in note for note in notes(journey))
    assert journey.total_ms == 82.5
    assert shown(replace(ROW, asked_at=after(-60_000)), HEARD)


def test_a_terminal_shows_each_step_with_its_time_and_gap() -> None:
    text = shown(ROW, HEARD)
    assert "PHX at BOS (0022200701), minute 18, forecast +4.5: 82.5 ms from the poll to the last step" in text
    for name in STEPS:
        assert f"\n{name}" in text
    assert "00:40:00.040" in text
    assert "a" * 32 in text
    bars = [line.index("●") for line in text.splitlines() if "●" in line]
    assert len(bars) == len(STEPS) - 2
    assert bars == sorted(bars)


def test_the_json_of_a_way_is_plain() -> None:
    body = json.loads(json.dumps(build_journey(ROW, HEARD).model_dump(mode="json")))
    assert body["steps"][1] == {
        "name": "polled", "at": "2023-02-04T00:40:00Z", "gap_ms": 4000.0, "clock": "wall", "known_from": "forecasts",
    }  # fmt: skip


def test_bars_follow_each_other_from_the_poll_on() -> None:
    [bars] = journey_figure(build_journey(ROW, HEARD))["data"]
    assert bars["y"][0] == "polled"
    assert "settled" not in bars["y"]
    ends = [base + length for base, length in zip(bars["base"], bars["x"], strict=True)]
    assert bars["base"][1:] == ends[:-1]
    assert ends[-1] == 82.5


def test_the_nights_page_shows_its_slowest_official_forecast() -> None:
    rows = replace(night(forecast_game(), hop_rows=(hops(),)), slowest=replace(ROW, home="<b>"))
    report = build_night_report(rows, {(ROW.game_id, 0): after(82.5)})
    assert report.slowest is not None
    assert report.slowest.total_ms == 82.5
    page = render_html(report)
    assert "PHX at &lt;b&gt; (0022200701), minute 18, forecast +4.5: 82.5 ms" in page
    assert "<td>received</td>" in page
    assert "No record was found of: taken, made, told, broadcast." in page
    assert '<div id="journey"></div>' in page


def test_a_night_without_polls_says_that_there_is_no_way_to_show() -> None:
    figures: dict[str, Figure] = {}
    assert "No official forecast" in journey_card(None, "journey", figures)
    assert not figures
    assert build_night_report(night(forecast_game())).slowest is None
