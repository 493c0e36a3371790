"""A feed whose clock the drill turns: it runs at the pace of real games, can be held, and can leap over minutes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import uvicorn

from services.replay_app import LIVE_DATA, create_app
from services.replay_clock import FeedClock
from services.replay_night import Night
from services.replay_rules import parse_rules
from tests.support.night_drill import DrillGame, drill_night
from tests.support.waiting import until


class SteeredClock(FeedClock):
    """Feed time at wall speed; ``hold`` stops it, ``leap_to`` moves it forward."""

    def __init__(self, begins_s: float) -> None:
        super().__init__(begins_s, 1.0)
        self._shift_s = 0.0
        self._held_at_s: float | None = None

    def now_s(self) -> float:
        """Feed time, epoch seconds."""
        return self._held_at_s if self._held_at_s is not None else super().now_s() + self._shift_s

    def hold(self) -> None:
        """Stops feed time: the feed goes on answering, always the same."""
        self._held_at_s = self.now_s()

    def release(self) -> None:
        """Lets feed time go on from where it was held."""
        assert self._held_at_s is not None
        held_at_s, self._held_at_s = self._held_at_s, None
        self._shift_s += held_at_s - self.now_s()

    def leap_to(self, elapsed_s: float) -> None:
        """Moves feed time to so many seconds after its beginning; AssertionError for a leap back."""
        by_s = self.begins_s + elapsed_s - self.now_s()
        assert by_s >= 0, f"{by_s:.0f} s: feed time only goes forward"
        self._shift_s += by_s


@dataclass(frozen=True)
class SteeredFeed:
    """The feed of a simulated night over HTTP. Moments of games are feed seconds since its beginning."""

    night: Night
    clock: SteeredClock
    games: tuple[DrillGame, ...]
    url: str

    def misbehave(self, rules: str) -> None:
        """From now on, as the replay's rules say."""
        self.night.misbehave(parse_rules(rules))

    def behave(self) -> None:
        """Answer properly again."""
        self.night.behave()


@contextlib.contextmanager
def steered_feed(day: date, marks_s: Sequence[float]) -> Iterator[SteeredFeed]:
    """The first games of a simulated slate, each at minute 18 so many feed seconds after the beginning."""
    night, games = drill_night(day, 1.0, marks_s)
    night.clock = clock = SteeredClock(night.clock.begins_s)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(night), log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            until(lambda: server.started)
            clock.start()
            yield SteeredFeed(night, clock, games, f"http://127.0.0.1:{listener.getsockname()[1]}{LIVE_DATA}")
        finally:
            server.should_exit = True
            thread.join(10)
