"""The predictor against a store and a stream that a test holds: what it forecasts, leaves, waits for and survives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from flows import predictor as module
from models.game import Snapshot, Status
from services.broadcast import EventError
from services.client import ForecasterBroken
from services.database import DatabaseNotReady, RowRefused
from tests.support.predictor_bench import AT, GAME, OTHER, Bench, shown


def test_a_snapshot_past_6_00_is_forecast_and_acknowledged() -> None:
    bench = Bench()
    bench.see(shown())
    bench.step()
    assert [one.snapshot.t for one in bench.issuer.asked] == [1090.0]
    assert bench.stream.backlog() == 0


def test_a_backlog_longer_than_a_batch_is_read_to_its_end_before_anything_is_forecast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BATCH", 4)
    bench = Bench()
    bench.see(*(shown(t=1080.0 + 10 * turn) for turn in range(30)), shown(t=1440.0, ended=True))
    bench.step()
    assert bench.issuer.asked == []
    assert bench.store.decided == {GAME: "missed"}


@pytest.mark.parametrize(
    ("speed", "age_s", "asked"), [(1.0, 340.0, 1), (1.0, 350.0, 0), (60.0, 5.0, 1), (60.0, 6.0, 0)]
)
def test_nothing_is_forecast_from_a_snapshot_so_old_that_the_half_may_be_over(
    speed: float, age_s: float, asked: int
) -> None:
    bench = Bench(speed=speed)
    bench.see(shown(t=1090.0))
    bench.now = AT + timedelta(seconds=age_s)
    bench.step()
    assert len(bench.issuer.asked) == asked
    assert (bench.stream.backlog() == 0) == bool(asked), "what is not forecast stays owed"


def test_a_game_whose_snapshot_was_too_old_is_forecast_from_the_next_one() -> None:
    bench = Bench()
    bench.see(shown(t=1090.0))
    bench.now = AT + timedelta(minutes=10)
    bench.step()
    bench.see(shown(t=1100.0))
    bench.step()
    assert [one.snapshot.t for one in bench.issuer.asked] == [1100.0]
    assert bench.stream.backlog() == 0


def test_a_tick_the_database_refuses_holds_up_no_other_game() -> None:
    bench = Bench()
    bench.store.refuse[GAME] = RowRefused("home_score 301")
    bench.see(shown(GAME), shown(OTHER))
    bench.step()
    assert [one.game_id for one in bench.issuer.asked] == [OTHER]
    assert bench.stream.backlog() == 0
    assert bench.predictor.counts.refused == 1
    del bench.store.refuse[GAME]
    bench.see(shown(GAME, t=1100.0))
    bench.step()
    assert [one.game_id for one in bench.issuer.asked] == [OTHER, GAME]


def test_a_database_without_tables_is_waited_for() -> None:
    bench = Bench()
    bench.store.refuse[GAME] = DatabaseNotReady("run the migrations")
    bench.see(shown())
    stop = threading.Event()
    real: Callable[[int], int] = bench.predictor.step

    def step(block_ms: int) -> int:
        taken = real(0)
        stop.set()  # reached only once the database takes the tick
        return taken

    def ping() -> None:
        bench.store.refuse.clear()

    bench.predictor.step = step  # type: ignore[method-assign]
    bench.store.ping = ping  # type: ignore[method-assign]
    bench.predictor.run(stop)
    assert [one.game_id for one in bench.issuer.asked] == [GAME]
    assert bench.predictor.counts.waits == 1


def test_a_postponed_game_is_void_also_after_it_has_begun() -> None:
    bench = Bench()
    bench.see(shown(t=800.0), Snapshot(GAME, "DET", "CHA", Status.POSTPONED))
    bench.step()
    assert bench.store.decided == {GAME: "void"}


def test_a_long_reason_is_cut_to_what_the_table_takes() -> None:
    bench = Bench()
    bench.issuer.broken = ForecasterBroken("x" * 2000)
    bench.see(shown())
    bench.step()
    bench.see(shown(t=1440.0, ended=True))
    bench.step()
    assert bench.store.decided == {GAME: "missed"}


def test_an_event_that_cannot_be_told_stops_no_forecast() -> None:
    bench = Bench()
    bench.heard.broken = EventError("not JSON")
    bench.see(shown())
    bench.step()
    assert len(bench.issuer.asked) == 1
