"""The report of the night as assembled from rows."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from monitoring.night import NightError, NightReport, build_night_report
from tests.unit.monitoring.nights import TIP, forecast_game, hops, missed_game, night

JSON_KEYS = {"league_date", "source", "games", "totals", "mae", "mae_persistence", "coverage", "latency_ms", "model"}
GAME_KEYS = {
    "game_id", "home", "away", "disposition", "point", "lower", "upper", "actual", "covered", "persistence", "reason",
    "revision",
}  # fmt: skip
HOPS = {"feed_to_queue", "queue_to_forecast", "forecast_to_commit", "commit_to_client", "feed_to_client"}


def test_json_has_the_promised_keys() -> None:
    body = json.loads(build_night_report(night(forecast_game())).model_dump_json())
    assert set(body) >= JSON_KEYS
    assert set(body["games"][0]) >= GAME_KEYS
    assert set(body["totals"]) >= {"games", "forecast", "missed", "void", "settled", "duplicates"}
    assert set(body["latency_ms"]) == HOPS
    assert all({"p50", "p95", "p99"} <= set(hop) for hop in body["latency_ms"].values())
    assert set(body["model"]) == {"version", "digest"}
    assert body["league_date"] == "2023-02-03"


def test_json_reads_back_as_an_equal_report() -> None:
    report = build_night_report(night(forecast_game(), missed_game(), hop_rows=(hops(),)))
    assert NightReport.model_validate_json(report.model_dump_json()) == report


def test_errors_are_actual_minus_forecast_and_averaged_without_sign() -> None:
    games = (forecast_game(1, point=4.5, actual=6), forecast_game(2, point=4.5, actual=-4, covered=True))
    report = build_night_report(night(*games))
    assert [game.error for game in report.games] == [1.5, -8.5]
    assert report.mae == 5.0
    assert report.mae_persistence == (2 + 8) / 2
    assert report.coverage == 1.0
    assert report.mean_width == 23.0
    assert report.n == 2


def test_totals_count_each_game_once() -> None:
    games = (
        forecast_game(1),
        forecast_game(2, revision=1),
        forecast_game(3, actual=None, actual_revision=None, covered=None),
        missed_game(4),
        missed_game(5, disposition="void", reason="postponed"),
        missed_game(6, disposition=None, reason=None),
    )
    totals = build_night_report(night(*games, duplicates=2)).totals
    assert totals.model_dump() == {
        "games": 6, "forecast": 3, "missed": 1, "void": 1, "undecided": 1, "settled": 2, "revised": 1, "duplicates": 2,
    }  # fmt: skip


def test_empty_night_has_nulls_and_no_invented_numbers() -> None:
    report = build_night_report(night())
    assert report.totals.games == 0
    assert (report.mae, report.coverage, report.skill, report.mean_width) == (None, None, None, None)
    assert report.model.version is None
    assert all(hop["p50"] is None and hop["n"] == 0 for hop in report.model_dump()["latency_ms"].values())


def test_client_hops_are_null_when_no_probe_listened() -> None:
    report = build_night_report(night(forecast_game(), hop_rows=(hops(),)))
    assert report.latency_ms.forecast_to_commit.p50 == 5.0
    assert report.latency_ms.commit_to_client.p50 is None
    assert report.latency_ms.feed_to_client.p99 is None
    assert any("No client was listening" in note for note in report.notes)


def test_hops_are_milliseconds_between_the_named_moments() -> None:
    received = {("0022200701", 0): TIP + timedelta(milliseconds=77)}
    latency = build_night_report(night(forecast_game(), hop_rows=(hops(),)), received).latency_ms
    assert [getattr(latency, name).p50 for name in sorted(HOPS)] == [7.0, 77.0, 40.0, 5.0, 25.0]
    assert latency.feed_to_client.n == 1


def test_a_client_time_of_another_revision_is_not_used() -> None:
    received = {("0022200701", 1): TIP + timedelta(milliseconds=77)}
    report = build_night_report(night(forecast_game(), hop_rows=(hops(),)), received)
    assert report.latency_ms.feed_to_client.n == 0


def test_model_is_the_one_of_the_newest_forecast() -> None:
    games = (forecast_game(1, model_version="4"), forecast_game(2, model_version="3"))
    rows = night(*games, hop_rows=(hops(1, spans_ms=(40, 25, 90_000)), hops(2)))
    report = build_night_report(rows)
    assert report.model.version == "4"
    assert [model.version for model in report.models] == ["3", "4"]
    assert any("2 models" in note for note in report.notes)


def test_every_settled_night_says_that_one_night_proves_nothing() -> None:
    notes = build_night_report(night(forecast_game())).notes
    assert any(note.startswith("One night proves nothing") for note in notes)


def test_simulated_league_is_named_in_the_notes() -> None:
    report = build_night_report(night(forecast_game(), source="simulated"))
    assert report.simulated
    assert any("simulated league" in note for note in report.notes)


def test_disagreeing_clocks_are_reported_not_hidden() -> None:
    report = build_night_report(night(forecast_game(), hop_rows=(hops(spans_ms=(-10, 25, 5)),)))
    assert report.latency_ms.feed_to_queue.p50 == -10.0
    assert any("clocks" in note for note in report.notes)


def test_same_rows_in_any_order_give_the_same_report() -> None:
    games = [forecast_game(number, point=4.5 + number) for number in range(1, 8)]
    assert build_night_report(night(*games)) == build_night_report(night(*reversed(games)))


def test_a_game_twice_is_refused() -> None:
    with pytest.raises(NightError, match="appears twice"):
        build_night_report(night(forecast_game(), forecast_game()))


def test_a_settlement_without_a_forecast_is_refused() -> None:
    with pytest.raises(NightError, match="0022200790 is settled but has no forecast"):
        build_night_report(night(missed_game(actual=3, covered=True)))


def test_outcome_of_a_missed_game_is_shown_but_not_scored() -> None:
    report = build_night_report(night(missed_game(actual=3, actual_revision=0)))
    assert report.games[0].actual == 3
    assert (report.games[0].error, report.totals.settled, report.mae) == (None, 0, None)


def test_nominal_coverage_is_given_only_when_all_games_share_it() -> None:
    assert build_night_report(night(forecast_game())).nominal_coverage == 0.95
    mixed = night(forecast_game(1), forecast_game(2, alpha=0.2))
    assert build_night_report(mixed).nominal_coverage is None
