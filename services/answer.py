"""What the forecaster answers, as types: the service writes them, its client reads them.

Units: margins, forecasts and ratings in points, home minus away. Times are aware UTC.
"""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Immutable; fields a newer server adds are ignored, NaN and infinity are not numbers here."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class SimilarGame(Answer):
    """A past game whose pattern was close to the one asked for, and what happened next in it."""

    game_id: str
    date: date
    home: str
    away: str
    similarity_distance: float = Field(
        ge=0, description="root mean square difference a minute between the two patterns, points; 0 is the same path"
    )
    pattern: list[int] = Field(description="its margins at the same minutes")
    path: list[int] = Field(description="its whole first half: margin(0)..margin(24)")
    change: int = Field(description="what happened next: its margin at halftime less that at the forecast's minute")
    margin_24: int = Field(description="its margin at halftime")


class Weights(Answer):
    """Shares of the components in the point; together 1."""

    dejavu: float
    lstm: float
    persistence: float


class Explanation(Answer):
    """Where the point comes from: each component's own forecast of the halftime margin, and its weight.

    The point is their weighted sum and ``possession``.
    """

    dejavu: float
    lstm: float
    persistence: float
    possession: float = Field(default=0.0, description="points for having the ball: above 0 when the home team has it")
    weights: Weights
    similar: list[SimilarGame]


LeagueDate = date
HasBall = Literal["home", "away"]


class Context(Answer):
    """What the forecast used beside the pattern; what it did not use is null.

    ``rating_difference`` and ``date`` are absent when the teams were not named, ``date`` also when it was not sent.
    """

    home: str | None = None
    away: str | None = None
    rating_difference: float | None = Field(
        default=None, description="expected final margin before tip-off, home advantage included"
    )
    ratings_as_of: LeagueDate | None = Field(default=None, description="last league date the ratings have seen")
    date: LeagueDate | None = Field(default=None, description="league date the teams' rest was judged at")
    possession: HasBall | None = Field(default=None, description="who has the ball when the minute ends")


def possession_sign(possession: object) -> int:
    """``Context.possession`` as the forecast takes it: 1 home, -1 away, 0 nobody or unknown."""
    return {"home": 1, "away": -1}.get(str(possession), 0)


class LevelInterval(Answer):
    """An interval that is meant to hold the outcome with probability ``level``."""

    level: float = Field(gt=0, lt=1)
    lower: float
    upper: float


class Above(Answer):
    """P(halftime margin > ``margin``)."""

    margin: float
    probability: float = Field(ge=0, le=1)


class Distribution(Answer):
    """How likely each whole halftime margin is, and what follows from it.

    ``probabilities[i]`` is P(margin = ``first`` + i). All are whole multiples of 2^-40, so any sum of them is exact.
    """

    first: int = Field(description="the smallest margin with a probability")
    probabilities: list[float] = Field(description="P(margin = first), P(margin = first + 1), ...; together exactly 1")
    mean: float
    sd: float = Field(ge=0)
    home_leads: float = Field(ge=0, le=1, description="P(margin > 0); with tied and away_leads exactly 1")
    tied: float = Field(ge=0, le=1)
    away_leads: float = Field(ge=0, le=1)
    quantiles: dict[str, int] = Field(
        description="level -> smallest whole margin that the outcome does not exceed with at least that probability"
    )
    intervals: list[LevelInterval] = Field(
        description="made as interval_lower and interval_upper are: 50, 80, 90 and 95% where the calibration set"
        " supports them, and every level asked for"
    )
    above: list[Above] = Field(description="one for each number in the request's above, in its order")


class Prediction(Answer):
    """One served forecast of the halftime margin, with all that is needed to compute it again."""

    game_id: str | None
    point_forecast: float = Field(description="forecast margin at halftime")
    interval_lower: float
    interval_upper: float
    coverage_probability: float = Field(gt=0, lt=1, description="1 - alpha")
    distribution: Distribution
    explanation: Explanation
    model_version: str
    timestamp: AwareDatetime
    prediction_id: UUID
    request_id: str
    minute: int = Field(ge=0, le=24)
    model_digest: str
    calibration_id: str
    alpha: float = Field(gt=0, lt=1)
    context: Context
    code_version: str
    logged: Literal["spool", "database"] = Field(
        description="where the record of this prediction is safe at the moment of the answer"
    )


class Recorded(Answer):
    """Answer of /record_actual. ``status`` is "settled", or "unchanged" for a repeated call."""

    game_id: str
    actual_differential: int
    status: Literal["settled", "unchanged"]
    settled: int = Field(ge=0, description="official forecasts that this outcome settles")
    error: float | None = Field(description="outcome less forecast in points, of the standing official forecast")
    covered: bool | None


class Problem(Answer):
    """One thing that is wrong with a request: where, and what to change."""

    field: str
    problem: str
    n: int | None = Field(default=None, description="games in the calibration set, when it is too small")
    needed: int | None = Field(default=None, description="games the asked level needs")


class ErrorBody(Answer):
    """The body of every answer that is not a success."""

    error: str = Field(description="one sentence that says what to change")
    detail: list[Problem] = Field(default_factory=list)
    request_id: str | None = None
