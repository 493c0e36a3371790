"""The replay's clock: feed time that runs a number of times faster than the wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable


class FeedClock:
    """Epoch seconds of the night that is shown. Stands still at ``begins_s`` until it is started."""

    def __init__(self, begins_s: float, speed: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        if not 0 < speed <= 100_000:
            raise ValueError(f"speed {speed} is outside 0..100000: 60 shows an hour in a minute")
        self.begins_s, self.speed = begins_s, speed
        self._monotonic = monotonic
        self._started: float | None = None

    @property
    def started(self) -> bool:
        """Whether feed time is running."""
        return self._started is not None

    def start(self) -> None:
        """Let feed time run; a second call changes nothing."""
        if self._started is None:
            self._started = self._monotonic()

    def now_s(self) -> float:
        """Feed time, epoch seconds."""
        if self._started is None:
            return self.begins_s
        return self.begins_s + (self._monotonic() - self._started) * self.speed
