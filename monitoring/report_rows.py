"""Read-only SQL for the reports of a span: its dates, settled official forecasts, figures by version and minute."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import Engine, Integer, Select, cast, func, select
from sqlalchemy.sql import ColumnElement

from models.clock import HALFTIME_MINUTE, OFFICIAL_MINUTE
from monitoring.rows import SettledRow
from monitoring.standing import (
    LINEAGE,
    reading,
    settled,
    settled_query,
    standing_actuals,
    standing_forecasts,
    standing_settlements,
)
from services.schema import actuals, games, predictions


@dataclass(frozen=True, slots=True)
class JudgedRow(SettledRow):
    """A settled official forecast with its line of models, and what it is compared by besides its pattern: ``rating``
    (home minus away) and ``pace`` (points of both teams a minute of the half); None where not known."""

    lineage: str
    rating: float | None
    pace: float | None


@dataclass(frozen=True, slots=True)
class MinuteSums:
    """Sums over ``n`` settled forecasts of one version at one level and minute; errors in points."""

    model_version: str
    alpha: float
    minute: int
    n: int
    error: float
    absolute: float
    squared: float
    absolute_persistence: float
    squared_persistence: float
    covered: int
    width: float

    def plus(self, other: MinuteSums | None, model_version: str) -> MinuteSums:
        """Both together, under the name of ``model_version``."""
        if other is None:
            return replace(self, model_version=model_version)
        return MinuteSums(
            model_version=model_version,
            alpha=self.alpha,
            minute=self.minute,
            n=self.n + other.n,
            error=self.error + other.error,
            absolute=self.absolute + other.absolute,
            squared=self.squared + other.squared,
            absolute_persistence=self.absolute_persistence + other.absolute_persistence,
            squared_persistence=self.squared_persistence + other.squared_persistence,
            covered=self.covered + other.covered,
            width=self.width + other.width,
        )

    def figures(self) -> dict[str, float | None]:
        """The metrics: points, shares from 0 to 1; ``skill`` is None where persistence made no error."""
        ratio = self.squared / self.squared_persistence if self.squared_persistence else None
        return {
            "mae": self.absolute / self.n,
            "rmse": math.sqrt(self.squared / self.n),
            "bias": self.error / self.n,
            "mae_persistence": self.absolute_persistence / self.n,
            "rmse_persistence": math.sqrt(self.squared_persistence / self.n),
            "skill": None if ratio is None else 1 - ratio,
            "coverage": self.covered / self.n,
            "mean_width": self.width / self.n,
        }


def judged_rows(engine: Engine, source: str, since: date, until: date) -> tuple[JudgedRow, ...]:
    """Standing settled official forecasts of league dates since..until (both included), in order of forecast."""
    total = func.coalesce(actuals.c.home_24 + actuals.c.away_24, games.c.home_24 + games.c.away_24)
    query = (
        settled_query()
        .join(actuals, actuals.c.id == standing_actuals.c.actual_id)
        .add_columns(
            predictions.c.context["rating_difference"].astext.label("rating"),
            (total / float(HALFTIME_MINUTE)).label("pace"),
        )
        .where(games.c.source == source, games.c.league_date.between(since, until))
    )
    with reading(engine) as connection:
        return tuple(
            JudgedRow(
                game_id=row.game_id,
                league_date=row.league_date,
                source=row.source,
                minute=row.minute,
                model_version=row.model_version,
                alpha=row.alpha,
                pattern=tuple(row.pattern),
                point=row.point,
                lower=row.lower,
                upper=row.upper,
                persistence=float(row.persistence),
                actual=row.actual,
                covered=row.covered,
                lineage=row.lineage,
                rating=None if row.rating is None else float(row.rating),
                pace=None if row.pace is None else float(row.pace),
            )
            for row in connection.execute(query)
        )


def week_start(engine: Engine, source: str, until: date, nights: int) -> date | None:
    """The first of the newest ``nights`` league dates up to ``until`` with a settled game; None without any."""
    days = _settled_games(games.c.league_date, source, until).distinct().subquery()
    newest = select(days.c.league_date).order_by(days.c.league_date.desc()).limit(nights).subquery()
    with reading(engine) as connection:
        found: date | None = connection.execute(select(func.min(newest.c.league_date))).scalar_one_or_none()
        return found


def season_start(engine: Engine, source: str, until: date) -> date | None:
    """The first league date with a settled game of the season whose games were the newest up to ``until``."""
    season = _settled_games(func.max(games.c.season), source, until).scalar_subquery()
    first = _settled_games(func.min(games.c.league_date), source, until).where(games.c.season == season)
    with reading(engine) as connection:
        found: date | None = connection.execute(first).scalar_one_or_none()
        return found


def minute_sums(engine: Engine, source: str, lineage: str, since: date, until: date) -> tuple[MinuteSums, ...]:
    """By version, level and minute, the settled forecasts that stand of one line of models."""
    newest, width = standing_settlements.c, predictions.c.upper - predictions.c.lower
    groups = (predictions.c.model_version, predictions.c.alpha, standing_forecasts.c.minute)
    query = (
        select(
            *groups,
            func.count(),
            func.sum(newest.error),
            func.sum(func.abs(newest.error)),
            func.sum(newest.error * newest.error),
            func.sum(func.abs(newest.persistence_error)),
            func.sum(newest.persistence_error * newest.persistence_error),
            func.sum(cast(newest.covered, Integer)),
            func.sum(width),
        )
        .join_from(standing_forecasts, predictions, predictions.c.id == standing_forecasts.c.prediction_id)
        .join(games, games.c.game_id == standing_forecasts.c.game_id)
        .join(standing_actuals, standing_actuals.c.game_id == standing_forecasts.c.game_id)
        .join(standing_settlements, settled(standing_forecasts.c.forecast_id, standing_actuals.c.margin))
        .where(games.c.source == source, games.c.league_date.between(since, until), LINEAGE.in_([lineage]))
        .group_by(*groups)
        .order_by(*groups)
    )
    with reading(engine) as connection:
        return tuple(
            MinuteSums(
                model_version=version,
                alpha=alpha,
                minute=minute,
                n=n,
                error=float(sums[0]),
                absolute=float(sums[1]),
                squared=float(sums[2]),
                absolute_persistence=float(sums[3]),
                squared_persistence=float(sums[4]),
                covered=int(sums[5]),
                width=float(sums[6]),
            )
            for version, alpha, minute, n, *sums in connection.execute(query)
        )


def summed(parts: Iterable[MinuteSums], model_version: str) -> tuple[MinuteSums, ...]:
    """The versions of ``parts`` put together by level and minute, under the name of ``model_version``."""
    together: dict[tuple[float, int], MinuteSums] = {}
    for part in parts:
        key = (part.alpha, part.minute)
        together[key] = part.plus(together.get(key), model_version)
    return tuple(together[key] for key in sorted(together))


def _settled_games(what: ColumnElement[Any], source: str, until: date) -> Select[Any]:
    """``what`` over the games whose standing official forecast is settled."""
    forecast, actual = standing_forecasts.c, standing_actuals.c
    return (
        select(what)
        .select_from(games)
        .join(standing_forecasts, forecast.game_id == games.c.game_id)
        .join(standing_actuals, actual.game_id == games.c.game_id)
        .join(standing_settlements, settled(forecast.forecast_id, actual.margin))
        .where(games.c.source == source, games.c.league_date <= until, forecast.minute == OFFICIAL_MINUTE)
    )
