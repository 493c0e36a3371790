"""The live path in one process on a clock that a test turns: replay feed, poller, stream, predictor, real PostgreSQL.

Nothing waits: each ``poll`` moves the feed's clock by five seconds and lets poller and predictor take one step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import httpx

from bentos.answering import ServedModel, answer
from bentos.contracts import PredictRequest, identify
from flows.announce import Announcer
from flows.issue import ForecastIssuer
from flows.lease import LeaseKeeper
from flows.poller import Poller
from flows.predictor import Predictor
from services.answer import Prediction
from services.client import ForecasterUnavailable
from services.feed import FeedClient
from services.replay_app import LIVE_DATA, create_app
from services.replay_night import Night
from services.replay_rules import parse_rules
from services.replay_sources import simulated_slate
from services.store import Store
from services.ticks import TickStream
from services.ticks_memory import MemoryTickStream
from tests.support.small_model import small_ensemble
from tests.support.told import Told

NIGHT = date(2023, 2, 3)


@dataclass
class FakeForecaster:
    """Answers as the service would, from a small model; ``away`` makes it unreachable."""

    model: ServedModel = field(
        default_factory=lambda: ServedModel("1", "d" * 64, small_ensemble(minutes=tuple(range(24))), "test")
    )
    away: bool = False
    asked: list[PredictRequest] = field(default_factory=list)

    def predict(self, pattern: Sequence[float], **fields: Any) -> Prediction:
        if self.away:
            raise ForecasterUnavailable("the test took it away")
        # The small model knows six teams of its own.
        request = PredictRequest(pattern=list(pattern), **(fields | {"home": None, "away": None}))
        self.asked.append(request)
        request_id, prediction_id = identify(request, None)
        return answer(self.model, request, request_id=request_id, prediction_id=prediction_id, now=datetime.now(UTC))


class Rig:
    """One night. ``games`` limits the slate to its first games; ``rules`` is how the feed misbehaves."""

    def __init__(
        self,
        store: Store,
        *,
        games: int = 2,
        rules: str = "",
        night: Night | None = None,
        stream: TickStream | MemoryTickStream | None = None,
    ) -> None:
        self.now_s = 0.0
        if night is None:
            slate = simulated_slate(league_date=NIGHT)
            chosen = sorted(slate.games, key=lambda game: game.tip_s)[:games]
            slate = type(slate)(slate.league_date, slate.source, tuple(chosen))
            night = Night(slate, 1.0, parse_rules(rules), monotonic=lambda: self.now_s)
        self.night = night
        self.store = store
        self.stream = stream or MemoryTickStream()
        self.forecaster = FakeForecaster()
        self.told = Told()
        self.loop = asyncio.new_event_loop()
        self.feed = FeedClient(
            f"http://127.0.0.1{LIVE_DATA}", transport=httpx.ASGITransport(create_app(night)), timeout_s=0.2
        )
        self.poller = self.new_poller()
        self.predictor = self.new_predictor()
        night.clock.start()

    def new_poller(self) -> Poller:
        """A poller that remembers nothing, as after a kill."""
        lease = LeaseKeeper(self.store, "poller", "test:1")
        return Poller(self.feed, self.stream, lease, interval_s=5.0, source=self.night.slate.source)

    def new_predictor(self, consumer: str = "test:1") -> Predictor:
        """A predictor that remembers nothing, as after a kill or beside another."""
        return Predictor(
            self.store,
            self.stream,
            ForecastIssuer(self.forecaster, self.store, 0.1),
            Announcer(self.told),
            consumer=consumer,
        )

    @property
    def elapsed_s(self) -> float:
        """Feed seconds since the replay began."""
        return self.now_s

    def poll(self, *, predict: bool = True) -> None:
        """Five seconds of feed time, one poll, and what the predictor makes of it."""
        self.now_s += 5.0
        self.loop.run_until_complete(self.poller.poll_once())
        if predict:
            self.predictor.step(block_ms=0)

    def play(self, until_s: float | None = None, *, every_s: float = 5.0) -> None:
        """Polls until feed second ``until_s`` of the night, or until every half has been stable for ten minutes."""
        end = until_s if until_s is not None else max(game.timeline.half_s for game in self.night.games) + 2400.0
        end_s = end if until_s is not None else end - self.night.clock.begins_s
        while self.now_s < end_s:
            self.now_s += every_s - 5.0
            self.poll()

    def half_s(self, place: int = 0) -> float:
        """Feed second at which the first half of a game ends."""
        return self.night.games[place].timeline.half_s - self.night.clock.begins_s

    def close(self) -> None:
        """Ends the loop and the feed's session."""
        self.loop.run_until_complete(self.feed.aclose())
        self.loop.close()
