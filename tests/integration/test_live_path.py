"""Snapshots to official forecasts and outcomes, on the real PostgreSQL and a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from models.game import Status
from services.store import Store
from tests.support.live_rig import NIGHT, Rig


@pytest.fixture
def rig(store: Store) -> Iterator[Rig]:
    made = Rig(store)
    yield made
    made.close()


def rows(store: Store, query: str) -> list[tuple[object, ...]]:
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def fingerprint(store: Store) -> list[tuple[object, ...]]:
    """Everything that was recorded of the night's games."""
    return rows(
        store,
        "SELECT f.game_id, f.minute, f.revision, f.prediction_id, p.point, p.lower, p.upper, f.committed_at"
        " FROM official_forecasts f JOIN predictions p ON p.id = f.prediction_id ORDER BY f.id",
    ) + rows(store, "SELECT id, official_id, actual_id, error, covered FROM settlements ORDER BY id")


def test_every_game_ends_with_one_forecast_settled_once(rig: Rig, store: Store) -> None:
    rig.play()
    night = store.night(NIGHT)
    assert [game.disposition for game in night.games] == ["forecast", "forecast"]
    assert night.duplicates == 0
    for game in night.games:
        script = next(one.script for one in rig.night.games if one.script.game_id == game.game_id)
        assert game.official is not None
        assert game.actual is not None
        assert game.settlement is not None
        assert game.actual.state == "final"
        assert len(game.official.pattern) == 18
        assert game.settlement.error == game.actual.margin - game.official.prediction.point
        assert script.game_id == game.game_id
    assert rows(store, "SELECT count(*) FROM settlements") == [(2,)]


def test_the_forecast_is_made_before_its_half_ends_and_from_the_newest_margin(rig: Rig, store: Store) -> None:
    rig.play(rig.half_s(0) - 60)
    official = store.latest_official(rig.night.games[0].script.game_id)
    assert official is not None
    assert official.persistence == official.pattern[-1]
    assert official.polled_at is not None
    assert official.queued_at is not None
    assert official.polled_at <= official.queued_at <= official.forecast_at <= official.committed_at


def test_the_same_night_again_changes_nothing(rig: Rig, store: Store) -> None:
    rig.play()
    before = fingerprint(store)
    again = Rig(store)
    again.play()
    again.close()
    assert fingerprint(store) == before
    assert not again.forecaster.asked


def test_poller_and_predictor_killed_at_every_minute_lose_nothing(store: Store) -> None:
    whole = Rig(store)
    while whole.now_s < whole.half_s(1) + 2400:
        whole.poll(predict=whole.now_s % 35 != 0)
        if whole.now_s % 60 == 0:
            whole.poller, whole.predictor = whole.new_poller(), whole.new_predictor()
    whole.close()
    night = store.night(NIGHT)
    assert [game.disposition for game in night.games] == ["forecast", "forecast"]
    assert night.duplicates == 0
    assert rows(store, "SELECT count(*) FROM settlements") == [(2,)]
    assert whole.stream.backlog() == 0


def test_a_forecaster_that_is_away_at_6_00_is_asked_again_while_the_half_lasts(rig: Rig, store: Store) -> None:
    rig.forecaster.away = True
    rig.play(rig.half_s(0) - 120)
    assert store.disposition(rig.night.games[0].script.game_id) is None
    rig.forecaster.away = False
    rig.poll()
    assert store.disposition(rig.night.games[0].script.game_id) == "forecast"
    assert rig.stream.backlog() == 0


def test_a_half_that_ended_without_a_forecast_is_missed_with_its_reason_and_never_back_dated(
    rig: Rig, store: Store
) -> None:
    rig.forecaster.away = True
    rig.play(rig.half_s(0) + 60)
    rig.forecaster.away = False
    rig.play()
    found = rows(store, "SELECT game_id, disposition, reason FROM dispositions ORDER BY game_id")
    missed = [row for row in found if row[1] == "missed"]
    assert missed
    assert all("the test took it away" in str(row[2]) for row in missed)
    game_ids = {row[0] for row in missed}
    assert not game_ids & {row[0] for row in rows(store, "SELECT game_id FROM official_forecasts")}
    assert game_ids <= {row[0] for row in rows(store, "SELECT game_id FROM actuals")}
    assert {event.game_id for event in rig.told.of("disposition")} == game_ids


def test_a_predictor_that_comes_back_after_the_half_does_not_forecast_from_an_old_snapshot(
    rig: Rig, store: Store
) -> None:
    rig.play(rig.half_s(0) - 1500)
    while rig.now_s < rig.half_s(0) + 60:
        rig.poll(predict=False)
    rig.predictor.step(block_ms=0)
    assert store.disposition(rig.night.games[0].script.game_id) == "missed"


def test_a_postponed_game_is_void(store: Store) -> None:
    rig = Rig(store, rules="postponed")
    rig.play()
    rig.close()
    night = store.night(NIGHT)
    assert sorted(str(game.disposition) for game in night.games) == ["forecast", "void"]
    assert rows(store, "SELECT reason FROM dispositions WHERE disposition = 'void'") == [("postponed",)]


@pytest.mark.parametrize(
    "rules",
    [
        "late,duplicate,edited,take_back",
        "stale=0.1,blocked=0.1,throttled=0.02,server_error=0.1,truncated=0.1",
        "blocked@20m+5m,timeout*3:scoreboard",
    ],
)
def test_a_feed_that_misbehaves_costs_no_forecast(store: Store, rules: str) -> None:
    rig = Rig(store, rules=rules)
    rig.play()
    night = store.night(NIGHT)
    rig.close()
    assert [game.disposition for game in night.games] == ["forecast", "forecast"]
    assert night.duplicates == 0
    for game, shown in zip(night.games, sorted(rig.night.games, key=lambda one: one.script.game_id), strict=True):
        assert game.actual is not None
        assert game.actual.state == "final"
        assert game.game_id == shown.script.game_id


def test_a_correction_that_changes_the_pattern_before_the_half_issues_a_revision_and_tells_it(store: Store) -> None:
    rig = Rig(store, rules="take_back,edited")
    rig.play()
    rig.close()
    revised = rows(
        store, "SELECT game_id, max(revision) FROM official_forecasts GROUP BY game_id HAVING max(revision) > 0"
    )
    told = {(event.game_id, event.data["revision"]) for event in rig.told.of("forecast")}
    made = {tuple(row) for row in rows(store, "SELECT game_id, revision FROM official_forecasts")}
    assert told == made
    # Whatever the feed did, what stands is the pattern of the last snapshot before the half.
    for game_id, revision in revised:
        official = store.latest_official(str(game_id))
        assert official is not None
        assert official.revision == revision


def test_a_tick_recorded_twice_is_one_row_and_statuses_are_kept(rig: Rig, store: Store) -> None:
    rig.play(600)
    counted = rows(store, "SELECT count(*), count(DISTINCT (game_id, digest)) FROM ticks")
    assert counted[0][0] == counted[0][1]
    assert {row[0] for row in rows(store, "SELECT DISTINCT status FROM ticks")} <= {status.value for status in Status}


def test_what_another_process_of_the_same_name_left_is_read_again_when_the_lease_comes_back(store: Store) -> None:
    rig = Rig(store)
    rig.play(300)
    rig.poll(predict=False)
    left = rig.stream.consume("predictor", block_ms=0, count=10)
    assert left
    rig.stream.reread("predictor")
    rig.predictor.step(block_ms=0)
    assert rig.stream.backlog() == 0
    rig.close()
