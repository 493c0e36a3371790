"""What the predictor keeps between two steps. All of it may be lost: it is read again or delivered again."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.game import Snapshot
from services.store import Official
from services.ticks import Tick


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
    refused: int = 0

    def line(self) -> str:
        return (
            f"{self.ticks} ticks ({self.skipped} overtaken), {self.forecasts} forecasts, {self.revisions} revisions,"
            f" {self.missed} missed, {self.void} void, {self.settlements} settlements, {self.waits} waits for a server,"
            f" {self.refused} refused"
        )


@dataclass
class GameState:
    """What is known of a game: read from PostgreSQL when first met, then kept in step with it."""

    head: Snapshot | None
    disposition: str | None
    official: Official | None
    trouble: str | None = None


@dataclass
class Work:
    """What was taken from the stream for a game and is not acknowledged yet; only the newest tick needs to be kept."""

    entries: list[str] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
