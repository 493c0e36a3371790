"""What rests on a state of a game that is not the newest any more is refused, however many write at once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import text

from services.store import Outcome, Overtaken, Store, UnknownGame
from tests.integration.test_store_outcomes import Seen, snapshot
from tests.support.rows import GAME, NOON, forecast_row, game_row, prediction_row


@pytest.fixture
def known(store: Store) -> Store:
    store.upsert_games([game_row()])
    return store


def count(store: Store, table: str) -> int:
    with store.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_state_is_stored_behind_the_one_it_was_judged_against_alone(known: Store) -> None:
    first = known.advance(Seen(snapshot(t=1000.0)), after=None).tick_id
    second = known.advance(Seen(snapshot(t=1010.0)), after=first).tick_id
    for after in (None, first, second + 1):
        with pytest.raises(Overtaken, match=f"tick {second} is the newest now, not {after}"):
            known.advance(Seen(snapshot(t=1020.0)), after=after)
    latest = known.latest_tick(GAME)
    assert latest is not None
    assert (latest.tick_id, latest.snapshot.t, known.newest_tick_id(GAME)) == (second, 1010.0, second)


def test_a_state_that_comes_back_is_a_newer_tick(known: Store) -> None:
    first = known.advance(Seen(snapshot(t=1000.0)), after=None).tick_id
    second = known.advance(Seen(snapshot(t=1000.0, home=42)), after=first).tick_id
    again = known.advance(Seen(snapshot(t=1000.0)), after=second).tick_id
    assert first < second < again
    with pytest.raises(Overtaken):
        known.advance(Seen(snapshot(t=1010.0)), after=first)


def test_a_clock_that_is_set_back_makes_no_state_older_than_the_one_before(known: Store) -> None:
    first = known.advance(Seen(snapshot(t=1000.0)), after=None)
    back = known.advance(Seen(snapshot(t=1010.0), NOON - timedelta(hours=1)), after=first.tick_id)
    again = known.advance(Seen(snapshot(t=1000.0), NOON + timedelta(hours=1)), after=back.tick_id)
    assert [one.polled_at - NOON for one in (first, back, again)] == [
        timedelta(0),
        timedelta(microseconds=1),
        timedelta(hours=1),
    ]
    assert known.latest_tick(GAME) == again


def test_a_state_of_an_unknown_game_is_refused_by_name(store: Store) -> None:
    assert store.newest_tick_id(GAME) is None
    with pytest.raises(UnknownGame, match=GAME):
        store.advance(Seen(snapshot()), after=None)


def test_of_twenty_who_judged_against_the_same_state_one_stores_its_own(known: Store) -> None:
    first = known.advance(Seen(snapshot(t=1000.0)), after=None).tick_id
    barrier = Barrier(20)

    def advance(number: int) -> str:
        barrier.wait()
        try:
            known.advance(Seen(snapshot(t=1001.0 + number)), after=first)
        except Overtaken:
            return "overtaken"
        return "stored"

    with ThreadPoolExecutor(20) as pool:
        assert Counter(pool.map(advance, range(20))) == {"stored": 1, "overtaken": 19}
    assert count(known, "ticks") == 2


def test_a_forecast_of_a_state_that_was_overtaken_leaves_nothing(known: Store) -> None:
    first = known.advance(Seen(snapshot(t=1090.0)), after=None).tick_id
    second = known.advance(Seen(snapshot(t=1095.0)), after=first).tick_id
    with pytest.raises(Overtaken):
        known.record_forecast(prediction_row(), forecast_row(), seen=first)
    assert [count(known, table) for table in ("predictions", "forecasts", "dispositions")] == [0, 0, 0]
    assert known.record_forecast(prediction_row(), forecast_row(), seen=second).outcome is Outcome.RECORDED


def test_an_outcome_of_a_state_that_was_overtaken_is_not_recorded(known: Store) -> None:
    first = known.advance(Seen(snapshot(t=1440.0)), after=None).tick_id
    second = known.advance(Seen(snapshot(t=1440.0, home=42)), after=first).tick_id
    with pytest.raises(Overtaken):
        known.record_actual(GAME, 3, source="feed", seen=first)
    assert known.latest_actual(GAME) is None
    assert known.record_actual(GAME, 5, source="feed", seen=second).new
