"""What a poller did since it started: for its log, for Prefect, and for its metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from services.feed_errors import FeedError, FeedMalformed
from services.loop_metrics import NOT_QUEUED
from services.ticks import TicksUnavailable
from services.wire import WireError


@dataclass
class PollCounts:
    """``outcome`` is the newest poll's: ``ok`` or its first trouble, under the short name that metrics have for it."""

    polls: int = 0
    play_by_plays: int = 0
    ticks: int = 0
    stale: int = 0
    late_polls: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    games: int = 0
    last_poll_at: datetime | None = None
    outcome: str = "ok"

    def begin(self) -> None:
        """A poll begins."""
        self.polls += 1
        self.outcome = "ok"

    def failed(self, error: FeedError | TicksUnavailable | WireError) -> None:
        """Something of the poll failed: the scoreboard, the plays of one game, or one tick's way into the queue."""
        name = type(error).__name__
        self.failures[name] = self.failures.get(name, 0) + 1
        if self.outcome == "ok":
            self.outcome = outcome_of(error)

    def line(self) -> str:
        """All of it in one line."""
        failures = ", ".join(f"{name} {count}" for name, count in sorted(self.failures.items())) or "none"
        return (
            f"{self.polls} polls, {self.games} games on the board, {self.play_by_plays} play-by-plays,"
            f" {self.ticks} ticks, {self.stale} stale, {self.late_polls} late, failures: {failures}"
        )


def outcome_of(error: FeedError | TicksUnavailable | WireError) -> str:
    """The short name of a trouble; a line of the scoreboard that cannot be read is malformed as a whole file is."""
    if isinstance(error, FeedError):
        return error.state
    return NOT_QUEUED if isinstance(error, TicksUnavailable) else FeedMalformed.state
