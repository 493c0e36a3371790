"""What the predictor keeps between two steps. All of it may be lost: it is read again or delivered again."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.settlement import Outcome
from services.store import StandingForecast, StoredTick
from services.ticks import Tick


@dataclass
class PredictCounts:
    """What the predictor did since it started. ``minutes`` are forecasts that are not official, revisions included;
    ``passed`` counts minutes of a game being played that went by without one."""

    ticks: int = 0
    skipped: int = 0
    forecasts: int = 0
    revisions: int = 0
    minutes: int = 0
    passed: int = 0
    missed: int = 0
    void: int = 0
    settlements: int = 0
    waits: int = 0
    refused: int = 0
    overtaken: int = 0

    def line(self) -> str:
        return (
            f"{self.ticks} ticks ({self.skipped} passed over), {self.forecasts} forecasts, {self.revisions} revisions,"
            f" {self.minutes} forecasts of other minutes ({self.passed} minutes passed without),"
            f" {self.missed} missed, {self.void} void, {self.settlements} settlements, {self.waits} waits for a server,"
            f" {self.refused} refused, {self.overtaken} times another predictor was at the game"
        )


@dataclass
class GameState:
    """What is known of a game: read from PostgreSQL when first met, and again when another predictor was at it.

    ``head`` is its newest stored tick. ``standing`` holds the forecast of each minute looked for so far, None where
    there was none. ``minute`` is the newest that was due, ``trouble`` why the official forecast is owed,
    ``minute_trouble`` why no other was made, ``refused`` the pattern that the forecaster refuses, ``outcome`` the one
    that the forecasts are settled against.
    """

    head: StoredTick | None
    disposition: str | None
    standing: dict[int, StandingForecast | None] = field(default_factory=dict)
    minute: int | None = None
    trouble: str | None = None
    minute_trouble: str | None = None
    refused: tuple[int, ...] | None = None
    outcome: Outcome | None = None


@dataclass
class Work:
    """What was taken from the stream for a game and is not acknowledged yet; only the newest tick needs to be kept."""

    entries: list[str] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
