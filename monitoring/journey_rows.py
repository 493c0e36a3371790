"""Read-only SQL for a forecast's way: one game's forecasts of a minute, those of a trace, a night's slowest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, func, select
from sqlalchemy.sql import ColumnElement

from models.clock import OFFICIAL_MINUTE
from monitoring.journey import JourneyRow
from monitoring.standing import reading
from services.schema import forecasts, games, predictions, settlements, ticks

_MADE = forecasts.c


class NoJourney(LookupError):
    """There is no such forecast; the message says what there is."""


def journeys_of_game(engine: Engine, game_id: str, minute: int = OFFICIAL_MINUTE) -> list[JourneyRow]:
    """The platform's forecasts of a game at ``minute`` (0..23), by revision. Raises NoJourney when there is none."""
    with reading(engine) as connection:
        found = _rows(connection, and_(_MADE.game_id == game_id, _MADE.minute == minute))
        if found:
            return found
        made = select(_MADE.minute).where(_MADE.game_id == game_id, _MADE.role == "champion").distinct()
        minutes = sorted(connection.execute(made).scalars())
    known = ", ".join(map(str, minutes))
    there = f"there are those of minutes {known}: name one with --minute" if minutes else "it has none of any minute"
    raise NoJourney(f"game {game_id} has no forecast of minute {minute}; {there}")


def journeys_of_trace(engine: Engine, trace_id: str) -> list[JourneyRow]:
    """The platform's forecasts made from one poll, by minute. Raises NoJourney when there is none."""
    with reading(engine) as connection:
        found = _rows(connection, _MADE.trace_id == trace_id)
    if not found:
        raise NoJourney(f"no forecast was made under trace {trace_id}: most polls call for none; name a game instead")
    return found


def slowest_official(connection: Connection, slate: ColumnElement[bool]) -> JourneyRow | None:
    """Of the official forecasts of the games in ``slate``, the one that took longest from its poll to its commit."""
    took = _MADE.committed_at - _MADE.polled_at
    which = and_(slate, _MADE.minute == OFFICIAL_MINUTE, _MADE.polled_at.is_not(None))
    found = _rows(connection, which, _query().order_by(took.desc(), _MADE.id).limit(1))
    return found[0] if found else None


def _rows(connection: Connection, which: ColumnElement[bool], query: Select[Any] | None = None) -> list[JourneyRow]:
    query = _query().order_by(_MADE.minute, _MADE.revision) if query is None else query
    return [JourneyRow(*row) for row in connection.execute(query.where(which, _MADE.role == "champion"))]


def _query() -> Select[Any]:
    # The first settlement is when the forecast first met an outcome; a corrected one comes later.
    settled = select(func.min(settlements.c.settled_at)).where(settlements.c.forecast_id == _MADE.id)
    return (
        select(
            _MADE.game_id,
            games.c.home,
            games.c.away,
            games.c.source,
            games.c.league_date,
            _MADE.minute,
            _MADE.revision,
            _MADE.trace_id,
            predictions.c.request_id,
            predictions.c.model_version,
            predictions.c.point,
            ticks.c.elapsed_s,
            ticks.c.event_at,
            _MADE.polled_at,
            _MADE.queued_at,
            predictions.c.created_at,
            _MADE.forecast_at,
            _MADE.committed_at,
            settled.scalar_subquery(),
        )
        .select_from(forecasts)
        .join(games, games.c.game_id == _MADE.game_id)
        .join(predictions, predictions.c.id == _MADE.prediction_id)
        # Old snapshots are deleted; the forecast stays.
        .outerjoin(ticks, and_(ticks.c.game_id == _MADE.game_id, ticks.c.digest == _MADE.tick_digest))
    )
