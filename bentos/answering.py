"""One request, one model, one answer: the forecast itself, without HTTP, spool or clock."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from pathlib import Path
from uuid import UUID

from bentos.contracts import PredictRequest, RequestRefused
from models.conformal import prediction_set
from models.ensemble import Ensemble
from models.fallback import VERSION as FALLBACK
from models.forecast import BrokenForecast, CalibrationTooSmall, Forecast, ForecastError, UnknownTeam, UnsupportedMinute
from models.ratings import Ratings, is_playoff, season_of
from services.answer import (
    Above,
    Context,
    Distribution,
    Explanation,
    LevelInterval,
    Prediction,
    Problem,
    SimilarGame,
    Weights,
    possession_sign,
)

QUANTILES = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
LEVELS = (0.5, 0.8, 0.9, 0.95)

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class ServedModel:
    """A loaded and checked bundle under the version it is known by.

    ``figures`` are its scores at training, ``note`` what an operator should know of how it was loaded. The ensemble's
    calibration may have moved over ``games_since`` games settled since the bundle was made.
    """

    version: str
    digest: str
    ensemble: Ensemble
    origin: str
    figures: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None
    games_since: int = 0

    @property
    def is_fallback(self) -> bool:
        """Whether it is no model at all, but what answers without one."""
        return self.version == FALLBACK

    def ratings(self, request: PredictRequest) -> Ratings:
        """Team ratings as they hold on the request's date, or else in the season of its game: shrunk when that season
        is later than the newest game's."""
        ratings = self.ensemble.ratings
        if request.date is not None:
            return ratings.on(request.date)
        if request.game_id is None or ratings.season is None:
            return ratings
        season = season_of(request.game_id)
        return ratings.on(date(season, 12, 31)) if season > ratings.season else ratings

    def facts(self) -> dict[str, object]:
        """What /model answers."""
        ensemble = self.ensemble
        return {
            "version": self.version,
            "digest": self.digest,
            "source": ensemble.source,
            "trained_through": ensemble.trained_through.isoformat(),
            "ratings_as_of": ensemble.ratings_as_of.isoformat() if ensemble.ratings_as_of else None,
            "calibration_id": ensemble.calibration_id,
            "games_since": self.games_since,
            "calibration_games": {
                str(minute): len(ensemble.calibration[ensemble.case(minute, True, 0)]) for minute in ensemble.minutes
            },
            "minutes": list(ensemble.minutes),
            "teams": sorted(ensemble.ratings.values),
            "figures": dict(self.figures),
            "loaded_from": self.origin,
            "code_version": code_version(),
        }


def answer(
    model: ServedModel, request: PredictRequest, *, request_id: str, prediction_id: UUID, now: datetime
) -> Prediction:
    """The forecast as the API gives it. Raises RequestRefused for what the sender can change, BrokenForecast."""
    ratings = model.ratings(request)
    rating = None
    try:
        # The fallback knows no team, and asks for none.
        if request.home is not None and request.away is not None and not model.is_fallback:
            _check_date(ratings, request.date)
            playoffs = request.game_id is not None and is_playoff(request.game_id)
            rating = ratings.expected(request.home, request.away, request.date, playoffs=playoffs)
        has_ball = possession_sign(request.possession)
        forecast = model.ensemble.forecast(request.pattern, request.asked_minute, request.alpha, rating, has_ball)
    except BrokenForecast:
        raise
    except ForecastError as error:
        raise RequestRefused(400, _sentence(error), [_problem(error, request)]) from error
    return Prediction(
        game_id=request.game_id,
        point_forecast=forecast.point,
        interval_lower=forecast.interval.lower,
        interval_upper=forecast.interval.upper,
        coverage_probability=1.0 - request.alpha,
        distribution=_distribution(forecast, _intervals(model.ensemble, forecast, request), request),
        explanation=_explanation(forecast, told=not model.is_fallback),
        model_version=model.version,
        timestamp=now,
        prediction_id=prediction_id,
        request_id=request_id,
        minute=forecast.minute,
        model_digest=model.digest,
        calibration_id=model.ensemble.calibration_id,
        alpha=request.alpha,
        context=Context(
            home=request.home,
            away=request.away,
            rating_difference=rating,
            ratings_as_of=ratings.as_of if rating is not None else None,
            date=request.date if rating is not None else None,
            possession=request.possession,
        ),
        code_version=code_version(),
        logged="spool",
    )


def _check_date(ratings: Ratings, day: date | None) -> None:
    """Ratings that know the games of a date must not forecast it. Raises RequestRefused."""
    # A game_id changes nothing. A live game of that date, revised after the night's recalibration, is asked for again
    # without its teams (flows.issue), so its row says that no rating stands behind it. To leave them out here would
    # silently answer another question than was asked.
    if day is not None and ratings.as_of is not None and day <= ratings.as_of:
        problem = (
            f"{day} is not after {ratings.as_of}, the newest games this model's ratings know: leave date out to ask"
            " with the ratings as they are, or ask a model trained before that date"
        )
        raise RequestRefused(400, f"date {problem}.", [Problem(field="date", problem=problem)])


def _distribution(forecast: Forecast, intervals: list[LevelInterval], request: PredictRequest) -> Distribution:
    whole = forecast.distribution
    return Distribution(
        first=whole.first,
        probabilities=whole.probabilities.tolist(),
        mean=whole.mean,
        sd=whole.sd,
        home_leads=whole.home_leads,
        tied=whole.tied,
        away_leads=whole.away_leads,
        quantiles={f"{level:g}": whole.quantile(level) for level in QUANTILES},
        intervals=intervals,
        above=[Above(margin=margin, probability=whole.above(margin)) for margin in request.above],
    )


def _intervals(ensemble: Ensemble, forecast: Forecast, request: PredictRequest) -> list[LevelInterval]:
    """The usual levels as far as the calibration set goes, and all that were asked for. Raises RequestRefused."""
    case = ensemble.case(forecast.minute, forecast.rating is not None, forecast.possession)
    games = ensemble.adaptive[case]
    intervals = []
    for level in sorted({*LEVELS, *request.levels}):
        try:
            # A level so small that 1 - level is 1 asks for the smallest interval there is.
            alpha = min(1.0 - level, math.nextafter(1.0, 0.0))
            interval = prediction_set(forecast.point, games.half_width(alpha))
        except CalibrationTooSmall as error:
            if level not in request.levels:
                continue
            problem = (
                f"{level:g} needs a calibration set of at least {error.needed} games, this one has {error.n}: the"
                f" largest level it supports is {math.floor(1e4 * error.n / (error.n + 1)) / 1e4:g}; ask for a smaller"
                " level or calibrate on more games"
            )
            field = f"levels[{request.levels.index(level)}]"
            raise RequestRefused(
                400, f"{field} {problem}.", [Problem(field=field, problem=problem, n=error.n, needed=error.needed)]
            ) from error
        intervals.append(LevelInterval(level=level, lower=interval.lower, upper=interval.upper))
    return intervals


@cache
def code_version() -> str:
    """Names the code that computes an answer: a digest of the sources, the same in a checkout, a bento, an image."""
    digest = hashlib.sha256()
    for package in ("models", "bentos"):
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _explanation(forecast: Forecast, *, told: bool) -> Explanation:
    return Explanation(
        dejavu=forecast.components.dejavu,
        lstm=forecast.components.lstm,
        persistence=forecast.components.persistence,
        possession=forecast.components.possession,
        weights=Weights(
            dejavu=forecast.weights.dejavu, lstm=forecast.weights.lstm, persistence=forecast.weights.persistence
        ),
        similar=[SimilarGame.model_validate(game, from_attributes=True) for game in forecast.similar if told],
    )


def _sentence(error: ForecastError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _problem(error: ForecastError, request: PredictRequest) -> Problem:
    if isinstance(error, CalibrationTooSmall):
        return Problem(field="alpha", problem=str(error), n=error.n, needed=error.needed)
    if isinstance(error, UnknownTeam):
        return Problem(field="home" if repr(request.home) in str(error) else "away", problem=str(error))
    return Problem(field="minute" if isinstance(error, UnsupportedMinute) else "pattern", problem=str(error))
