"""A short night for drills: simulated games put side by side around minute 18, and kills planned by the feed's clock.

Nothing waits for tip-offs: the feed begins in the second quarter, the games reach 6:00 one after the other, and the
halftime break lasts a minute. Between 6:00 and the half everything is as it was played.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import uvicorn

from infra.detached import read_status
from infra.service import State
from services.replay_app import LIVE_DATA, create_app
from services.replay_clock import FeedClock
from services.replay_night import Night
from services.replay_slate import Script, Slate
from services.replay_sources import simulated_slate
from services.settings import Settings

BREAK_S = 60.0


@dataclass(frozen=True)
class DrillGame:
    """A game and the wall seconds, since the feed's clock started, of its minute 18 and of its half."""

    game_id: str
    mark_wall_s: float
    half_wall_s: float


@dataclass
class DrillFeed:
    """A night on its own HTTP server; nothing moves before ``start``."""

    night: Night
    games: tuple[DrillGame, ...]
    url: str
    started_at: datetime | None = None

    def start(self) -> None:
        """Lets the feed's clock run."""
        self.night.clock.start()
        self.started_at = datetime.now(UTC)

    def wall_s(self) -> float:
        """Wall seconds since the start."""
        return (self.night.clock.now_s() - self.night.clock.begins_s) / self.night.clock.speed

    def at(self, wall_s: float) -> datetime:
        """Wall time of a moment of the drill, aware UTC."""
        assert self.started_at is not None
        return self.started_at + timedelta(seconds=wall_s)


def staged(script: Script, mark_s: float) -> tuple[Script, float]:
    """The game moved so that minute 18 is reached at ``mark_s``, and when its half then ends (epoch seconds)."""
    mark = next(row.at_s for row in script.rows if row.period == 2 and row.remaining_s <= 360)
    half = next(row.at_s for row in script.rows if row.period == 2 and row.remaining_s == 0)
    resumed = next(row.at_s for row in script.rows if row.period == 3)
    shift, cut = mark_s - mark, max(0.0, resumed - half - BREAK_S)
    rows = tuple(row._replace(at_s=row.at_s + shift - (cut if row.period >= 3 else 0.0)) for row in script.rows)
    return replace(script, rows=rows), half + shift


def drill_night(day: date, speed: float, marks_wall_s: Sequence[float]) -> tuple[Night, tuple[DrillGame, ...]]:
    """The first games of a simulated slate, each at minute 18 after so many wall seconds."""
    slate = simulated_slate(league_date=day)
    begins_s = slate.games[0].tip_s
    scripts, games = [], []
    for script, mark_wall_s in zip(slate.games, marks_wall_s, strict=False):
        moved, half_s = staged(script, begins_s + mark_wall_s * speed)
        scripts.append(moved)
        games.append(DrillGame(script.game_id, mark_wall_s, (half_s - begins_s) / speed))
    night = Night(Slate(slate.league_date, slate.source, tuple(scripts)), speed)
    night.clock = FeedClock(begins_s, speed)
    return night, tuple(games)


@contextlib.contextmanager
def drill_feed(day: date, speed: float, marks_wall_s: Sequence[float]) -> Iterator[DrillFeed]:
    """The feed of such a night, served until the end of the block."""
    night, games = drill_night(day, speed, marks_wall_s)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(night), log_level="warning", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield DrillFeed(night, games, f"http://127.0.0.1:{listener.getsockname()[1]}{LIVE_DATA}")
        finally:
            server.should_exit = True
            thread.join(10)


@dataclass(frozen=True)
class Kill:
    """SIGKILL to a service's process after so many wall seconds."""

    wall_s: float
    service: str


@dataclass
class Killer:
    """Carries out a plan and notes, ten times a second, whether every service of the live path was there."""

    settings: Settings
    feed: DrillFeed
    plan: list[Kill]
    done: list[tuple[Kill, int]] = field(default_factory=list)
    complete: list[tuple[float, bool]] = field(default_factory=list)

    def step(self) -> None:
        """Kills what is due. A service that is not back yet is killed as soon as it is."""
        status = read_status(self.settings)
        assert status is not None
        assert status.running
        now_s = self.feed.wall_s()
        found = {service.name: service for service in status.services}
        watched = [found[name] for name in ("forecaster", "predictor", "poller")]
        self.complete.append((now_s, all(each.state == State.READY and each.pid is not None for each in watched)))
        for kill in [each for each in self.plan if each.wall_s <= now_s]:
            service = found[kill.service]
            if service.state == State.READY and service.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(service.pid, signal.SIGKILL)
                    self.done.append((kill, service.pid))
                self.plan.remove(kill)
        time.sleep(0.1)

    def complete_s(self, begin_wall_s: float, end_wall_s: float) -> float:
        """Seconds between two moments in which the whole live path was there."""
        total = 0.0
        for (at_s, there), (next_s, _) in zip(self.complete, self.complete[1:], strict=False):
            if there and begin_wall_s <= at_s and next_s <= end_wall_s:
                total += next_s - at_s
        return total
