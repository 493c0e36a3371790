"""The predictor against a store and a stream that a test holds: what it forecasts, leaves, waits for and survives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import cast

import pytest

from flows import predictor as module
from flows.announce import Announcer
from flows.issue import ForecastIssuer
from flows.lease import LeaseKeeper
from flows.predictor import Predictor
from models.game import Play, Snapshot, Status
from services.broadcast import Event, EventError
from services.client import ForecasterBroken
from services.database import DatabaseNotReady, RowRefused
from services.store import Outcome, StandingForecast, Store
from services.store_rows import Actual, ActualResult
from services.ticks import Tick
from services.ticks_memory import MemoryTickStream

GAME, OTHER = "0022200785", "0022200786"
NIGHT = date(2023, 2, 3)
AT = datetime(2023, 2, 4, 1, 0, tzinfo=UTC)


def shown(game_id: str = GAME, t: float = 1090.0, *, ended: bool = False) -> Snapshot:
    plays = (Play(1, 1, 60.0, 2, 0), Play(2, 2, t, 4, 0))
    return Snapshot(game_id, "DET", "CHA", Status.LIVE, 2, t, ended, plays, AT, AT)


def tick(snapshot: Snapshot, at: datetime = AT) -> Tick:
    return Tick(snapshot.game_id, snapshot, NIGHT, "live", at)


class FakeStore:
    """Keeps one snapshot a game and its disposition; ``refuse`` is raised for the ticks of that game."""

    def __init__(self) -> None:
        self.heads: dict[str, Snapshot] = {}
        self.decided: dict[str, str] = {}
        self.refuse: dict[str, Exception] = {}

    def ping(self) -> None:
        """Here."""

    def upsert_schedule(self, **_: object) -> None:
        """Known."""

    def latest_snapshot(self, game_id: str) -> Snapshot | None:
        return self.heads.get(game_id)

    def disposition(self, game_id: str) -> str | None:
        return self.decided.get(game_id)

    def latest_forecast(self, game_id: str, minute: int = 18) -> StandingForecast | None:
        return None

    def record_tick(self, one: Tick) -> bool:
        if one.game_id in self.refuse:
            raise self.refuse[one.game_id]
        self.heads[one.game_id] = one.snapshot
        return True

    def record_disposition(self, game_id: str, disposition: str, reason: str) -> str:
        if len(reason) > 500:
            raise RowRefused("dispositions_reason_check")
        return self.decided.setdefault(game_id, disposition)

    def record_actual(
        self, game_id: str, margin: int, home: int, away: int, *, state: str, source: str
    ) -> ActualResult:
        return ActualResult(Outcome.ALREADY, Actual(1, game_id, 0, margin, home, away, state, source, AT))

    def settle(self, game_id: str) -> list[object]:
        return []

    def acquire_lease(self, name: str, holder: str, ttl_s: float) -> int | None:
        return 1

    def release_lease(self, name: str, holder: str) -> bool:
        return True


@dataclass
class FakeIssuer:
    """Notes what was asked for and decides the game."""

    store: FakeStore
    asked: list[Tick] = field(default_factory=list)
    broken: Exception | None = None

    def issue(self, one: Tick, pattern: tuple[int, ...], *, minute: int, revision: int) -> StandingForecast | None:
        self.asked.append(one)
        if self.broken is not None:
            raise self.broken
        self.store.decided.setdefault(one.game_id, "forecast")
        return None


class Silent:
    """Nobody listens; ``broken`` is raised instead."""

    broken: Exception | None = None

    def publish(self, event: Event) -> str:
        if self.broken is not None:
            raise self.broken
        return "1-0"


@dataclass
class Bench:
    """A predictor with everything around it in memory; its clock stands still until a test moves it."""

    speed: float = 1.0
    store: FakeStore = field(default_factory=FakeStore)
    stream: MemoryTickStream = field(default_factory=MemoryTickStream)
    heard: Silent = field(default_factory=Silent)
    now: datetime = AT

    def __post_init__(self) -> None:
        self.issuer = FakeIssuer(self.store)
        self.predictor = Predictor(
            cast(Store, self.store),
            self.stream,
            cast(ForecastIssuer, self.issuer),
            Announcer(self.heard),
            LeaseKeeper(self.store, "predictor", "test:1"),
            consumer="predictor",
            speed=self.speed,
            now=lambda: self.now,
        )

    def see(self, *snapshots: Snapshot) -> None:
        for snapshot in snapshots:
            self.stream.publish(tick(snapshot))

    def step(self) -> None:
        self.predictor.step(block_ms=0)


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
    bench.stream.publish(tick(shown(t=1100.0), bench.now))
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
