"""What the exporter publishes, read from the tables in one transaction.

Nothing is remembered between two readings, so the figures are right with any number of workers and after any restart.
Ages are taken by the database's clock: no other machine's clock can make them negative or stale.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    Engine,
    Select,
    and_,
    cast,
    exists,
    extract,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.sql import ColumnElement, FromClause

from models.clock import OFFICIAL_MINUTE
from models.game import OFFICIAL_S
from monitoring.rows import Facts, MinuteRow, ModelFigures, Waiting
from monitoring.standing import (
    LINEAGE,
    lineage_of,
    minute_query,
    official_forecasts,
    reading,
    settled,
    settled_query,
    standing_actuals,
    standing_forecasts,
)
from services.schema import (
    dispositions,
    forecasts,
    games,
    leases,
    predictions,
    promotions,
    registered_versions,
    reports,
    settlements,
    ticks,
)
from services.store_alarms import read_alarms
from services.store_shadows import SHADOW_REQUEST

# A game of which nothing was seen for this long is over or given up, whatever its last snapshot says.
FORGOTTEN_AFTER = timedelta(hours=4)
# When the feed dies between forecast and half, no snapshot ever shows the half: it is long over after this.
HALF_SURELY_OVER_AFTER = timedelta(hours=2)
# Two dozen forecasts a game: over all seasons they would make every scrape slower than the one before.
MINUTES_OVER_DAYS = 30
RECENT = timedelta(days=60)
NO_GAME = "none"

NOW = func.clock_timestamp()


def read_facts(engine: Engine) -> Facts:
    """One reading. Raises the errors of ``services.database``."""
    with reading(engine) as connection:
        active, on_clock, tick_age = _live(connection)
        lease_rows = connection.execute(
            select(leases.c.name, leases.c.epoch, _seconds(leases.c.expires_at - NOW))
        ).all()
        return Facts(
            predictions=_pairs(connection, _predictions()),
            official=_pairs(connection, _made(official_forecasts)),
            live=_pairs(connection, _made(forecasts).where(forecasts.c.role == "champion")),
            settlements={source: int(n) for source, n in connection.execute(_settlements())},
            dispositions=_pairs(connection, _dispositions()),
            active_games=active,
            games_on_clock=on_clock,
            last_tick_age_s=tick_age,
            overdue=_waiting(connection, _overdue()),
            backlog=_waiting(connection, _backlog()),
            lease_epochs={name: int(epoch) for name, epoch, _ in lease_rows},
            lease_left_s={name: float(left) for name, _, left in lease_rows},
            report_ages_s=_report_ages(connection),
            models=_models(connection),
            minutes=_minutes(connection),
            newest_versions=_newest_versions(connection),
            alarms=tuple(read_alarms(connection)),
            champions=_champions(connection),
        )


def _predictions() -> Select[Any]:
    source = func.coalesce(games.c.source, literal(NO_GAME))
    return (
        select(source, predictions.c.model_version, func.count())
        .outerjoin_from(predictions, games, games.c.game_id == predictions.c.game_id)
        .where(~predictions.c.request_id.startswith(SHADOW_REQUEST))
        .group_by(source, predictions.c.model_version)
    )


def _made(table: FromClause) -> Select[Any]:
    """Rows of the table of forecasts or of its view, by the model of their predictions."""
    return (
        select(games.c.source, table.c.model_version, func.count())
        .join_from(table, games, games.c.game_id == table.c.game_id)
        .group_by(games.c.source, table.c.model_version)
    )


def _settlements() -> Select[Any]:
    return (
        select(games.c.source, func.count())
        .join_from(settlements, official_forecasts, official_forecasts.c.id == settlements.c.forecast_id)
        .join(games, games.c.game_id == official_forecasts.c.game_id)
        .group_by(games.c.source)
    )


def _dispositions() -> Select[Any]:
    return (
        select(games.c.source, dispositions.c.disposition, func.count())
        .join_from(dispositions, games, games.c.game_id == dispositions.c.game_id)
        .group_by(games.c.source, dispositions.c.disposition)
    )


def _live(connection: Connection) -> tuple[int, int, float | None]:
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
    age = connection.execute(select(_seconds(NOW - func.max(ticks.c.seen_at)))).scalar_one()
    return int(active), int(on_clock), None if age is None else float(age)


def _overdue() -> Select[Any]:
    """Games past the official minute with neither a forecast nor a reason why there is none."""
    return (
        select(_seconds(NOW - func.min(ticks.c.seen_at)))
        .where(
            ticks.c.elapsed_s >= OFFICIAL_S,
            ticks.c.status != "postponed",
            ~exists().where(dispositions.c.game_id == ticks.c.game_id),
        )
        .group_by(ticks.c.game_id)
    )


def _backlog() -> Select[Any]:
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
        select(_seconds(NOW - due_at).label("age_s"))
        .select_from(standing_forecasts)
        .outerjoin(standing_actuals, actual.game_id == forecast.game_id)
        .where(forecast.minute == OFFICIAL_MINUTE, ~exists().where(settled(forecast.forecast_id, actual.margin)))
        .subquery()
    )
    return select(waiting.c.age_s).where(waiting.c.age_s > 0)


def _period_ended() -> ColumnElement[bool]:
    return cast(ticks.c.snapshot["period_ended"].astext, Boolean)


def _waiting(connection: Connection, query: Select[Any]) -> Waiting:
    ages = [float(age) for age in connection.execute(query).scalars()]
    return Waiting(len(ages), max(ages, default=None))


def _report_ages(connection: Connection) -> dict[str, float]:
    query = select(reports.c.kind, _seconds(NOW - func.max(reports.c.created_at))).group_by(reports.c.kind)
    return {kind: float(age) for kind, age in connection.execute(query)}


def _models(connection: Connection) -> tuple[ModelFigures, ...]:
    found: dict[tuple[str, str, float], list[Any]] = defaultdict(list)
    for row in connection.execute(settled_query(OFFICIAL_MINUTE)):
        found[row.source, row.lineage, row.alpha].append(row)
    return tuple(
        ModelFigures(
            source=source,
            lineage=lineage,
            alpha=alpha,
            misses=tuple(not row.covered for row in rows),
            errors=tuple(float(row.actual - row.point) for row in rows),
            persistence_errors=tuple(float(row.actual - row.persistence) for row in rows),
            widths=tuple(float(row.upper - row.lower) for row in rows),
        )
        for (source, lineage, alpha), rows in sorted(found.items())
    )


def _minutes(connection: Connection) -> dict[tuple[str, str, float], tuple[MinuteRow, ...]]:
    found: dict[tuple[str, str, float], list[MinuteRow]] = defaultdict(list)
    newest = select(func.max(games.c.league_date)).join(dispositions, dispositions.c.game_id == games.c.game_id)
    recent = games.c.league_date > newest.scalar_subquery() - MINUTES_OVER_DAYS
    query = minute_query(games.c.source, LINEAGE, predictions.c.alpha).where(recent)
    for source, lineage, alpha, *figures in connection.execute(query):
        found[source, lineage, alpha].append(MinuteRow(*figures))
    return {key: tuple(rows) for key, rows in found.items()}


def _newest_versions(connection: Connection) -> dict[tuple[str, str], str]:
    """Of the lines that forecast in the last 60 days: over all seasons it would make every scrape slower."""
    model = predictions.c.model_digest, predictions.c.model_version
    # Versions first, lines after: there are a few hundred of those and a hundred thousand forecasts.
    made = (
        select(games.c.source, *model, func.max(forecasts.c.id).label("newest"))
        .join_from(forecasts, predictions, predictions.c.id == forecasts.c.prediction_id)
        .join(games, games.c.game_id == forecasts.c.game_id)
        .where(forecasts.c.role == "champion", forecasts.c.committed_at > NOW - RECENT)
        .group_by(games.c.source, *model)
        .subquery()
    )
    query = select(made.c.source, lineage_of(made), made.c.model_version).order_by(made.c.newest)
    return {(source, lineage): version for source, lineage, version in connection.execute(query)}


def _champions(connection: Connection) -> dict[str, tuple[str, float]]:
    """Model name -> the version in force, and how long ago its calibration was made."""
    own, made = promotions.c, registered_versions.c
    newest = (
        select(own.model_name, own.model_version)
        .distinct(own.model_name)
        .where(own.alias == "champion")
        .order_by(own.model_name, own.id.desc())
        .subquery()
    )
    known = and_(made.model_name == newest.c.model_name, made.version == newest.c.model_version)
    query = select(newest, _seconds(NOW - made.registered_at)).join_from(newest, registered_versions, known)
    return {name: (version, float(age)) for name, version, age in connection.execute(query)}


def _pairs(connection: Connection, query: Select[Any]) -> dict[tuple[str, str], int]:
    return {(first, second): int(n) for first, second, n in connection.execute(query)}


def _seconds(interval: ColumnElement[Any]) -> ColumnElement[Any]:
    return extract("epoch", interval)
