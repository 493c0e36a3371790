"""Snapshots to forecasts of every minute and outcomes, on the real PostgreSQL and a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from models.clock import HALFTIME_MINUTE
from models.game import Status, margins
from services.store import Store
from tests.support.live_rig import NIGHT, Rig

EVERY_MINUTE = range(HALFTIME_MINUTE)


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
        " FROM forecasts f JOIN predictions p ON p.id = f.prediction_id ORDER BY f.id",
    ) + rows(store, "SELECT id, forecast_id, actual_id, error, covered FROM settlements ORDER BY id")


def official_settlements(store: Store) -> int:
    [[count]] = rows(store, "SELECT count(*) FROM settlements s JOIN official_forecasts o ON o.id = s.forecast_id")
    return int(str(count))


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
    assert official_settlements(store) == 2


def test_every_minute_is_forecast_once_from_the_pattern_that_history_has_and_settled(rig: Rig, store: Store) -> None:
    rig.play()
    made = rows(
        store,
        "SELECT f.game_id, f.minute, p.pattern, f.persistence, p.minute, s.persistence_error FROM standing_forecasts f"
        " JOIN predictions p ON p.id = f.prediction_id JOIN settlements s USING (forecast_id)",
    )
    wanted = []
    for game in store.night(NIGHT).games:
        snapshot = store.latest_snapshot(game.game_id)
        assert snapshot is not None
        path = (0, *margins(snapshot, HALFTIME_MINUTE))
        for minute in EVERY_MINUTE:
            seen, now = [float(margin) for margin in path[1 : minute + 1]], path[minute]
            wanted.append((game.game_id, minute, seen, now, minute, float(path[HALFTIME_MINUTE] - now)))
    assert sorted(made) == wanted


def test_a_revision_is_made_only_of_another_pattern(rig: Rig, store: Store) -> None:
    rig.play()
    both = rows(
        store,
        "SELECT p.pattern, q.pattern FROM forecasts f JOIN forecasts g USING (game_id, minute)"
        " JOIN predictions p ON p.id = f.prediction_id JOIN predictions q ON q.id = g.prediction_id"
        " WHERE g.revision = f.revision + 1",
    )
    # A second free throw on the mark, seen one poll later.
    assert both
    assert all(before != after for before, after in both)
    assert rig.predictor.counts.minutes + rig.predictor.counts.forecasts == 2 * HALFTIME_MINUTE + len(both)


def test_each_forecast_is_made_while_its_minute_is_the_newest(rig: Rig, store: Store) -> None:
    rig.play()
    late = rows(
        store,
        "SELECT f.game_id, f.minute, t.elapsed_s FROM forecasts f"
        " JOIN ticks t ON t.game_id = f.game_id AND t.digest = f.tick_digest"
        " WHERE t.elapsed_s < 60 * f.minute OR t.elapsed_s >= 60 * (f.minute + 1) AND t.period = (f.minute / 12) + 1",
    )
    assert late == []


def test_the_forecast_is_made_before_its_half_ends_and_from_the_newest_margin(rig: Rig, store: Store) -> None:
    rig.play(rig.half_s(0) - 60)
    official = store.latest_forecast(rig.night.games[0].script.game_id)
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
    assert official_settlements(store) == 2
    assert whole.stream.backlog() == 0
    standing = rows(store, "SELECT count(*), count(DISTINCT (game_id, minute)) FROM standing_forecasts")
    assert standing == [(2 * HALFTIME_MINUTE,) * 2]
    assert rows(store, "SELECT count(*) FROM settlements") == [(2 * HALFTIME_MINUTE,)]


def test_a_forecaster_that_is_away_at_6_00_is_asked_again_while_the_half_lasts(rig: Rig, store: Store) -> None:
    rig.forecaster.away = True
    rig.play(rig.half_s(0) - 120)
    assert store.disposition(rig.night.games[0].script.game_id) is None
    rig.forecaster.away = False
    rig.poll()
    assert store.disposition(rig.night.games[0].script.game_id) == "forecast"
    assert rig.stream.backlog() == 0


def test_minutes_that_pass_while_the_forecaster_is_away_are_never_forecast_and_counted(rig: Rig, store: Store) -> None:
    rig.play(600)
    rig.forecaster.away = True
    before = set(rows(store, "SELECT game_id, minute FROM forecasts"))
    rig.play(1200)
    assert set(rows(store, "SELECT game_id, minute FROM forecasts")) == before
    assert rig.stream.backlog() == 0, "nobody owes them"
    rig.forecaster.away = False
    rig.play()
    made = set(rows(store, "SELECT game_id, minute FROM forecasts"))
    everything = {(game.game_id, minute) for game in store.night(NIGHT).games for minute in EVERY_MINUTE}
    passed = everything - made
    assert len(passed) == rig.predictor.counts.passed > 2
    assert rows(store, "SELECT count(*) FROM settlements") == [(len(made),)]
    assert {game.disposition for game in store.night(NIGHT).games} == {"forecast"}


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
    assert not game_ids & {row[0] for row in rows(store, "SELECT game_id FROM forecasts")}
    assert game_ids <= {row[0] for row in rows(store, "SELECT game_id FROM actuals")}
    assert {event.game_id for event in rig.told.of("disposition")} == game_ids


def test_a_predictor_that_comes_back_after_the_half_does_not_forecast_from_an_old_snapshot(
    rig: Rig, store: Store
) -> None:
    rig.play(rig.half_s(0) - 1500)
    while rig.now_s < rig.half_s(0) + 60:
        rig.poll(predict=False)
    rig.predictor.step(block_ms=0)
    game_id = rig.night.games[0].script.game_id
    assert store.disposition(game_id) == "missed"
    assert {row[0] for row in rows(store, f"SELECT minute FROM forecasts WHERE game_id = '{game_id}'")} < {*range(18)}


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
        store,
        "SELECT game_id, minute, max(revision) FROM forecasts GROUP BY game_id, minute HAVING max(revision) > 0",
    )
    told = [(event.game_id, event.data["minute"], event.data["revision"]) for event in rig.told.of("forecast")]
    made = [tuple(row) for row in rows(store, "SELECT game_id, minute, revision FROM forecasts")]
    assert sorted(told) == sorted(made), "each is told once"
    # Whatever the feed did, what stands is the pattern of the last snapshot before the half.
    for game_id, minute, revision in revised:
        standing = store.latest_forecast(str(game_id), int(str(minute)))
        assert standing is not None
        assert standing.revision == revision


def test_a_tick_recorded_twice_is_one_row_and_statuses_are_kept(rig: Rig, store: Store) -> None:
    rig.play(600)
    counted = rows(store, "SELECT count(*), count(DISTINCT (game_id, digest)) FROM ticks")
    assert counted[0][0] == counted[0][1]
    assert {row[0] for row in rows(store, "SELECT DISTINCT status FROM ticks")} <= {status.value for status in Status}


def test_one_trace_goes_from_the_poll_to_the_row_and_the_broadcast(rig: Rig, store: Store) -> None:
    rig.play(until_s=rig.half_s() - 60.0)
    made = rows(store, "SELECT game_id, minute, revision, trace_id FROM forecasts ORDER BY id")
    assert len({trace for *_, trace in made}) > 20
    assert all(len(str(trace)) == 32 for *_, trace in made)
    told = [
        (event.game_id, event.data["minute"], event.data["revision"], event.data["trace_id"])
        for event in rig.told.of("forecast")
    ]
    assert sorted(map(str, told)) == sorted(map(str, made))
