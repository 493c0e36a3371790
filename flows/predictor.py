"""From snapshots to forecasts and outcomes: the consumer of the tick stream.

A poll is a snapshot, so of everything waiting in the stream only the newest state of each game matters: a predictor
that was away reads to the stream's end before it acts. And a forecast is made only from a snapshot so young that the
half cannot have ended since; an older one waits for the next. Every step may be repeated: a forecast is identified by
game, minute and revision in PostgreSQL, and an entry is acknowledged only after its effects are committed. Forecasts
of the minutes between are no such effect: nobody owes them, and an official forecast never waits behind more than one.

Any number of predictors share the stream; each tick goes to one of them. What one writes of a game is refused by the
database when another has stored a newer state: it reads the game again and judges anew.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import structlog

from flows import wiring
from flows.announce import Announcer
from flows.game_steps import GameSteps
from flows.issue import ForecastIssuer
from flows.lease import holder_name
from flows.predict_state import GameState, PredictCounts, Work
from flows.presence import Presence
from models.succession import Verdict, supersedes
from services.loop_metrics import PredictorMetrics, served
from services.settings import get_settings
from services.store import DatabaseUnavailable, Overtaken, RowRefused, Store, StoreError
from services.telemetry import configure_logging
from services.ticks import Delivery, Tick, TicksUnavailable
from services.trace_spans import exporting, note_span

log = structlog.get_logger("predictor")

BATCH = 256
BETWEEN_S = 0.5
# What a predictor has in hand it says every so often, and it is never silent for long: what nobody spoke of for this
# long was left by one that died or hangs.
HOLD_EVERY_S = 2.0
SILENT_MS = 10_000
FORGET_MS = 3_600_000


class Stream(Protocol):
    """What the predictor needs of the tick stream."""

    def consume(self, consumer: str, *, block_ms: int, count: int) -> Sequence[Delivery]: ...

    def claim_stale(self, consumer: str, *, min_idle_ms: int, count: int) -> Sequence[Delivery]: ...

    def hold(self, consumer: str, entry_ids: Sequence[str]) -> None: ...

    def at_work(self, consumer: str, *, within_ms: int) -> Sequence[str]: ...

    def forget(self, *, min_idle_ms: int) -> int: ...

    def ack(self, entry_ids: Sequence[str]) -> int: ...


class Predictor:
    """Consumes ticks until told to stop.

    ``consumer`` names this process in the consumer group, ``speed`` is how many feed seconds pass in a wall second.
    ``metrics`` are those that ``issuer`` and ``announcer`` count in too.
    """

    def __init__(
        self,
        store: Store,
        stream: Stream,
        issuer: ForecastIssuer,
        announcer: Announcer,
        *,
        consumer: str,
        speed: float = 1.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        metrics: PredictorMetrics | None = None,
    ) -> None:
        self._store, self._stream, self._announcer, self._now = store, stream, announcer, now
        self._consumer = consumer
        self._games: dict[str, GameState] = {}
        self._troubles: dict[str, tuple[str | None, str | None, tuple[int, ...] | None]] = {}
        self._work: dict[str, Work] = {}
        self._minutes: dict[str, Tick] = {}
        self._arrived: list[Tick] = []
        self._held_at = float("-inf")
        self.counts = PredictCounts()
        self.metrics = metrics or PredictorMetrics()
        self._steps = GameSteps(store, issuer, announcer, self.counts, speed=speed, now=now)

    def run(self, stop: threading.Event) -> None:
        """Handles ticks until ``stop``; waits out servers that are away, losing nothing."""
        while not stop.is_set():
            try:
                self.step(block_ms=200)
            except (TicksUnavailable, StoreError) as error:
                self.counts.waits += 1
                self.metrics.failed("stream" if isinstance(error, TicksUnavailable) else "database")
                self._forget()
                log.warning("waiting for a server", error=str(error).splitlines()[0])
                # Entries are not claimed again while the database is away: each claim counts towards the dead letter.
                while not stop.wait(0.5) and not self._reachable():
                    self.counts.waits += 1
                    with suppress(TicksUnavailable):
                        self._hold()

    def others(self) -> list[str]:
        """Predictors that are at work now, by name. Raises TicksUnavailable."""
        return list(self._stream.at_work(self._consumer, within_ms=SILENT_MS))

    def _reachable(self) -> bool:
        try:
            self._store.ping()
        except DatabaseUnavailable:
            return False
        return True

    def _forget(self) -> None:
        """What is known of the games may be wrong now: read it again. What was taken from the stream is still owed."""
        self._games.clear()
        self._minutes.clear()

    def step(self, block_ms: int) -> int:
        """Takes all that waits in the stream and handles the newest state of each game; returns the entries taken."""
        taken = self._take(block_ms)
        self._arrived.clear()
        self._steps.forget_trouble()
        for game_id, work in list(self._work.items()):
            if self._handled(game_id, partial(self._handle, game_id, work), tries=3):
                self._stream.ack(work.entries)
                del self._work[game_id]
        self._between()
        if self._work and not taken:
            time.sleep(block_ms / 1000)
        return taken

    def _take(self, block_ms: int) -> int:
        """To the stream's end: what is behind the first batch may show that a half is over."""
        taken = 0
        pending = self._work or self._minutes
        batch = self._stream.consume(self._consumer, block_ms=0 if pending else block_ms, count=BATCH)
        while batch:
            taken += self._owe(batch)
            batch = self._stream.consume(self._consumer, block_ms=0, count=BATCH)
        if self._hold():
            taken += self._owe(self._stream.claim_stale(self._consumer, min_idle_ms=SILENT_MS, count=BATCH))
        self.counts.ticks += taken
        return taken

    def _hold(self) -> bool:
        """Says now and then that this process is at work, and on what; whether it did."""
        if time.monotonic() - self._held_at < HOLD_EVERY_S:
            return False
        if self._held_at == float("-inf"):
            self._stream.forget(min_idle_ms=FORGET_MS)
        self._stream.hold(self._consumer, [entry for work in self._work.values() for entry in work.entries])
        self._held_at = time.monotonic()
        return True

    def _owe(self, deliveries: Sequence[Delivery]) -> int:
        taken_at = self._now()
        for delivery in deliveries:
            work = self._work.setdefault(delivery.tick.game_id, Work())
            work.entries.append(delivery.entry_id)
            work.ticks.append(replace(delivery.tick, taken_at=taken_at))
            self._arrived.append(delivery.tick)
        return len(deliveries)

    def _between(self) -> None:
        """Forecasts of minutes that are not official, one game after the other until an official one falls due.

        What a slow forecaster leaves over goes on with the next step, so that new ticks are not kept waiting.
        """
        until = time.monotonic() + BETWEEN_S
        while self._minutes and time.monotonic() < until and not self._official_waits():
            game_id = next(iter(self._minutes))
            tick, game = self._minutes.pop(game_id), self._games.get(game_id)
            # A state that was left behind meanwhile is forecast no more.
            if game is not None and game.head is not None and game.head.snapshot.digest == tick.digest:
                self._handled(game_id, partial(self._steps.minute, game, tick))
                self._take(0)

    def _official_waits(self) -> bool:
        """Among what came since the step began: one that is owed for longer waits for something else."""
        return any(self._steps.official_waits(self._games.get(tick.game_id), tick.snapshot) for tick in self._arrived)

    def _handled(self, game_id: str, act: Callable[[], bool | None], tries: int = 1) -> bool:
        """What ``act`` says; a game that breaks a rule of the tables is done with: trying again cannot help.

        What another predictor has overtaken is read and judged anew, ``tries`` times in all, and then not done yet.
        """
        for _ in range(tries):
            try:
                return act() is not False
            except Overtaken as error:
                self.counts.overtaken += 1
                self._drop(game_id)
                log.debug("overtaken by another predictor", game_id=game_id, error=str(error))
            except RowRefused as error:
                self.counts.refused += 1
                self.metrics.failed("row_refused")
                self._games.pop(game_id, None)
                log.error("game left aside until its next tick", game_id=game_id, error=str(error))
                return True
        return False

    def _handle(self, game_id: str, work: Work) -> bool:
        """Whether everything that the ticks call for is committed; what is owed stays in ``work``."""
        game = self._known(game_id) or self._read(game_id, work.ticks[0])
        newest: Tick | None = None
        for tick in work.ticks:
            head = game.head
            since = None if head is None else head.polled_at
            later = since is None or tick.polled_at > since
            verdict = supersedes(head and head.snapshot, tick.snapshot, later=later or tick.polled_at == since)
            if verdict in (Verdict.NEW, Verdict.CORRECTION):
                game.head, newest = self._store.advance(tick, after=head and head.tick_id), tick
                assert tick.taken_at is not None
                note_span("queue", tick.trace, tick.queued_at, tick.taken_at, {"game_id": game_id}, kind="consumer")
            elif verdict is Verdict.SAME:
                # Delivered again, or still owed; or a state that came back before what was between was handled, which
                # must find that it is older.
                newest = tick
                if later:
                    game.head = self._store.advance(tick, after=head and head.tick_id)
        self.counts.skipped += len(work.ticks) - 1
        if newest is None:
            return True
        work.ticks = [newest]
        done = self._steps.act(game, newest)
        if self._steps.minute_due(game, newest.snapshot):
            self._minutes[game_id] = newest
        else:
            self._minutes.pop(game_id, None)
        return done

    def _known(self, game_id: str) -> GameState | None:
        """What is kept of a game, unless another predictor has stored a newer state of it."""
        game = self._games.get(game_id)
        if game is not None and self._store.newest_tick_id(game_id) != (game.head and game.head.tick_id):
            self._drop(game_id)
            return None
        return game

    def _drop(self, game_id: str) -> None:
        """Reads the game again when it is met next; why its forecast is owed stays known."""
        if (gone := self._games.pop(game_id, None)) is not None:
            self._troubles[game_id] = (gone.trouble, gone.minute_trouble, gone.refused)
        self._minutes.pop(game_id, None)
        self._announcer.forget(game_id)

    def _read(self, game_id: str, tick: Tick) -> GameState:
        self._store.upsert_schedule(
            game_id=game_id,
            source=tick.source,
            league_date=tick.league_date,
            home=tick.snapshot.home,
            away=tick.snapshot.away,
            tip_at=tick.tip_at,
        )
        game = GameState(self._store.latest_tick(game_id), self._store.disposition(game_id))
        game.trouble, game.minute_trouble, game.refused = self._troubles.pop(game_id, (None, None, None))
        self._games[game_id] = game
        return game


def _main() -> None:
    settings = get_settings()
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    with exporting(settings.otlp_endpoint, "predictor"), wiring.predictor(settings) as predictor:
        page = served(predictor.metrics.registry, settings, "predictor_metrics_port")
        with page, Presence("run-predictions", holder_name(), predictor.counts.line):
            predictor.run(stop)
        log.info("predictor stops", figures=predictor.counts.line())


if __name__ == "__main__":
    configure_logging(get_settings().log_level)
    _main()
