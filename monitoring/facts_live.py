"""What the exporter publishes about games that are on: what is being played, and what waits.

Ages are taken by the database's clock: no other machine's clock can make them negative or stale.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Boolean, Connection, Select, and_, cast, exists, func, or_, select
from sqlalchemy.sql import ColumnElement

from models.clock import OFFICIAL_MINUTE
from models.game import OFFICIAL_S
from monitoring.rows import Waiting
from monitoring.standing import NOW, seconds, settled, standing_actuals, standing_forecasts
from services.schema import dispositions, ticks

# A game of which nothing was seen for this long is over or given up, whatever its last snapshot says.
FORGOTTEN_AFTER = timedelta(hours=4)
# When the feed dies between forecast and half, no snapshot ever shows the half: it is long over after this.
HALF_SURELY_OVER_AFTER = timedelta(hours=2)


def live_games(connection: Connection) -> tuple[int, int, float | None]:
    """Games being played, those of them whose clock may run, and the age of the newest snapshot."""
    newest = (
        select(ticks.c.game_id, ticks.c.status, ticks.c.period, _period_ended().label("period_ended"))
        .distinct(ticks.c.game_id)
        .where(ticks.c.seen_at > NOW - FORGOTTEN_AFTER)
        .order_by(ticks.c.game_id, ticks.c.id.desc())
        .subquery()
    )
    live = newest.c.status == "live"
    playing = and_(live, newest.c.period >= 1, newest.c.period_ended.is_(False))
    counts = select(func.count().filter(live), func.count().filter(playing)).select_from(newest)
    active, on_clock = connection.execute(counts).one()
    age = connection.execute(select(seconds(NOW - func.max(ticks.c.seen_at)))).scalar_one()
    return int(active), int(on_clock), None if age is None else float(age)


def overdue_forecasts(connection: Connection) -> Waiting:
    """Games past the official minute with neither a forecast nor a reason why there is none."""
    query = (
        select(seconds(NOW - func.min(ticks.c.seen_at)))
        .where(
            ticks.c.elapsed_s >= OFFICIAL_S,
            ticks.c.status != "postponed",
            ~exists().where(dispositions.c.game_id == ticks.c.game_id),
        )
        .group_by(ticks.c.game_id)
    )
    return _waiting(connection, query)


def settlement_backlog(connection: Connection) -> Waiting:
    """Official forecasts past the half that are not settled against the standing outcome."""
    forecast, actual = standing_forecasts.c, standing_actuals.c
    half_over = or_(ticks.c.period > 2, and_(ticks.c.period == 2, _period_ended()), ticks.c.status == "final")
    half_seen_at = (
        select(func.min(ticks.c.seen_at))
        .where(ticks.c.game_id == forecast.game_id, half_over)
        .correlate(standing_forecasts)
        .scalar_subquery()
    )
    # A corrected outcome waits from the moment it was recorded.
    due_at = func.coalesce(actual.recorded_at, half_seen_at, forecast.committed_at + HALF_SURELY_OVER_AFTER)
    waiting = (
        select(seconds(NOW - due_at).label("age_s"))
        .select_from(standing_forecasts)
        .outerjoin(standing_actuals, actual.game_id == forecast.game_id)
        .where(forecast.minute == OFFICIAL_MINUTE, ~exists().where(settled(forecast.forecast_id, actual.margin)))
        .subquery()
    )
    return _waiting(connection, select(waiting.c.age_s).where(waiting.c.age_s > 0))


def _period_ended() -> ColumnElement[bool]:
    return cast(ticks.c.snapshot["period_ended"].astext, Boolean)


def _waiting(connection: Connection, query: Select[Any]) -> Waiting:
    ages = [float(age) for age in connection.execute(query).scalars()]
    return Waiting(len(ages), max(ages, default=None))
