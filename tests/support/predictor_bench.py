"""A predictor with everything around it in memory, on a clock that stands still until a test moves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import cast

from flows.announce import Announcer
from flows.issue import ForecastIssuer
from flows.lease import LeaseKeeper
from flows.predictor import Predictor
from models.game import Play, Snapshot, Status
from services.broadcast import Event
from services.database import RowRefused
from services.store import Outcome, StandingForecast, Store
from services.store_rows import Actual, ActualResult
from services.ticks import Tick
from services.ticks_memory import MemoryTickStream
from tests.support.rows import prediction_row

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
        self.heads: dict[str, Snapshot] = {}
        self.forecasts: dict[tuple[str, int, int], StandingForecast] = {}
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
        made = [each for (game, at, _), each in self.forecasts.items() if (game, at) == (game_id, minute)]
        return max(made, key=lambda each: each.revision, default=None)

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
    """Notes what was asked for, stores it and, at minute 18, decides the game; ``during`` happens meanwhile."""

    store: FakeStore
    asked: list[Tick] = field(default_factory=list)
    minutes: list[tuple[str, int, int]] = field(default_factory=list)
    broken: Exception | None = None
    during: Callable[[], None] | None = None

    def issue(self, one: Tick, pattern: tuple[int, ...], *, minute: int, revision: int) -> StandingForecast | None:
        key = (one.game_id, minute, revision)
        self.minutes.append(key)
        if minute == 18:
            self.asked.append(one)
        if self.during is not None:
            self.during()
        if self.broken is not None:
            raise self.broken
        if minute == 18:
            self.store.decided.setdefault(one.game_id, "forecast")
        assert len(pattern) == minute
        assert key not in self.store.forecasts
        made = prediction_row(one.game_id, minute=minute, pattern=tuple(map(float, pattern)))
        forecast = StandingForecast(1, *key, one.digest, 0, one.polled_at, None, AT, AT, made)
        self.store.forecasts[key] = forecast
        return forecast


class Listener:
    """Remembers what it was told; ``broken`` is raised instead."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.broken: Exception | None = None

    def publish(self, event: Event) -> str:
        self.events.append(event)
        if self.broken is not None:
            raise self.broken
        return "1-0"


@dataclass
class Bench:
    """A predictor with everything around it in memory; its clock stands still until a test moves it."""

    speed: float = 1.0
    store: FakeStore = field(default_factory=FakeStore)
    stream: MemoryTickStream = field(default_factory=MemoryTickStream)
    heard: Listener = field(default_factory=Listener)
    now: datetime = AT

    def __post_init__(self) -> None:
        self.issuer = FakeIssuer(self.store)
        self.predictor = self.new_predictor()

    def new_predictor(self) -> Predictor:
        """One that remembers nothing, as after a kill."""
        return Predictor(
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
            self.stream.publish(tick(snapshot, self.now))

    def step(self) -> None:
        self.predictor.step(block_ms=0)
