"""What stands, as SQL: the views of the standing rows, and the queries over them that reports and exporter share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Connection,
    Double,
    Engine,
    Integer,
    Select,
    and_,
    cast,
    column,
    extract,
    func,
    select,
    table,
    text,
)
from sqlalchemy.sql import ColumnElement, FromClause

from models.clock import OFFICIAL_MINUTE
from services.database import transaction
from services.schema import games, predictions, registered_versions


def lineage_of(made: FromClause) -> ColumnElement[str]:
    """The line of the model in a row with ``model_digest`` and ``model_version``.

    It is what nightly recalibration keeps: evidence about a model goes on when its calibration is a night newer. One
    digest may stand under two names, with one lineage. A version that the table does not know is a line of its own.
    """
    known = select(func.min(registered_versions.c.lineage)).where(registered_versions.c.digest == made.c.model_digest)
    return func.coalesce(known.correlate(made).scalar_subquery(), made.c.model_version)


LINEAGE = lineage_of(predictions)
NOW = func.clock_timestamp()

# The official forecast and its revisions: the champion's at minute 18. What stands is of every minute.
official_forecasts = table(
    "official_forecasts",
    *map(column, ("id", "game_id", "revision", "prediction_id", "model_version")),
    *map(column, ("polled_at", "queued_at", "forecast_at", "committed_at")),
)
standing_forecasts = table(
    "standing_forecasts",
    *map(column, ("forecast_id", "game_id", "minute", "revision", "prediction_id", "persistence")),
    *map(column, ("polled_at", "queued_at", "forecast_at", "committed_at")),
)
standing_settlements = table(
    "standing_settlements",
    *map(column, ("forecast_id", "settled_margin", "error", "covered", "persistence_error", "settled_at")),
)
standing_actuals = table(
    "standing_actuals", *map(column, ("actual_id", "game_id", "revision", "margin", "state", "recorded_at"))
)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One read-only transaction on one state of the database, whatever is written meanwhile."""
    with transaction(engine) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield connection


def settled_query(minute: int = OFFICIAL_MINUTE) -> Select[Any]:
    """Standing forecasts of ``minute`` that are settled against the standing outcome of their game."""
    forecast, actual = standing_forecasts.c, standing_actuals.c
    return (
        select(
            forecast.game_id,
            games.c.league_date,
            games.c.source,
            forecast.minute,
            predictions.c.model_version,
            LINEAGE.label("lineage"),
            predictions.c.alpha,
            predictions.c.pattern,
            predictions.c.point,
            predictions.c.lower,
            predictions.c.upper,
            forecast.persistence,
            actual.margin.label("actual"),
            standing_settlements.c.covered,
        )
        .join_from(standing_forecasts, predictions, predictions.c.id == forecast.prediction_id)
        .join(games, games.c.game_id == forecast.game_id)
        .join(standing_actuals, actual.game_id == forecast.game_id)
        .join(standing_settlements, settled(forecast.forecast_id, actual.margin))
        .where(forecast.minute == minute)
        .order_by(forecast.committed_at, forecast.forecast_id)
    )


def minute_query() -> Select[Any]:
    """Standing forecasts by minute, as MinuteRow has them; means are None before anything is settled."""
    forecast, newest = standing_forecasts.c, standing_settlements.c
    settled_now = newest.settled_margin == standing_actuals.c.margin
    squared, baseline = newest.error * newest.error, newest.persistence_error * newest.persistence_error
    figures = (
        func.count(newest.forecast_id),
        func.avg(func.abs(newest.error)),
        func.avg(func.abs(newest.persistence_error)),
        func.sqrt(func.avg(squared)),
        func.sqrt(func.avg(baseline)),
        1.0 - func.sum(squared) / func.nullif(func.sum(baseline), 0.0),
        func.avg(cast(newest.covered, Integer)).cast(Double),
        func.avg(predictions.c.upper - predictions.c.lower).filter(newest.forecast_id.is_not(None)),
    )
    return (
        select(forecast.minute, func.count(), *figures)
        .join_from(standing_forecasts, predictions, predictions.c.id == forecast.prediction_id)
        .join(games, games.c.game_id == forecast.game_id)
        .outerjoin(standing_actuals, standing_actuals.c.game_id == forecast.game_id)
        .outerjoin(standing_settlements, and_(newest.forecast_id == forecast.forecast_id, settled_now))
        .group_by(forecast.minute)
        .order_by(forecast.minute)
    )


def seconds(interval: ColumnElement[Any]) -> ColumnElement[Any]:
    """An interval as a number of seconds."""
    return extract("epoch", interval)


def settled(forecast_id: ColumnElement[Any], margin: ColumnElement[Any]) -> ColumnElement[bool]:
    """That the newest settlement of this forecast is against this margin at the half."""
    newest = standing_settlements.c
    return and_(newest.forecast_id == forecast_id, newest.settled_margin == margin)
