"""Reports made from a real database and stored in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from models.game import Status
from monitoring.night import build_night_report
from monitoring.queries import SlateError, latest_report, night_rows
from monitoring.report_frames import settled_frame
from monitoring.report_rows import judged_rows
from monitoring.reports import KIND, build_evidently_report
from monitoring.standing import reading
from services.database import StoreError
from services.store import Store
from tests.support.settled_night import NIGHT, add_forecast, add_game, add_outcome, add_shadow, add_tick, game_id


def a_night(store: Store) -> None:
    """Six games: settled, revised and settled, not settled, missed with an outcome, void, undecided."""
    for number in range(6):
        add_game(store, number)
    add_tick(store, 0, period=2, t=1440.0, ended=True)
    add_forecast(store, 0)
    add_outcome(store, 0, 6, state="provisional")
    add_outcome(store, 0, 6)
    add_forecast(store, 1)
    add_forecast(store, 1, revision=1, pattern=(1,) * 17 + (2,), point=2.5)
    add_outcome(store, 1, -20)
    add_forecast(store, 2)
    store.record_missed(game_id(3), "the predictor was down")
    add_outcome(store, 3, 3)
    store.record_void(game_id(4), "postponed")


def test_the_night_is_read_as_it_stands(store: Store) -> None:
    a_night(store)
    report = build_night_report(night_rows(store.engine, NIGHT))
    assert report.source == "recorded"
    assert report.totals.model_dump() == {
        "games": 6, "forecast": 3, "missed": 1, "void": 1, "undecided": 1, "settled": 2, "revised": 1, "duplicates": 0,
    }  # fmt: skip
    first, second, third, fourth, *_ = report.games
    assert (first.point, first.actual, first.actual_revision, first.covered, first.error) == (4.5, 6, 1, True, 1.5)
    assert first.path == (4,) * 24
    assert (second.revision, second.point, second.persistence, second.covered) == (1, 2.5, 2.0, False)
    assert (third.actual, third.error) == (None, None)
    assert (fourth.disposition, fourth.reason, fourth.actual, fourth.error) == (
        "missed", "the predictor was down", 3, None,
    )  # fmt: skip
    assert report.model.version == "3"
    assert report.coverage == 0.5
    assert report.latency_ms.feed_to_queue.p50 == pytest.approx(40.0)
    assert report.latency_ms.queue_to_forecast.p50 == pytest.approx(25.0)
    assert report.latency_ms.feed_to_queue.n == 4
    assert report.latency_ms.forecast_to_commit.p50 is not None
    assert report.latency_ms.feed_to_client.p50 is None


def test_the_figures_of_each_minute_stand_beside_the_official_ones_and_do_not_mix(store: Store) -> None:
    a_night(store)
    before = build_night_report(night_rows(store.engine, NIGHT))
    assert [(row.minute, row.forecasts, row.settled) for row in before.by_minute] == [(18, 3, 2)]
    add_forecast(store, 5, pattern=())
    add_forecast(store, 5, pattern=(3,), point=20.0)
    add_outcome(store, 5, 5)
    add_forecast(store, 2, pattern=(2,))
    after = build_night_report(night_rows(store.engine, NIGHT))
    kept = {"by_minute", "games"}
    assert after.model_dump(exclude=kept) == before.model_dump(exclude=kept)
    first, second, official = (row.model_dump() for row in after.by_minute)
    assert first == {
        "minute": 0, "forecasts": 1, "settled": 1, "mae": 0.5, "mae_persistence": 5.0, "rmse": 0.5,
        "rmse_persistence": 5.0, "skill": 0.99, "coverage": 1.0, "mean_width": 23.0,
    }  # fmt: skip
    assert second == {
        "minute": 1, "forecasts": 2, "settled": 1, "mae": 15.0, "mae_persistence": 2.0, "rmse": 15.0,
        "rmse_persistence": 2.0, "skill": -55.25, "coverage": 0.0, "mean_width": 23.0,
    }  # fmt: skip
    assert official == before.by_minute[0].model_dump()


def test_reading_the_same_night_twice_gives_the_same_report(store: Store) -> None:
    a_night(store)
    assert build_night_report(night_rows(store.engine, NIGHT)) == build_night_report(night_rows(store.engine, NIGHT))


def test_a_revision_that_changed_nothing_counts_as_duplicate(store: Store) -> None:
    add_game(store, 0)
    add_forecast(store, 0)
    add_forecast(store, 0, revision=1)
    assert night_rows(store.engine, NIGHT).duplicates == 1


def test_shadows_change_nothing_in_the_report_of_a_night_and_are_no_duplicates(store: Store) -> None:
    a_night(store)
    before = build_night_report(night_rows(store.engine, NIGHT))
    assert before.totals.duplicates == 0
    add_shadow(store, 0)
    # Each beside the other revision's pattern: next to the champion's they would look like revisions of nothing.
    add_shadow(store, 1, revision=0, pattern=(1,) * 17 + (2,))
    add_shadow(store, 1, revision=1)
    for number in (0, 1):
        store.settle(game_id(number))
    assert store.unsettled_shadows() == []
    assert build_night_report(night_rows(store.engine, NIGHT)) == before
    assert len(judged_rows(store.engine, "recorded", NIGHT, NIGHT)) == 2


def test_an_outcome_corrected_after_settlement_is_unsettled_until_settled_again(store: Store) -> None:
    add_game(store, 0)
    add_forecast(store, 0)
    add_outcome(store, 0, 6)
    store.record_actual(game_id(0), 8, 58, 50, state="final", source="review")
    game = build_night_report(night_rows(store.engine, NIGHT)).games[0]
    assert (game.actual, game.covered, game.error) == (8, None, None)
    store.settle(game_id(0))
    assert build_night_report(night_rows(store.engine, NIGHT)).games[0].error == 3.5


def test_a_date_without_games_is_refused_with_what_to_do(store: Store) -> None:
    with pytest.raises(SlateError, match="no games on 2023-02-03: load history or replay"):
        night_rows(store.engine, NIGHT)


def test_two_leagues_on_one_date_are_told_apart_by_what_was_played(store: Store) -> None:
    add_game(store, 0)
    add_game(store, 1, source="simulated")
    with pytest.raises(SlateError, match="recorded and simulated on 2023-02-03: name one"):
        night_rows(store.engine, NIGHT)
    add_forecast(store, 1)
    assert night_rows(store.engine, NIGHT).source == "simulated"
    assert len(night_rows(store.engine, NIGHT, "recorded").games) == 1


def test_the_night_report_is_stored_and_read_back(store: Store) -> None:
    a_night(store)
    report = build_night_report(night_rows(store.engine, NIGHT))
    store.record_report("night", NIGHT, report.model_dump(mode="json"), report.model.version or "")
    assert latest_report(store.engine, "night", NIGHT) == json.loads(report.model_dump_json())
    assert latest_report(store.engine, "night", NIGHT + timedelta(days=1)) is None


def test_evidently_reports_are_stored_whether_or_not_there_were_enough_games(store: Store) -> None:
    for number in range(6):
        add_game(store, number)
        add_forecast(store, number, point=4.5 + number)
        add_outcome(store, number, 2 * number)
        rows = judged_rows(store.engine, "recorded", NIGHT, NIGHT)
        assert len(rows) == number + 1
        report = build_evidently_report(settled_frame(rows), None, window=f"night of {NIGHT}", model_version="3")
        store.record_report(KIND, NIGHT, report.body, "3")
        stored = latest_report(store.engine, KIND)
        assert stored is not None
        assert stored["n"] == number + 1
        assert stored["status"] == ("ok" if number >= 4 else "not_enough_games")
    last = latest_report(store.engine, KIND)
    assert last is not None
    assert last["evidently"]["metrics"]


def test_settled_rows_leave_out_other_dates_sources_and_versions(store: Store) -> None:
    add_game(store, 0)
    add_game(store, 1, source="simulated")
    add_game(store, 2, league_date=NIGHT - timedelta(days=9))
    add_game(store, 3)
    for number in range(4):
        add_forecast(store, number, model_version="4" if number == 3 else "3")
        add_outcome(store, number, 6)
    since = NIGHT - timedelta(days=6)
    found = [row for row in judged_rows(store.engine, "recorded", since, NIGHT) if row.model_version == "3"]
    assert [row.game_id for row in found] == [game_id(0)]
    assert (found[0].actual, found[0].covered, found[0].pattern) == (6, True, (1.0,) * 17 + (4.0,))


def test_the_path_is_the_furthest_snapshot_not_the_last_stored(store: Store) -> None:
    add_game(store, 0)
    now = datetime.now(UTC)
    add_tick(store, 0, period=4, t=2880.0, ended=True, status=Status.FINAL, seen_at=now)
    add_tick(store, 0, period=1, t=120.0, seen_at=now)
    assert len(night_rows(store.engine, NIGHT).games[0].path) == 24


def test_the_read_side_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match="read-only transaction"), reading(store.engine) as connection:
        connection.execute(text("INSERT INTO leases VALUES ('a', 'b', 1, now())"))
