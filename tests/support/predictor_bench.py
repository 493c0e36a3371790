"""A predictor with everything around it in memory, on a clock that stands still until a test moves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import cast

from flows.announce import Announcer
from flows.issue import ForecastIssuer
from flows.predictor import Predictor
from models.game import Play, Snapshot, Status
from services.database import RowRefused
from services.store import Outcome, Overtaken, StandingForecast, Store, StoredTick
from services.store_forecasts import Decided
from services.store_rows import Actual, ActualResult
from services.ticks import Tick
from services.ticks_memory import MemoryTickStream
from tests.support.rows import prediction_row
from tests.support.told import Told

GAME, OTHER, THIRD = "0022200785", "0022200786", "0022200787"
NIGHT = date(2023, 2, 3)
AT = datetime(2023, 2, 4, 1, 0, tzinfo=UTC)


def shown(
    game_id: str = GAME, t: float = 1090.0, *, ended: bool = False, lead: int = 4, edited_at: datetime = AT
) -> Snapshot:
    """A live game at ``t`` in which home has led by ``lead`` since the first play."""
    period = 1 if t < 720.0 else 2
    plays = (Play(1, 1, 30.0, lead, 0), Play(2, period, t, lead, 0)) if t else ()
    return Snapshot(game_id, "DET", "CHA", Status.LIVE, period, t, ended, plays, AT, edited_at)


def tick(snapshot: Snapshot, at: datetime = AT) -> Tick:
    return Tick(snapshot.game_id, snapshot, NIGHT, "live", at)


class FakeStore:
    """Keeps what a test asks about; ``refuse`` is raised for the ticks of that game."""

    def __init__(self) -> None:
        self.heads: dict[str, StoredTick] = {}
        self.forecasts: dict[tuple[str, int, int], StandingForecast] = {}
        self.decided: dict[str, str] = {}
        self.refuse: dict[str, Exception] = {}

    def ping(self) -> None:
        """Here."""

    def upsert_schedule(self, **_: object) -> None:
        """Known."""

    def latest_tick(self, game_id: str) -> StoredTick | None:
        return self.heads.get(game_id)

    def newest_tick_id(self, game_id: str) -> int | None:
        head = self.heads.get(game_id)
        return head and head.tick_id

    def disposition(self, game_id: str) -> str | None:
        return self.decided.get(game_id)

    def latest_forecast(self, game_id: str, minute: int = 18) -> StandingForecast | None:
        made = [each for (game, at, _), each in self.forecasts.items() if (game, at) == (game_id, minute)]
        return max(made, key=lambda each: each.revision, default=None)

    def advance(self, one: Tick, *, after: int | None) -> StoredTick:
        if one.game_id in self.refuse:
            raise self.refuse[one.game_id]
        self.expect_newest(one.game_id, after)
        head = self.heads.get(one.game_id)
        polled_at = one.polled_at
        if head is not None and head.polled_at > polled_at:
            polled_at = head.polled_at + timedelta(microseconds=1)
        self.heads[one.game_id] = StoredTick((after or 0) + 1, one.snapshot, polled_at)
        return self.heads[one.game_id]

    def expect_newest(self, game_id: str, tick_id: int | None) -> None:
        if tick_id != self.newest_tick_id(game_id):
            raise Overtaken(game_id)

    def record_disposition(self, game_id: str, disposition: str, reason: str) -> Decided:
        if len(reason) > 500:
            raise RowRefused("dispositions_reason_check")
        new = game_id not in self.decided
        return Decided(self.decided.setdefault(game_id, disposition), new)

    def record_actual(
        self, game_id: str, margin: int, home: int, away: int, *, state: str, source: str, seen: int
    ) -> ActualResult:
        self.expect_newest(game_id, seen)
        return ActualResult(Outcome.ALREADY, Actual(1, game_id, 0, margin, home, away, state, source, AT))

    def settle(self, game_id: str) -> list[object]:
        return []


@dataclass
class FakeIssuer:
    """Notes what was asked for, stores it and, at minute 18, decides the game; ``during`` happens meanwhile."""

    store: FakeStore
    asked: list[Tick] = field(default_factory=list)
    minutes: list[tuple[str, int, int]] = field(default_factory=list)
    broken: Exception | None = None
    during: Callable[[], None] | None = None

    def issue(
        self, one: Tick, pattern: tuple[int, ...], *, minute: int, revision: int, seen: int
    ) -> StandingForecast | None:
        key = (one.game_id, minute, revision)
        self.minutes.append(key)
        if minute == 18:
            self.asked.append(one)
        if self.during is not None:
            self.during()
        if self.broken is not None:
            raise self.broken
        self.store.expect_newest(one.game_id, seen)
        if minute == 18:
            self.store.decided.setdefault(one.game_id, "forecast")
        assert len(pattern) == minute
        if key in self.store.forecasts:
            return self.store.forecasts[key]
        made = prediction_row(one.game_id, minute=minute, pattern=tuple(map(float, pattern)))
        committed_at = AT + timedelta(seconds=len(self.store.forecasts))
        forecast = StandingForecast(1, *key, one.digest, 0, one.polled_at, None, AT, committed_at, made)
        self.store.forecasts[key] = forecast
        return forecast


@dataclass
class Bench:
    """A predictor with everything around it in memory; its clock stands still until a test moves it."""

    speed: float = 1.0
    store: FakeStore = field(default_factory=FakeStore)
    stream: MemoryTickStream = field(default_factory=MemoryTickStream)
    heard: Told = field(default_factory=Told)
    now: datetime = AT

    def __post_init__(self) -> None:
        self.issuer = FakeIssuer(self.store)
        self.predictor = self.new_predictor()

    def new_predictor(self, consumer: str = "test:1") -> Predictor:
        """One that remembers nothing, as after a kill or beside another."""
        return Predictor(
            cast(Store, self.store),
            self.stream,
            cast(ForecastIssuer, self.issuer),
            Announcer(self.heard),
            consumer=consumer,
            speed=self.speed,
            now=lambda: self.now,
        )

    def see(self, *snapshots: Snapshot) -> None:
        for snapshot in snapshots:
            self.stream.publish(tick(snapshot, self.now))

    def step(self) -> None:
        self.predictor.step(block_ms=0)
