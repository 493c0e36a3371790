"""What a long command tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from infra.service import Event


@dataclass(frozen=True)
class NightProgress:
    """Where the replayed night is: shown while it runs."""

    feed_now: datetime
    games: int
    forecast: int
    missed: int
    void: int
    settled: int
    final: int

    @property
    def decided(self) -> int:
        """Games that have a disposition."""
        return self.forecast + self.missed + self.void


class Watcher:
    """What the night tells whoever watches; the command line draws it, tests ignore it."""

    def stage(self, text: str) -> None:
        """A new stage begins."""

    def share(self, text: str, done: float) -> None:
        """The share 0..1 of the present stage that is done."""

    def service(self, event: Event) -> None:
        """A service of the stack changed its state."""

    def night(self, progress: NightProgress) -> None:
        """The replayed night moved on."""
