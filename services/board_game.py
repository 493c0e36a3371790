"""What the board knows of one game, and how one more forecast changes it.

Units: margins and forecasts in points, home minus away.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from models.clock import OFFICIAL_MINUTE

StatusName = Literal["scheduled", "live", "final", "postponed"]


class Score(msgspec.Struct, frozen=True):
    """The scoreboard's line of a game; ``elapsed_s`` in game seconds, ``period`` 0 before tip-off."""

    league_date: str
    home: str
    away: str
    status: StatusName
    status_text: str
    period: int
    clock: str | None
    home_score: int
    away_score: int
    elapsed_s: float
    source: str


class Pattern(msgspec.Struct, frozen=True):
    """margin(1)..margin(minute) in points, home minus away."""

    minute: int
    margins: tuple[float, ...]


class SimilarGame(msgspec.Struct, frozen=True):
    """A past game; ``change`` from the pattern's last minute to 24, ``path`` margin at minutes 0..24."""

    date: str
    home: str
    away: str
    change: float
    margin_24: float
    path: tuple[float, ...] = ()


class LevelInterval(msgspec.Struct, frozen=True):
    """An interval that is meant to hold the outcome with probability ``level``."""

    level: float
    lower: float
    upper: float


class Distribution(msgspec.Struct, frozen=True):
    """How likely each margin is: ``probabilities[i]`` is P(margin(24) = first + i)."""

    first: int
    probabilities: tuple[float, ...]
    intervals: tuple[LevelInterval, ...] = ()


class Forecast(msgspec.Struct, frozen=True):
    """A forecast of margin(24), made at ``minute``; ``persistence`` is the margin at that minute."""

    minute: int
    revision: int
    point: float
    lower: float
    upper: float
    alpha: float
    persistence: float
    model_version: str
    prediction_id: str
    similar: tuple[SimilarGame, ...] = ()
    components: dict[str, float | None] = {}
    weights: dict[str, float | None] = {}
    committed_at: str | None = None
    distribution: Distribution | None = None


class Step(msgspec.Struct, frozen=True):
    """What was forecast at ``minute``, in points: one step of how the forecast moved."""

    minute: int
    revision: int
    point: float
    lower: float
    upper: float


class Settlement(msgspec.Struct, frozen=True):
    """The outcome beside the official forecast; ``actual`` is margin(24)."""

    state: Literal["provisional", "final"]
    revision: int
    actual: float
    home_24: int | None
    away_24: int | None
    error: float | None = None
    covered: bool | None = None
    point: float | None = None
    lower: float | None = None
    upper: float | None = None


class Disposition(msgspec.Struct, frozen=True):
    """How the night ended for this game."""

    disposition: Literal["forecast", "missed", "void"]
    reason: str | None = None


class Game(msgspec.Struct, frozen=True):
    """Everything the board knows of one game; a part is None until its first event.

    ``forecast`` is the official one, ``latest`` the one of the newest minute, ``trajectory`` what was forecast at each
    minute, in order.
    """

    game_id: str
    score: Score | None = None
    pattern: Pattern | None = None
    forecast: Forecast | None = None
    latest: Forecast | None = None
    trajectory: tuple[Step, ...] = ()
    settlement: Settlement | None = None
    disposition: Disposition | None = None
    updated_at: datetime | None = None


def forecast_added(game: Game, forecast: Forecast, at: datetime | None) -> Game:
    """``game`` with one more forecast; as it was when a higher revision of that minute is known."""
    step = Step(forecast.minute, forecast.revision, forecast.point, forecast.lower, forecast.upper)
    trajectory = joined(game.trajectory, (step,))
    if step not in trajectory:
        return game
    changed = {"latest": later(forecast, game.latest)}
    if forecast.minute == OFFICIAL_MINUTE:
        changed["forecast"] = later(forecast, game.forecast)
    return msgspec.structs.replace(game, trajectory=trajectory, updated_at=at, **changed)


def later(one: Forecast | None, other: Forecast | None) -> Forecast | None:
    """The one of the later minute, of one minute the higher revision."""
    if one is None or other is None:
        return one or other
    return one if (one.minute, one.revision) >= (other.minute, other.revision) else other


def joined(one: tuple[Step, ...], other: tuple[Step, ...]) -> tuple[Step, ...]:
    """Of each minute the highest revision; of equal ones that of ``other``."""
    best = {step.minute: step for step in sorted((*one, *other), key=lambda step: step.revision)}
    return tuple(best[minute] for minute in sorted(best))
