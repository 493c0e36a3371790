"""The report of the night as people see it: terminal and page."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rich.console import Console

from monitoring.night import NightReport, build_night_report
from monitoring.night_figures import forecast_figure, latency_figure, path_figures
from monitoring.night_html import render_html, write_html
from monitoring.night_model import MinuteFigures
from monitoring.night_text import SHOWN_MINUTES, minute_words, print_night, signed
from monitoring.rows import MinuteRow
from tests.unit.monitoring.nights import forecast_game, hops, missed_game, night


@pytest.fixture(scope="module")
def report() -> NightReport:
    games = (forecast_game(1), forecast_game(2, actual=20, covered=False), missed_game(3))
    return build_night_report(night(*games, hop_rows=(hops(1), hops(2))))


def shown(report: NightReport, width: int = 140) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_night(report, console)
    return console.export_text()


def test_terminal_shows_every_game_and_total(report: NightReport) -> None:
    text = shown(report)
    assert text.count("PHX at BOS") == 2
    assert "missed: the predictor was down until the half" in text
    assert "3: 2 forecast, 1 missed, 0 void, 0 undecided" in text
    assert "1 of 2 = 50.0%" in text
    assert "feed to queue" in text


def test_figures_by_minute_are_on_the_page_and_a_few_of_them_on_the_terminal() -> None:
    minutes = tuple(MinuteRow(minute, 9, 8, 7.25, 7.5, 9.0, 10.0, 0.19, 0.875, 31.5) for minute in range(24))
    report = build_night_report(replace(night(forecast_game()), minutes=minutes))
    text, page = shown(report), render_html(report)
    cells = ("9", "7 of 8", "31.5", "7.25 / 7.50", "9.00 / 10.00", "+19.0%")
    assert len(re.findall(r"\s+".join((r"\d+", *map(re.escape, cells))), text)) == len(SHOWN_MINUTES)
    for minute in range(24):
        assert "".join(f"<td>{cell}</td>" for cell in (str(minute), *cells)) in page


def test_figures_by_minute_fit_a_terminal_of_eighty_columns() -> None:
    minutes = tuple(MinuteRow(minute, 15, 15, 10.25, 10.5, 13.25, 13.5, -0.123, 1.0, 101.5) for minute in range(24))
    text = shown(build_night_report(replace(night(forecast_game()), minutes=minutes)), width=80)
    assert re.search(r"18 +15 +15 of 15 +101\.5 +10\.25 / 10\.50 +13\.25 / 13\.50 +-12\.3%", text)


def test_a_minute_without_settled_games_has_dashes() -> None:
    assert minute_words(MinuteFigures(**asdict(MinuteRow(3, 2, 0, *[None] * 7)))) == (
        "3", "2", "-", "-", "-", "-", "-",
    )  # fmt: skip


def test_terminal_says_simulated_league() -> None:
    assert "simulated league" in shown(build_night_report(night(forecast_game(), source="simulated")))


def test_unknown_is_a_dash_and_zero_has_no_sign() -> None:
    assert [signed(None), signed(0.0), signed(-0.04), signed(3.25), signed(-2.0, 0)] == [
        "-",
        "0.0",
        "0.0",
        "+3.2",
        "-2",
    ]


def test_page_is_self_contained_and_small(report: NightReport) -> None:
    page = render_html(report)
    assert len(page.encode()) < 6_000_000
    own = page[: page.index("<script>")]
    assert "default-src 'none'" in own
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", own)
    assert not re.search(r"<(link|img|iframe)\b", own)
    assert page.count("</script>") == 3


def test_page_names_the_simulated_league() -> None:
    page = render_html(build_night_report(night(forecast_game(), source="simulated")))
    assert '<span class="badge simulated">simulated league</span>' in page


def test_page_escapes_what_came_from_outside() -> None:
    game = missed_game(reason="<script>alert(1)</script>", home="</title>")
    page = render_html(build_night_report(night(game, forecast_game(home="</script><b>"))))
    assert "<script>alert(1)" not in page
    assert "</title>-" not in page
    assert "</script><b>" not in page


def test_page_of_an_empty_night_says_so() -> None:
    page = render_html(build_night_report(night()))
    assert "No game was forecast." in page
    assert "No hop was measured." in page
    assert "No margin path is known." in page


def test_figures_in_the_page_are_json(report: NightReport) -> None:
    page = render_html(report)
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page)
    assert found
    figures = json.loads(found[1])
    assert set(figures) == {"forecasts", "latency", "path-0", "path-1"}


def test_page_replaces_an_older_one_whole(report: NightReport, tmp_path: Path) -> None:
    path = write_html(report, tmp_path / "reports" / "night.html")
    write_html(report, path)
    assert [found.name for found in path.parent.iterdir()] == ["night.html"]
    assert path.read_text(encoding="utf-8") == render_html(report)


def test_missed_interval_has_its_own_mark(report: NightReport) -> None:
    figure = forecast_figure(report)
    assert figure
    names = [trace["name"] for trace in figure["data"]]
    assert names == ["95% interval", "interval that missed", "persistence", "forecast", "outcome", "outcome outside"]


def test_path_figures_start_at_nought_and_share_a_scale(report: NightReport) -> None:
    figures = [figure for _, figure in path_figures(report)]
    assert len(figures) == 2
    assert all(figure["data"][0]["y"][0] == 0 and len(figure["data"][0]["y"]) == 25 for figure in figures)
    assert len({tuple(figure["layout"]["yaxis"]["range"]) for figure in figures}) == 1


def test_latency_figure_leaves_out_hops_not_measured(report: NightReport) -> None:
    figure = latency_figure(report)
    assert figure
    assert figure["data"][0]["y"] == ["feed to queue", "queue to forecast", "forecast to committed"]
