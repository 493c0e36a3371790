"""The live poller: one scoreboard request every 5 s of feed time, play-by-play only for games that changed.

Plain asyncio, no Prefect: the loop goes on whatever happens to the orchestrator. One poller runs at a time, held to
that by a lease; a second one stands by and takes over when the lease runs out. Nothing is kept between polls that the
next poll would not bring again, so a kill costs nothing but time.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from flows import wiring
from flows.lease import LeaseKeeper, holder_name
from flows.poll_counts import PollCounts
from flows.presence import Presence
from models.game import Snapshot, Status
from models.succession import Verdict, supersedes
from services.feed import Fetched
from services.feed_backoff import Backoff
from services.feed_errors import HOST_STATES, FeedBlocked, FeedError, FeedThrottled
from services.loop_metrics import PollerMetrics, served
from services.settings import get_settings
from services.telemetry import configure_logging
from services.ticks import Tick, TicksUnavailable
from services.trace import Ids, new_trace
from services.trace_spans import Value, exporting, span
from services.wire import ScoreboardGame, WireError

log = structlog.get_logger("poller")

# The play-by-play may lag the scoreboard behind a cache: ask again this many polls before believing it.
LAG_POLLS = 12
# What Redis forgot before it was handled is published again after this many polls: five minutes of feed time.
REMIND_POLLS = 60


class Feed(Protocol):
    """What the poller needs of the feed client."""

    async def scoreboard(self) -> Fetched[tuple[ScoreboardGame, ...]]: ...

    async def playbyplay(self, game: ScoreboardGame) -> Fetched[Snapshot]: ...


class Stream(Protocol):
    """What the poller needs of the tick stream."""

    def publish(self, tick: Tick) -> str: ...


@dataclass
class _Game:
    """The newest accepted snapshot of a game, as it was published, and the scoreboard line it answered."""

    head: Snapshot | None = None
    tick: Tick | None = None
    line: tuple[object, ...] | None = None
    lagging: int = 0


def _line(game: ScoreboardGame) -> tuple[object, ...]:
    return (game.status, game.status_text, game.period, game.clock_s, game.home_score, game.away_score)


class Poller:
    """Polls ``feed`` and publishes every new state of every game to ``stream``.

    ``interval_s`` is wall seconds between polls (feed seconds divided by the replay's speed).
    """

    def __init__(
        self,
        feed: Feed,
        stream: Stream,
        lease: LeaseKeeper,
        *,
        interval_s: float,
        source: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._feed, self._stream, self._lease = feed, stream, lease
        self._interval_s, self._source, self._now = interval_s, source, now
        self._games: dict[str, _Game] = {}
        self._rejected: set[str] = set()
        self._backoff = Backoff(base_s=interval_s, cap_s=max(60.0 * interval_s / 5.0, interval_s), seed=0)
        self.counts = PollCounts()
        self.metrics = PollerMetrics(self.counts, now)

    async def run(self, stop: asyncio.Event, *, stand_by: bool = True) -> bool:
        """Polls until ``stop``; while another poller holds the lease stands by or, told not to, returns False."""
        due = time.monotonic()
        while not stop.is_set():
            if not await self._lease.held():
                if not stand_by:
                    return False
                self._games.clear()  # whoever held the lease meanwhile has moved on
                self.counts.last_poll_at = None  # nor is the feed's age this one's to tell
                await _pause(stop, self._lease.retry_s)
                due = time.monotonic()
                continue
            wait_s = await self.poll_once()
            due += max(self._interval_s, wait_s)
            behind = time.monotonic() - due
            if behind > 0:
                self.counts.late_polls += 1
                due = time.monotonic()
            await _pause(stop, due - time.monotonic())
        await self._lease.release()
        return True

    async def poll_once(self) -> float:
        """One poll. Returns the seconds the feed asked to be left alone (0: poll again on time)."""
        self.counts.begin()
        began = time.monotonic()
        wait_s = await self._poll()
        self.metrics.polled(self.counts.outcome, time.monotonic() - began)
        return wait_s

    async def _poll(self) -> float:
        try:
            fetched = await self._feed.scoreboard()
        except FeedError as error:
            return self._failed(error)
        board = fetched.value
        self.counts.last_poll_at = self._now()
        self.counts.games = len(board)
        changed = [game for game in board if self._games.setdefault(game.game_id, _Game()).line != _line(game)]
        troubles = await asyncio.gather(*(self._refresh(game) for game in changed))
        self._tell_rejected(fetched.rejected)
        if self.counts.polls % REMIND_POLLS == 0:
            await asyncio.to_thread(self._remind)
        # Several games refused in one poll are one refusal: the feed wants to be left alone.
        refusals = [trouble for trouble in troubles if isinstance(trouble, (FeedBlocked, FeedThrottled))]
        if refusals:
            return self._backoff.failed(max(refusals, key=lambda refusal: refusal.retry_after_s or 0.0))
        self._backoff.succeeded()
        return 0.0

    def _tell_rejected(self, rejected: Sequence[WireError]) -> None:
        """A game whose line cannot be read is not followed: that must not go unseen, nor fill the log."""
        for error in rejected:
            if str(error) not in self._rejected:
                self._rejected.add(str(error))
                self.counts.failed(error)
                log.error("a line of the scoreboard cannot be read", error=str(error))

    def _remind(self) -> None:
        try:
            for tick in [known.tick for known in self._games.values() if known.tick is not None]:
                self._stream.publish(tick)
        except TicksUnavailable as error:
            self._log_failure(error, None)

    async def _refresh(self, game: ScoreboardGame) -> FeedError | None:
        """Asks for the plays of a game and publishes what is new; the feed's trouble with it, if any."""
        known = self._games[game.game_id]
        polled_at = self._now()
        try:
            snapshot = await self._snapshot(game)
        except FeedError as error:
            self._log_failure(error, game.game_id)
            return error
        verdict = supersedes(known.head, snapshot)
        if verdict is Verdict.STALE:
            self.counts.stale += 1
            log.info("stale play-by-play left aside", game_id=game.game_id, t=snapshot.t)
            return None
        behind = snapshot.status is not Status.SCHEDULED and snapshot.score != (game.home_score, game.away_score)
        known.lagging = known.lagging + 1 if behind else 0
        if not behind or known.lagging >= LAG_POLLS:
            known.line, known.lagging = _line(game), 0
        if verdict is not Verdict.SAME:
            about: dict[str, Value] = {"game_id": game.game_id, "period": snapshot.period, "clock_s": game.clock_s}
            try:
                with span("poll", new_trace(), about, kind="producer", began_at=polled_at) as trace:
                    tick = self._tick(game, snapshot, polled_at, trace)
                    await asyncio.to_thread(self._stream.publish, tick)
            except TicksUnavailable as error:
                known.line = None  # the next poll brings the same state again
                self._log_failure(error, game.game_id)
                return None
            known.head, known.tick = snapshot, tick
            self.counts.ticks += 1
        return None

    async def _snapshot(self, game: ScoreboardGame) -> Snapshot:
        if game.status is Status.LIVE or game.status is Status.FINAL:
            self.counts.play_by_plays += 1
            return (await self._feed.playbyplay(game)).value
        return Snapshot(game_id=game.game_id, home=game.home, away=game.away, status=game.status)

    def _tick(self, game: ScoreboardGame, snapshot: Snapshot, polled_at: datetime, trace: Ids | None) -> Tick:
        return Tick(
            game_id=game.game_id,
            snapshot=snapshot,
            league_date=game.league_date,
            tip_at=game.tip_at,
            status_text=game.status_text,
            source=self._source,
            polled_at=polled_at,
            trace=trace,
        )

    def _failed(self, error: FeedError) -> float:
        """Seconds to wait before the next poll; a state that is one file's own needs none, the next poll asks again."""
        self._log_failure(error, None)
        return self._backoff.failed(error) if isinstance(error, HOST_STATES) else 0.0

    def _log_failure(self, error: FeedError | TicksUnavailable, game_id: str | None) -> None:
        self.counts.failed(error)
        log.warning("poll failed", state=type(error).__name__, game_id=game_id, error=str(error))


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    try:
        await asyncio.wait_for(stop.wait(), timeout=seconds)
    except TimeoutError:
        return


async def _main() -> None:
    settings = get_settings()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    with exporting(settings.otlp_endpoint, "poller"):
        async with wiring.poller(settings) as poller:
            page = served(poller.metrics.registry, settings, "poller_metrics_port")
            with page, Presence("poll-live-games", holder_name(), poller.counts.line):
                await poller.run(stop)
            log.info("poller stops", figures=poller.counts.line())


if __name__ == "__main__":
    configure_logging(get_settings().log_level)
    asyncio.run(_main())
