"""How long to wait after a failed poll."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

from services.feed_errors import FeedError

RETRY_AFTER_CAP_S: Final = 900.0


@dataclass
class Backoff:
    """Doubling waits with jitter, in wall seconds; no clock and no sleep of its own.

    The n-th failure in a row waits between half and all of ``min(cap_s, base_s * 2**(n - 1))``, but never less than the
    server asked for (up to a quarter of an hour). The jitter is drawn from ``seed`` alone.
    """

    base_s: float
    cap_s: float
    seed: int = 0
    failures: int = field(default=0, init=False)
    _random: Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.base_s <= self.cap_s:
            raise ValueError(f"back-off from {self.base_s} s to {self.cap_s} s: choose 0 < base_s <= cap_s")
        self._random = Random(self.seed)  # noqa: S311

    def failed(self, error: FeedError) -> float:
        """Count a failure; seconds to wait before the next try."""
        ceiling = min(self.cap_s, self.base_s * 2.0 ** min(self.failures, 60))
        self.failures += 1
        wait_s = ceiling * (0.5 + 0.5 * self._random.random())
        return max(wait_s, min(error.retry_after_s or 0.0, RETRY_AFTER_CAP_S))

    def succeeded(self) -> None:
        """Start again from the shortest wait."""
        self.failures = 0
