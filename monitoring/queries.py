"""Read-only SQL for the reports: a night's slate, settled forecasts, stored reports.

Every function opens one read-only transaction and sees one state of the database. Errors are those of
``services.database``: DatabaseUnavailable, DatabaseNotReady, StoreError.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Engine, Select, Text, and_, cast, distinct, func, select, tuple_
from sqlalchemy.sql import ColumnElement

from models.clock import HALFTIME_MINUTE, OFFICIAL_MINUTE
from models.game import Snapshot, margins
from monitoring.journey_rows import slowest_official
from monitoring.rows import GameRow, HopRow, MinuteRow, NightRows
from monitoring.standing import (
    minute_query,
    official_forecasts,
    reading,
    settled,
    standing_actuals,
    standing_forecasts,
    standing_settlements,
)
from services.schema import (
    actuals,
    dispositions,
    forecasts,
    games,
    predictions,
    reports,
    settlements,
    ticks,
)


class SlateError(ValueError):
    """A league date that cannot be reported on; the message says what to name."""


def night_rows(engine: Engine, league_date: date, source: str | None = None) -> NightRows:
    """Everything the night's report is made of.

    ``source`` (recorded, archive, simulated, live) is needed only where games of several were played on one date.
    Raises SlateError when the date has no games or the source is ambiguous.
    """
    with reading(engine) as connection:
        source = source or _only_source(connection, league_date)
        slate = and_(games.c.league_date == league_date, games.c.source == source)
        paths = _paths(connection, slate)
        found = [_game_row(row._mapping, paths) for row in connection.execute(_slate_query(slate))]
        if not found:
            raise SlateError(f"no {source} games on {league_date}: load history or replay that date first")
        hops = connection.execute(
            select(*(official_forecasts.c[name] for name in HopRow.__slots__))
            .join(games, games.c.game_id == official_forecasts.c.game_id)
            .where(slate)
            .order_by(official_forecasts.c.id)
        )
        minutes = connection.execute(minute_query().where(slate))
        return NightRows(
            league_date,
            source,
            tuple(found),
            tuple(HopRow(*hop) for hop in hops),
            _duplicates(connection, slate),
            tuple(MinuteRow(*row) for row in minutes),
            slowest_official(connection, slate),
        )


def latest_report(engine: Engine, kind: str, league_date: date | None = None) -> dict[str, Any] | None:
    """Body of the newest stored report of ``kind`` (of that league date), None when there is none."""
    query = select(reports.c.body).where(reports.c.kind == kind).order_by(reports.c.id.desc()).limit(1)
    if league_date is not None:
        query = query.where(reports.c.league_date == league_date)
    with reading(engine) as connection:
        body: dict[str, Any] | None = connection.execute(query).scalar_one_or_none()
        return body


def _only_source(connection: Connection, league_date: date) -> str:
    """The source of the games that were forecast, missed or void that night; else of all games of the date."""
    of_date = select(distinct(games.c.source)).where(games.c.league_date == league_date)
    decided = of_date.join(dispositions, dispositions.c.game_id == games.c.game_id)
    for query in (decided, of_date):
        sources = sorted(connection.execute(query).scalars())
        if len(sources) > 1:
            raise SlateError(f"games of {' and '.join(sources)} on {league_date}: name one as source")
        if sources:
            return str(sources[0])
    raise SlateError(f"no games on {league_date}: load history or replay that date first")


def _slate_query(slate: ColumnElement[bool]) -> Select[Any]:
    forecast, actual = standing_forecasts.c, standing_actuals.c
    return (
        select(
            games.c.game_id,
            games.c.home,
            games.c.away,
            games.c.margins,
            dispositions.c.disposition,
            dispositions.c.reason,
            forecast.minute,
            forecast.revision,
            forecast.prediction_id,
            forecast.persistence,
            predictions.c.point,
            predictions.c.lower,
            predictions.c.upper,
            predictions.c.alpha,
            predictions.c.model_version,
            predictions.c.model_digest,
            actual.margin.label("actual"),
            actual.revision.label("actual_revision"),
            actual.state.label("actual_state"),
            standing_settlements.c.covered,
            standing_settlements.c.settled_at,
        )
        .select_from(games)
        .outerjoin(dispositions, dispositions.c.game_id == games.c.game_id)
        .outerjoin(standing_forecasts, and_(forecast.game_id == games.c.game_id, forecast.minute == OFFICIAL_MINUTE))
        .outerjoin(predictions, predictions.c.id == forecast.prediction_id)
        .outerjoin(standing_actuals, actual.game_id == games.c.game_id)
        .outerjoin(standing_settlements, settled(forecast.forecast_id, actual.margin))
        .where(slate)
        .order_by(games.c.game_id)
    )


def _game_row(row: Any, paths: dict[str, tuple[int, ...]]) -> GameRow:
    kept = {name: row[name] for name in GameRow.__slots__ if name != "path"}
    kept["prediction_id"] = None if row["prediction_id"] is None else str(row["prediction_id"])
    kept["persistence"] = None if row["persistence"] is None else float(row["persistence"])
    history: Sequence[int] = row["margins"] or ()
    return GameRow(**kept, path=paths.get(row["game_id"], tuple(history[1 : HALFTIME_MINUTE + 1])))


def _paths(connection: Connection, slate: ColumnElement[bool]) -> dict[str, tuple[int, ...]]:
    """First-half margins as the live path saw them: of each game the tick furthest into it."""
    query = (
        select(ticks.c.game_id, cast(ticks.c.snapshot, Text).label("snapshot"))
        .distinct(ticks.c.game_id)
        .join(games, games.c.game_id == ticks.c.game_id)
        .where(slate)
        .order_by(ticks.c.game_id, ticks.c.elapsed_s.desc(), ticks.c.id.desc())
    )
    return {row.game_id: margins(Snapshot.from_json(row.snapshot)) for row in connection.execute(query)}


def _duplicates(connection: Connection, slate: ColumnElement[bool]) -> int:
    """Rows too many: one identity twice, one outcome settled twice, or a revision that changed nothing."""
    made, later = forecasts, forecasts.alias("later")
    before, after = predictions.alias("before"), predictions.alias("after")
    identity = tuple_(made.c.game_id, made.c.minute, made.c.revision)
    counted = (
        select(func.count() - func.count(distinct(identity)))
        .select_from(made)
        .join(games, games.c.game_id == made.c.game_id)
        .where(slate, made.c.role == "champion"),
        select(func.count() - func.count(distinct(tuple_(settlements.c.forecast_id, actuals.c.revision))))
        .select_from(settlements)
        .join(made, made.c.id == settlements.c.forecast_id)
        .join(actuals, actuals.c.id == settlements.c.actual_id)
        .join(games, games.c.game_id == actuals.c.game_id)
        .where(slate, made.c.role == "champion"),
        select(func.count())
        .select_from(made)
        .join(
            later,
            and_(
                later.c.game_id == made.c.game_id,
                later.c.minute == made.c.minute,
                later.c.revision == made.c.revision + 1,
                later.c.role == "champion",
            ),
        )
        .join(before, before.c.id == made.c.prediction_id)
        .join(after, after.c.id == later.c.prediction_id)
        .join(games, games.c.game_id == made.c.game_id)
        .where(slate, made.c.role == "champion", before.c.pattern == after.c.pattern),
    )
    return sum(int(connection.execute(query).scalar_one()) for query in counted)
