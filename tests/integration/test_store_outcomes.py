"""Ticks, outcomes, settlements and the night on the real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from models.game import Play, Snapshot, Status
from services.store import ConflictingActual, Outcome, RowRefused, Store, UnknownGame
from tests.support.rows import GAME, NIGHT, NOON, at_minute, forecast_row, game_row, prediction_row

OTHER = "0022200782"


@dataclass(frozen=True)
class Seen:
    snapshot: Snapshot
    polled_at: datetime = NOON


def snapshot(t: float = 1090.5, home: int = 40, period: int = 2) -> Snapshot:
    plays = (Play(1, 1, 12.0, 2, 0), Play(7, period, t, home, 37))
    return Snapshot(GAME, "BOS", "PHX", Status.LIVE, period, t, False, plays, event_at=NOON, edited_at=NOON)


@pytest.fixture
def known(store: Store) -> Store:
    store.upsert_games([game_row(), game_row(OTHER, home="LAL", away="DEN")])
    return store


@pytest.fixture
def forecast(known: Store) -> Store:
    known.record_forecast(prediction_row(), forecast_row())
    return known


def test_a_snapshot_is_stored_once_and_reads_back_equal(known: Store) -> None:
    assert known.record_tick(Seen(snapshot())) is True
    assert known.record_tick(Seen(snapshot(), NOON + timedelta(seconds=5))) is False
    back = known.latest_snapshot(GAME)
    assert back == snapshot()
    assert back is not None
    assert back.digest == snapshot().digest


def test_the_latest_snapshot_is_the_one_stored_last(known: Store) -> None:
    assert known.latest_snapshot(GAME) is None
    known.record_tick(Seen(snapshot()))
    known.record_tick(Seen(snapshot(t=1100.0)))
    assert known.latest_snapshot(GAME) == snapshot(t=1100.0)


def test_a_state_that_comes_back_is_the_latest_again_and_first_seen_when_it_was(known: Store) -> None:
    known.record_tick(Seen(snapshot()))
    known.record_tick(Seen(snapshot(home=39), NOON + timedelta(seconds=30)))
    back = replace(snapshot(), edited_at=NOON + timedelta(seconds=60))
    assert known.record_tick(Seen(back, NOON + timedelta(seconds=60))) is False
    assert known.latest_snapshot(GAME) == back
    with known.engine.connect() as connection:
        seen = connection.execute(text("SELECT seen_at FROM ticks ORDER BY id")).scalars().all()
    assert seen == [NOON + timedelta(seconds=30), NOON]


def test_a_tick_of_an_unknown_game_is_refused(store: Store) -> None:
    with pytest.raises(UnknownGame):
        store.record_tick(Seen(snapshot()))


def test_old_ticks_can_be_pruned(known: Store) -> None:
    known.record_tick(Seen(snapshot(), NOON - timedelta(days=30)))
    known.record_tick(Seen(snapshot(t=1100.0)))
    assert known.prune_ticks(NOON - timedelta(days=1)) == 1
    assert known.latest_snapshot(GAME) == snapshot(t=1100.0)


def test_games_past_the_half_wait_to_be_settled_until_their_outcome_is_final(known: Store) -> None:
    known.record_tick(Seen(snapshot(t=600.0, period=1)))
    assert known.unsettled_ticks() == []
    known.record_tick(Seen(snapshot()))
    assert known.unsettled_ticks() == []
    known.record_tick(Seen(snapshot(t=1440.0)))
    assert [one.snapshot for one in known.unsettled_ticks()] == [snapshot(t=1440.0)]
    known.record_actual(GAME, 3, state="provisional", source="feed")
    assert [one.snapshot for one in known.unsettled_ticks()] == [snapshot(t=1440.0)]
    known.record_actual(GAME, 3, state="final", source="feed")
    assert known.unsettled_ticks() == []


def test_an_outcome_gets_a_revision_only_when_something_changes(known: Store) -> None:
    first = known.record_actual(GAME, 5, 60, 55, state="provisional", source="feed")
    again = known.record_actual(GAME, 5, 60, 55, state="provisional", source="feed")
    final = known.record_actual(GAME, 5, 60, 55, state="final", source="feed")
    assert [one.outcome for one in (first, again, final)] == [Outcome.RECORDED, Outcome.ALREADY, Outcome.RECORDED]
    assert (first.actual.revision, again.actual.revision, final.actual.revision) == (0, 0, 1)
    assert known.latest_actual(GAME) == final.actual


def test_provisional_news_of_a_final_outcome_is_left_aside(known: Store) -> None:
    known.record_actual(GAME, 5, 60, 55, state="final", source="feed")
    late = known.record_actual(GAME, 7, 62, 55, state="provisional", source="feed")
    assert (late.outcome, late.actual.margin) == (Outcome.REFUSED, 5)
    assert late.new is False


def test_a_final_correction_is_a_revision_unless_conflicts_are_to_be_refused(known: Store) -> None:
    known.record_actual(GAME, 5, 60, 55, state="final", source="feed")
    with pytest.raises(ConflictingActual, match="contradicts"):
        known.record_actual(GAME, 7, state="final", source="api", refuse_conflict=True)
    assert known.record_actual(GAME, 5, state="final", source="api", refuse_conflict=True).outcome is Outcome.ALREADY
    assert known.record_actual(GAME, 7, 62, 55, state="final", source="feed").actual.revision == 1


@pytest.mark.parametrize("wrong", [(5, 60, 54), (101, None, None), (5, 60, None)])
def test_an_outcome_that_contradicts_itself_is_refused(known: Store, wrong: tuple[int, int | None, int | None]) -> None:
    with pytest.raises(RowRefused):
        known.record_actual(GAME, *wrong, state="final", source="feed")
    assert known.latest_actual(GAME) is None


def test_an_outcome_of_an_unknown_game_is_refused(store: Store) -> None:
    with pytest.raises(UnknownGame, match=GAME):
        store.record_actual(GAME, 5, source="api")
    with pytest.raises(UnknownGame):
        store.settle(GAME)


def test_settling_scores_the_forecast_once(forecast: Store) -> None:
    assert forecast.settle(GAME) == []
    forecast.record_actual(GAME, 7, 62, 55, state="final", source="feed")
    [settled] = forecast.settle(GAME)
    assert (settled.error, settled.covered, settled.persistence_error) == (2.5, True, 4.0)
    assert forecast.settle(GAME) == []
    assert forecast.settlement(GAME) == settled


def test_every_minute_is_settled_with_the_official_one_in_one_go(forecast: Store) -> None:
    for minute in (0, 7):
        forecast.record_forecast(*at_minute(minute))
    forecast.record_forecast(*at_minute(7, revision=1, point=6.0))
    forecast.record_actual(GAME, 7, 62, 55, state="final", source="feed")
    settled = forecast.settle(GAME)
    assert [(one.minute, one.revision, one.error, one.persistence_error) for one in settled] == [
        (0, 0, 2.5, 7.0), (7, 1, 1.0, 4.0), (18, 0, 2.5, 4.0),
    ]  # fmt: skip
    assert forecast.settle(GAME) == []
    assert forecast.settlement(GAME) == settled[2]
    assert forecast.settlement(GAME, 7) == settled[1]
    assert forecast.settled_since(NIGHT, source="recorded")["minute"].tolist() == [18]
    assert forecast.settled_since(NIGHT, source="recorded", minute=None)["minute"].tolist() == [0, 7, 18]
    assert forecast.settled_since(NIGHT, source="recorded", minute=7)["revision"].tolist() == [1]
    night = forecast.night(NIGHT)
    assert night.duplicates == 0
    assert night.games[0].settlement == settled[2]


def test_a_corrected_outcome_settles_again_and_the_newest_stands(forecast: Store) -> None:
    forecast.record_actual(GAME, 7, 62, 55, state="provisional", source="feed")
    forecast.settle(GAME)
    forecast.record_actual(GAME, 20, 75, 55, state="final", source="feed")
    [settled] = forecast.settle(GAME)
    assert (settled.error, settled.covered) == (15.5, False)
    assert forecast.settlement(GAME) == settled


def test_a_provisional_outcome_turning_final_settles_nothing_again(forecast: Store) -> None:
    forecast.record_actual(GAME, 7, 62, 55, state="provisional", source="feed")
    [settled] = forecast.settle(GAME)
    forecast.record_actual(GAME, 7, 62, 55, state="final", source="feed")
    assert forecast.settle(GAME) == []
    assert forecast.settlement(GAME) == settled
    assert forecast.settled_since(None, source="recorded")["state"].tolist() == ["final"]


def test_an_outcome_that_goes_back_to_an_old_value_settles_again(forecast: Store) -> None:
    for margin in (7, 5, 7):
        forecast.record_actual(GAME, margin, state="final", source="api")
        assert [one.error for one in forecast.settle(GAME)] == [margin - 4.5]


def test_only_the_standing_revision_of_a_forecast_is_settled(forecast: Store) -> None:
    forecast.record_forecast(prediction_row(point=6.0), forecast_row(revision=1, persistence=5))
    forecast.record_actual(GAME, 7, 62, 55, state="final", source="feed")
    [settled] = forecast.settle(GAME)
    assert (settled.revision, settled.error, settled.persistence_error) == (1, 1.0, 2.0)


def test_racing_settlers_leave_one_outcome_and_one_settlement(forecast: Store) -> None:
    def act(_: int) -> int:
        forecast.record_actual(GAME, 7, 62, 55, state="final", source="feed")
        return len(forecast.settle(GAME))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(act, range(20))) == 1
    with forecast.engine.begin() as connection:
        counts = connection.execute(text("SELECT (SELECT count(*) FROM actuals), (SELECT count(*) FROM settlements)"))
        assert counts.one() == (1, 1)


@pytest.mark.parametrize("table", ["actuals", "settlements"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "TRUNCATE {} CASCADE", "UPDATE {} SET id = DEFAULT"])
def test_what_happened_cannot_be_rewritten(forecast: Store, table: str, change: str) -> None:
    with pytest.raises(Exception, match="append-only"), forecast.engine.begin() as connection:
        connection.execute(text(change.format(table)))


def test_settled_games_come_with_all_a_calibration_needs(forecast: Store) -> None:
    forecast.record_actual(GAME, 7, 62, 55, state="provisional", source="feed")
    forecast.settle(GAME)
    assert forecast.settled_since(None, source="recorded").empty
    forecast.record_actual(GAME, 7, 62, 55, state="final", source="feed")
    forecast.settle(GAME)
    frame = forecast.settled_since(NIGHT, source="recorded")
    [row] = frame.to_dict("records")
    assert (row["game_id"], row["actual"], row["pattern"][-1], row["context"]["rating_difference"]) == (
        GAME,
        7,
        3.0,
        2.25,
    )
    assert forecast.settled_since(NIGHT + timedelta(days=1), source="recorded").empty
    assert forecast.settled_since(NIGHT, source="simulated").empty


def test_a_night_shows_each_game_as_it_stands(forecast: Store) -> None:
    forecast.record_actual(GAME, 7, 62, 55, state="final", source="feed")
    forecast.settle(GAME)
    forecast.record_missed(OTHER, "predictor was down")
    night = forecast.night(NIGHT)
    assert night.duplicates == 0
    first, second = night.games
    assert (first.game_id, first.disposition) == (GAME, "forecast")
    assert first.official is not None
    assert first.official.prediction.upper == 15.5
    assert first.official.polled_at == NOON
    assert first.official.committed_at > NOON
    assert first.settlement is not None
    assert first.settlement.covered
    assert (second.disposition, second.reason, second.official, second.actual) == (
        "missed", "predictor was down", None, None,
    )  # fmt: skip
    assert forecast.night(NIGHT, source="simulated").games == ()
