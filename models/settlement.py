"""A forecast meets what happened: its error, whether its interval covered, and when an outcome is final.

Settlement is provisional at halftime and final once the half has been stable: two minutes into the third quarter, or
at the end of the game. A later correction appends a revision; nothing is rewritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from models.game import HALFTIME_S, Snapshot, Status, half_over, halftime_score

STABLE_AFTER_S = 120.0


class OutcomeState(StrEnum):
    """Whether the halftime score may still change on review."""

    PROVISIONAL = "provisional"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The first half's result: points of both teams and home minus away."""

    home: int
    away: int
    state: OutcomeState

    @property
    def margin(self) -> int:
        """margin(24), home minus away."""
        return self.home - self.away


@dataclass(frozen=True, slots=True)
class Settled:
    """Error = actual minus point, in points; persistence_error = actual minus the margin when the forecast was made."""

    error: float
    covered: bool
    persistence_error: float


@dataclass(frozen=True, slots=True)
class SettledGame:
    """A forecast that has been answered: ``pattern`` is margin(1)..margin(minute), ``actual`` the margin at the half,
    ``rating`` the expected final margin the forecast used, None when it used none; ``possession`` who had the ball."""

    game_id: str
    date: date
    pattern: tuple[float, ...]
    minute: int
    rating: float | None
    actual: float
    possession: int = 0


def outcome(snapshot: Snapshot) -> Outcome | None:
    """The halftime outcome that ``snapshot`` shows, or None before the half has ended."""
    if not half_over(snapshot):
        return None
    home, away = halftime_score(snapshot)
    stable = snapshot.status is Status.FINAL or (snapshot.period > 2 and snapshot.t >= HALFTIME_S + STABLE_AFTER_S)
    return Outcome(home, away, OutcomeState.FINAL if stable else OutcomeState.PROVISIONAL)


def settle(*, point: float, lower: float, upper: float, persistence: int, actual: int) -> Settled:
    """Scores one forecast; the interval is closed, as margins are integers."""
    return Settled(
        error=actual - point, covered=lower <= actual <= upper, persistence_error=float(actual - persistence)
    )
