"""The predictor against a store and a stream that a test holds: what it forecasts, leaves, waits for and survives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from flows import predictor as module
from flows.announce import Announcer
from flows.issue import ForecastIssuer
from flows.predictor import Predictor
from flows.settling import Seen
from models.game import Snapshot, Status
from services.broadcast import BroadcastUnavailable, EventError
from services.client import ForecasterBroken
from services.database import DatabaseNotReady, RowRefused
from services.loop_metrics import PredictorMetrics
from services.store import ForecastRow, Outcome, PredictionRow, StandingForecast, Store
from services.store_rows import Actual, ForecastResult
from services.ticks import TicksUnavailable
from tests.support.live_rig import FakeForecaster
from tests.support.predictor_bench import AT, GAME, OTHER, Bench, FakeStore, shown, tick


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


class KeepingStore(FakeStore):
    """Keeps forecasts as the database does; ``outcome`` is what it says of each."""

    outcome = Outcome.RECORDED

    def first_model(self, game_id: str) -> str | None:
        return None

    def record_forecast(self, made: PredictionRow, row: ForecastRow, *, seen: int) -> ForecastResult:
        self.expect_newest(row.game_id, seen)
        at = row.forecast_at + timedelta(seconds=0.25)
        key = (row.game_id, row.minute, row.revision)
        standing = StandingForecast(
            1, *key, row.tick_digest, row.persistence, row.polled_at, row.queued_at, row.forecast_at, at, made
        )
        if self.outcome is not Outcome.REFUSED:
            self.forecasts[key] = standing
        return ForecastResult(self.outcome, None, made.id, 1, at)


class Measured:
    """A bench whose predictor, issuer and announcer count in one place, with a real issuer."""

    def __init__(self) -> None:
        self.bench, self.store, self.forecaster = Bench(), KeepingStore(), FakeForecaster()
        self.bench.store = self.store
        self.metrics = PredictorMetrics()
        store = cast(Store, self.store)
        now: Callable[[], Any] = lambda: self.bench.now  # noqa: E731 - a test may move the clock
        self.announcer = Announcer(self.bench.heard, now, self.metrics)
        self.bench.predictor = Predictor(
            store,
            self.bench.stream,
            ForecastIssuer(self.forecaster, store, 0.1, now=now, metrics=self.metrics),
            self.announcer,
            consumer="test:1",
            now=now,
            metrics=self.metrics,
        )

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"halftime_{name}", labels)


def test_a_forecast_is_counted_under_its_kind_of_minute_with_its_hops() -> None:
    measured = Measured()
    measured.bench.see(shown(t=1090.0), shown(OTHER, t=605.0))
    measured.bench.step()
    assert measured.count("forecasts_issued_total", minute_kind="official") == 1
    assert measured.count("forecasts_issued_total", minute_kind="other") == 1
    assert measured.count("hop_seconds_count", hop="forecast_to_commit") == 2
    assert measured.count("hop_seconds_sum", hop="forecast_to_commit") == pytest.approx(0.5)
    assert measured.count("hop_seconds_count", hop="commit_to_broadcast") == 2


@pytest.mark.parametrize("outcome", [Outcome.ALREADY, Outcome.REFUSED])
def test_a_forecast_that_another_process_made_or_that_came_too_late_is_not_counted(outcome: Outcome) -> None:
    measured = Measured()
    measured.store.outcome = outcome
    measured.bench.see(shown())
    measured.bench.step()
    assert measured.forecaster.asked
    assert measured.count("forecasts_issued_total", minute_kind="official") == 0
    assert measured.count("hop_seconds_count", hop="forecast_to_commit") == 0


def test_a_forecast_told_again_after_a_restart_is_no_hop() -> None:
    measured = Measured()
    measured.bench.heard.broken = BroadcastUnavailable("redis is away")
    measured.bench.see(shown())
    measured.bench.step()
    (standing,) = measured.store.forecasts.values()
    measured.bench.heard.broken = None
    heir = PredictorMetrics()
    Announcer(measured.bench.heard, metrics=heir).forecast_again(tick(shown()), standing)
    assert len([event for event in measured.bench.heard.events if event.type == "forecast"]) == 2
    assert heir.registry.get_sample_value("halftime_hop_seconds_count", {"hop": "commit_to_broadcast"}) == 0


def test_a_forecast_that_could_not_be_told_is_a_failure_and_no_hop() -> None:
    measured = Measured()
    measured.bench.heard.broken = BroadcastUnavailable("redis is away")
    measured.bench.see(shown())
    measured.bench.step()
    assert measured.count("forecasts_issued_total", minute_kind="official") == 1
    assert measured.count("hop_seconds_count", hop="commit_to_broadcast") == 0
    assert measured.count("predictor_failures_total", kind="not_told") == len(measured.bench.heard.events)


def test_a_forecaster_that_is_away_is_counted_at_every_try() -> None:
    measured = Measured()
    measured.forecaster.away = True
    measured.bench.see(shown())
    for _ in range(3):
        measured.bench.step()
    assert measured.count("predictor_failures_total", kind="forecaster") == 3
    measured.forecaster.away = False
    measured.bench.step()
    assert measured.count("predictor_failures_total", kind="forecaster") == 3


def test_a_row_that_the_database_refuses_is_counted() -> None:
    measured = Measured()
    measured.store.refuse[GAME] = RowRefused("home_score 301")
    measured.bench.see(shown())
    measured.bench.step()
    assert measured.count("predictor_failures_total", kind="row_refused") == 1


@pytest.mark.parametrize(
    ("error", "kind"), [(TicksUnavailable("away"), "stream"), (DatabaseNotReady("no tables"), "database")]
)
def test_a_server_that_is_away_is_counted_by_which_it_is(error: Exception, kind: str) -> None:
    measured, stop = Measured(), threading.Event()

    def step(block_ms: int) -> int:
        stop.set()
        raise error

    measured.bench.predictor.step = step  # type: ignore[method-assign]
    measured.bench.predictor.run(stop)
    assert {each: measured.count("predictor_failures_total", kind=each) for each in ("stream", "database")} == {
        "stream": 0,
        "database": 0,
        kind: 1,
    }


def test_settlements_of_official_forecasts_are_counted() -> None:
    measured = Measured()
    actual = Actual(1, GAME, 0, 4, 50, 46, "final", "feed", AT)
    measured.announcer.settlement(tick(shown()), Seen(new=True, settled=1, actual=actual))
    measured.announcer.settlement(tick(shown()), Seen(new=True, settled=0, actual=replace(actual, state="provisional")))
    assert measured.count("settlements_made_total") == 1
