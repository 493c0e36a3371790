"""What a forecast is, and what a forecaster may refuse.

Every refusal is a ForecastError whose message says what was wrong, the value, and what to do:

    ForecastError (ValueError)
    ├── BadPattern            length, type, NaN or a margin no game shows
    ├── BadAlpha              alpha outside (0, 1)
    ├── BadRating             a rating difference that is not a usable number
    ├── BadPossession         something other than 1, 0 or -1
    ├── UnsupportedMinute     the model has no weights or calibration for this minute
    ├── UnknownTeam           a tricode the ratings have never seen, or a team against itself
    ├── CalibrationTooSmall   the calibration set cannot support this alpha
    └── BrokenForecast        the answer failed its post-condition; a fault of the model, never of the request
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, NamedTuple, Protocol

from models.clock import HALFTIME_MINUTE
from models.distribution import MarginDistribution

MAX_MARGIN = 100.0
MAX_RATING = 60.0


class ForecastError(ValueError):
    """A forecast that cannot be made honestly."""


class BadPattern(ForecastError):
    """The pattern is not ``minute`` finite margins."""


class BadAlpha(ForecastError):
    """alpha is outside (0, 1)."""


class BadRating(ForecastError):
    """The pre-game rating difference is not a finite number of points a game can have."""


class BadPossession(ForecastError):
    """Who has the ball is not 1 (home), -1 (away) or 0 (nobody, or not known)."""


class UnsupportedMinute(ForecastError):
    """No weights or calibration for this minute."""


class UnknownTeam(ForecastError):
    """A tricode the ratings do not hold, or the same tricode twice."""


class CalibrationTooSmall(ForecastError):
    """The calibration set has ``n`` games, alpha needs ``needed``."""

    def __init__(self, n: int, needed: int, alpha: float) -> None:
        self.n, self.needed, self.alpha = n, needed, alpha
        least = f"the smallest alpha this set supports is {1 / (n + 1):.4g}" if n else "it is empty"
        super().__init__(
            f"alpha {alpha:g} needs a calibration set of at least {needed} games, this one has {n}: {least}; "
            f"ask for a larger alpha or calibrate on more games"
        )


class BrokenForecast(ForecastError):
    """Not finite, or the interval does not hold its point."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval of margins, in points. The ends are real numbers and are not rounded: rounding them outwards
    to whole points would cover more than was asked for. A margin is a whole number, so the interval says the same as
    ``integers``, the closed range of whole margins inside it."""

    lower: float
    upper: float

    def covers(self, actual: float) -> bool:
        """Whether ``actual`` lies in the closed interval."""
        return self.lower <= actual <= self.upper

    @property
    def width(self) -> float:
        """upper - lower, in points."""
        return self.upper - self.lower

    @property
    def integers(self) -> tuple[int, int]:
        """First and last whole margin inside; first > last when a very narrow interval holds none."""
        return math.ceil(self.lower), math.floor(self.upper)


@dataclass(frozen=True, slots=True)
class Components:
    """What each component alone says the margin at the half will be, and what having the ball adds to it, in points."""

    dejavu: float
    lstm: float
    persistence: float
    possession: float


@dataclass(frozen=True, slots=True)
class Weights:
    """Shares of the components in the point: each in 0..1, together 1."""

    dejavu: float
    lstm: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.dejavu <= 1.0 and 0.0 <= self.lstm <= 1.0 and self.dejavu + self.lstm <= 1.0 + 1e-9):
            raise ValueError(
                f"weights dejavu {self.dejavu}, lstm {self.lstm}: each must be in 0..1, their sum at most 1"
            )

    @property
    def persistence(self) -> float:
        """What is left: the share of "the margin stays as it is"."""
        return max(0.0, 1.0 - self.dejavu - self.lstm)


class SimilarGame(NamedTuple):
    """A past game that looked like this one. ``pattern`` is margin(1)..margin(minute), ``path`` margin(0)..margin(24),
    ``change`` what happened next: margin(24) - margin(minute), ``rating`` the final margin expected before its tip-off.
    ``similarity_distance`` is the distance Dejavu ranks by, in points a minute: 0 is the same path and, when the
    rating was asked about too, teams as unequal."""

    game_id: str
    date: date
    home: str
    away: str
    similarity_distance: float
    pattern: list[int]
    change: int
    margin_24: int
    path: list[int]
    rating: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """The margin at the half (home minus away, points) as seen after ``minute`` minutes.

    ``interval`` is meant to hold the outcome with probability at least 1 - ``alpha``; ``half_width`` is the conformal
    quantile behind it, from ``n_calibration`` games whose errors had the standard deviation ``sd``. ``rating`` is the
    expected final margin before tip-off the forecast used, None when it used none; ``possession`` who has the ball (1
    home, -1 away, 0 nobody or not known). ``distribution`` says how likely
    each whole margin is; its own quantiles need not lie evenly around ``point``.
    Raises BrokenForecast unless everything is finite and lower <= point <= upper.
    """

    point: float
    interval: Interval
    alpha: float
    minute: int
    components: Components
    weights: Weights
    similar: tuple[SimilarGame, ...]
    rating: float | None
    possession: int
    half_width: float
    sd: float
    n_calibration: int
    distribution: MarginDistribution

    def __post_init__(self) -> None:
        numbers = (self.point, self.interval.lower, self.interval.upper, self.half_width, self.sd)
        said = self.components
        parts = (said.dejavu, said.lstm, said.persistence, said.possession)
        if not all(math.isfinite(number) for number in (*numbers, *parts)):
            raise BrokenForecast(f"forecast is not finite: {numbers}, components {parts}; the model bundle is damaged")
        if not self.interval.lower <= self.point <= self.interval.upper:
            raise BrokenForecast(f"interval {self.interval} does not hold its point {self.point}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values fit for JSON."""
        body = asdict(self)
        body["weights"]["persistence"] = self.weights.persistence
        body["distribution"] = self.distribution.as_dict()
        body["similar"] = [game._asdict() | {"date": game.date.isoformat()} for game in self.similar]
        return body


class Forecaster(Protocol):
    """A pure function: same arguments, same bits."""

    def forecast(
        self, pattern: Sequence[float], minute: int, alpha: float, rating: float | None, possession: int = 0
    ) -> Forecast:
        """``pattern`` is margin(1)..margin(minute). Raises ForecastError."""
        ...


def persistence(pattern: Sequence[float]) -> float:
    """The forecaster to beat: the margin stays as it is; 0 before tip-off."""
    return float(pattern[-1]) if len(pattern) else 0.0


def checked_pattern(pattern: Sequence[float], minute: int) -> list[float]:
    """``pattern`` as floats. Raises BadPattern, or UnsupportedMinute for a minute outside 0..23."""
    if not 0 <= minute < HALFTIME_MINUTE:
        raise UnsupportedMinute(
            f"minute {minute}: a halftime forecast is made after 0 to {HALFTIME_MINUTE - 1} minutes"
        )
    if len(pattern) != minute:
        raise BadPattern(f"pattern has {len(pattern)} margins, minute {minute} needs margin(1)..margin({minute})")
    values: list[float] = []
    for place, margin in enumerate(pattern, start=1):
        try:
            value = float(margin)
        except (TypeError, ValueError) as error:
            raise BadPattern(f"margin({place}) is {margin!r}, not a number") from error
        if not abs(value) <= MAX_MARGIN:
            raise BadPattern(f"margin({place}) is {value}: it must lie in -{MAX_MARGIN:g}..{MAX_MARGIN:g}")
        values.append(value)
    return values


def checked_alpha(alpha: float) -> float:
    """``alpha`` as a float. Raises BadAlpha."""
    value = float(alpha)
    if not 0.0 < value < 1.0:
        raise BadAlpha(f"alpha is {value:g}: it must lie strictly between 0 and 1, 0.05 asks for a 95% interval")
    return value


def checked_rating(rating: float | None) -> float | None:
    """``rating`` as a float or None. Raises BadRating."""
    if rating is None:
        return None
    value = float(rating)
    if not abs(value) <= MAX_RATING:
        raise BadRating(f"rating difference is {value}: it must lie in -{MAX_RATING:g}..{MAX_RATING:g} points")
    return value


def checked_possession(possession: int) -> int:
    """``possession`` as 1, 0 or -1. Raises BadPossession."""
    if possession not in (-1, 0, 1):
        raise BadPossession(
            f"possession is {possession!r}: 1 says the home team has the ball, -1 the away team, 0 nobody"
        )
    return int(possession)
