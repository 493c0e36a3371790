"""From snapshots to official forecasts and outcomes: the consumer of the tick stream.

A poll is a snapshot, so of everything waiting in the stream only the newest state of each game matters; that also
keeps a predictor that was away from forecasting a game whose half has ended meanwhile. Every step may be repeated: a
forecast is identified by game, minute and revision in PostgreSQL, and an entry is acknowledged only after its effects
are committed.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import structlog
from sqlalchemy.exc import OperationalError

from flows import wiring
from flows.announce import Announcer
from flows.issue import ForecastIssuer
from flows.lease import LeaseKeeper, holder_name
from flows.presence import Presence
from flows.settling import settle_game
from models.clock import OFFICIAL_MINUTE
from models.game import Snapshot, Status, Verdict, half_over, official_due, pattern, supersedes
from services.client import ForecasterError
from services.settings import get_settings
from services.store import Official, Store
from services.telemetry import configure_logging
from services.ticks import Delivery, Tick, TicksUnavailable

log = structlog.get_logger("predictor")

BATCH = 256
CLAIM_EVERY_S = 2.0


class Stream(Protocol):
    """What the predictor needs of the tick stream."""

    def consume(self, consumer: str, *, block_ms: int, count: int) -> Sequence[Delivery]: ...

    def claim_stale(self, consumer: str, *, min_idle_ms: int, count: int) -> Sequence[Delivery]: ...

    def ack(self, entry_ids: Sequence[str]) -> int: ...


@dataclass
class PredictCounts:
    """What the predictor did since it started."""

    ticks: int = 0
    skipped: int = 0
    forecasts: int = 0
    revisions: int = 0
    missed: int = 0
    void: int = 0
    settlements: int = 0
    waits: int = 0

    def line(self) -> str:
        return (
            f"{self.ticks} ticks ({self.skipped} overtaken), {self.forecasts} forecasts, {self.revisions} revisions,"
            f" {self.missed} missed, {self.void} void, {self.settlements} settlements, {self.waits} waits for a server"
        )


@dataclass
class _Game:
    """What is known of a game: read from PostgreSQL when first met, then kept in step with it."""

    head: Snapshot | None
    disposition: str | None
    official: Official | None
    trouble: str | None = None


@dataclass
class _Work:
    """What was taken from the stream for a game and is not acknowledged yet; only the newest tick needs to be kept."""

    entries: list[str] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)


class Predictor:
    """Consumes ticks until told to stop. ``consumer`` names this process in the consumer group."""

    def __init__(
        self,
        store: Store,
        stream: Stream,
        issuer: ForecastIssuer,
        announcer: Announcer,
        lease: LeaseKeeper,
        *,
        consumer: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._stream, self._issuer, self._announce = store, stream, issuer, announcer
        self._lease, self._consumer, self._now = lease, consumer, now
        self._games: dict[str, _Game] = {}
        self._work: dict[str, _Work] = {}
        self._claimed_at = float("-inf")
        self.counts = PredictCounts()

    def run(self, stop: threading.Event, *, stand_by: bool = True) -> bool:
        """Handles ticks until ``stop``; waits out servers that are away, losing nothing.

        While another predictor holds the lease, stands by or, told not to, returns False.
        """
        while not stop.is_set():
            if not self._lease.renew_if_due():
                if not stand_by:
                    return False
                self._forget()
                stop.wait(self._lease.retry_s)
                continue
            try:
                self.step(block_ms=200)
            except (TicksUnavailable, OperationalError) as error:
                self.counts.waits += 1
                self._forget()
                log.warning("waiting for a server", error=str(error).splitlines()[0])
                # Entries are not claimed again while the database is away: each claim counts towards the dead letter.
                while not stop.wait(0.5) and not self._reachable():
                    self.counts.waits += 1
        self._lease.give_back()
        return True

    def _reachable(self) -> bool:
        try:
            self._store.ping()
        except OperationalError:
            return False
        return True

    def _forget(self) -> None:
        """What is known of the games may be wrong now: read it again. What was taken from the stream is still owed."""
        self._games.clear()

    def step(self, block_ms: int) -> int:
        """Takes what waits in the stream and handles the newest state of each game; returns the entries taken."""
        deliveries = list(self._stream.consume(self._consumer, block_ms=0 if self._work else block_ms, count=BATCH))
        if time.monotonic() - self._claimed_at > CLAIM_EVERY_S:
            deliveries += self._stream.claim_stale(self._consumer, min_idle_ms=2000, count=BATCH)
            self._claimed_at = time.monotonic()
        for delivery in deliveries:
            work = self._work.setdefault(delivery.tick.game_id, _Work())
            work.entries.append(delivery.entry_id)
            work.ticks.append(delivery.tick)
        self.counts.ticks += len(deliveries)
        for game_id in list(self._work):
            if self._handle(game_id, self._work[game_id]):
                self._stream.ack(self._work[game_id].entries)
                del self._work[game_id]
        if self._work and not deliveries:
            time.sleep(block_ms / 1000)
        return len(deliveries)

    def _handle(self, game_id: str, work: _Work) -> bool:
        """Whether everything that the ticks call for is committed; what is owed stays in ``work``."""
        game = self._games.get(game_id) or self._read(game_id, work.ticks[0])
        newest: Tick | None = None
        for tick in work.ticks:
            verdict = supersedes(game.head, tick.snapshot)
            if verdict in (Verdict.NEW, Verdict.CORRECTION):
                self._store.record_tick(tick)
                game.head, newest = tick.snapshot, tick
            elif verdict is Verdict.SAME:
                # Delivered again, or still owed.
                newest = tick
        self.counts.skipped += len(work.ticks) - 1
        if newest is None:
            return True
        work.ticks = [newest]
        return self._act(game, newest)

    def _read(self, game_id: str, tick: Tick) -> _Game:
        self._store.upsert_schedule(
            game_id=game_id,
            source=tick.source,
            league_date=tick.league_date,
            home=tick.snapshot.home,
            away=tick.snapshot.away,
            tip_at=tick.tip_at,
        )
        game = _Game(
            head=self._store.latest_snapshot(game_id),
            disposition=self._store.disposition(game_id),
            official=self._store.latest_official(game_id, OFFICIAL_MINUTE),
        )
        self._games[game_id] = game
        return game

    def _act(self, game: _Game, tick: Tick) -> bool:
        """Does what ``tick`` calls for; False when the forecaster could not be asked now."""
        snapshot = tick.snapshot
        self._announce.progress(tick)
        try:
            if snapshot.status is Status.POSTPONED:
                self._decide(game, tick, "void", "postponed")
            elif official_due(snapshot) and game.disposition in (None, "forecast"):
                self._forecast(game, tick)
            elif half_over(snapshot):
                self._at_half(game, tick)
        except ForecasterError as error:
            self.counts.waits += 1
            game.trouble = str(error)
            log.warning("forecast owed", game_id=tick.game_id, error=str(error))
            return False
        return True

    def _forecast(self, game: _Game, tick: Tick) -> None:
        wanted, standing = pattern(tick.snapshot, OFFICIAL_MINUTE), game.official
        if standing is not None and wanted == tuple(standing.pattern):
            self._announce.forecast_again(tick, standing)
            return
        revision = 0 if standing is None else standing.revision + 1
        issued = self._issuer.issue(tick, wanted, minute=OFFICIAL_MINUTE, revision=revision)
        # What stands is what the database holds, whoever wrote it.
        game.official = self._store.latest_official(tick.game_id, OFFICIAL_MINUTE)
        game.disposition = self._store.disposition(tick.game_id)
        if issued is None:  # missed or void was decided first
            return
        self.counts.forecasts += issued.revision == 0
        self.counts.revisions += issued.revision > 0
        self._announce.forecast(tick, issued)

    def _at_half(self, game: _Game, tick: Tick) -> None:
        if game.disposition is None:
            why = "no snapshot was handled between 6:00 left in Q2 and the half"
            self._decide(game, tick, "missed", f"no forecast before the half: {game.trouble}" if game.trouble else why)
        if game.disposition == "void":
            return
        seen = settle_game(self._store, tick.snapshot)
        if seen.new:
            self.counts.settlements += seen.settled
            self._announce.settlement(tick, seen)

    def _decide(self, game: _Game, tick: Tick, disposition: str, reason: str) -> None:
        if game.disposition is not None:
            return
        kept = self._store.record_disposition(tick.game_id, disposition, reason)
        game.disposition = kept
        if kept == disposition:
            self.counts.missed += disposition == "missed"
            self.counts.void += disposition == "void"
            self._announce.disposition(tick, disposition, reason)


def _main() -> None:
    settings = get_settings()
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    with wiring.predictor(settings) as predictor:
        with Presence("run-predictions", holder_name(), predictor.counts.line):
            predictor.run(stop)
        log.info("predictor stops", figures=predictor.counts.line())


if __name__ == "__main__":
    configure_logging(get_settings().log_level)
    _main()
