"""What the exporter publishes, read from the tables in one transaction.

Nothing is remembered between two readings, so the figures are right with any number of workers and after any restart.
Ages are taken by the database's clock: no other machine's clock can make them negative or stale.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, Select, func, literal, select
from sqlalchemy.sql import FromClause

from monitoring.facts_live import live_games, overdue_forecasts, settlement_backlog
from monitoring.facts_models import read_champions, read_models, read_newest_versions
from monitoring.rows import Facts
from monitoring.standing import NOW, official_forecasts, reading, seconds
from monitoring.windows import read_windows
from services.schema import dispositions, forecasts, games, leases, predictions, reports, settlements
from services.store_alarms import read_alarms
from services.store_backups import read_backup_ages
from services.store_shadows import SHADOW_REQUEST

NO_GAME = "none"


def read_facts(engine: Engine) -> Facts:
    """One reading. Raises the errors of ``services.database``."""
    with reading(engine) as connection:
        active, on_clock, tick_age = live_games(connection)
        lease_rows = connection.execute(select(leases.c.name, leases.c.epoch, seconds(leases.c.expires_at - NOW))).all()
        return Facts(
            predictions=_pairs(connection, _predictions()),
            official=_pairs(connection, _made(official_forecasts)),
            live=_pairs(connection, _made(forecasts).where(forecasts.c.role == "champion")),
            settlements={source: int(n) for source, n in connection.execute(_settlements())},
            dispositions=_pairs(connection, _dispositions()),
            active_games=active,
            games_on_clock=on_clock,
            last_tick_age_s=tick_age,
            overdue=overdue_forecasts(connection),
            backlog=settlement_backlog(connection),
            lease_epochs={name: int(epoch) for name, epoch, _ in lease_rows},
            lease_left_s={name: float(left) for name, _, left in lease_rows},
            report_ages_s=_report_ages(connection),
            models=read_models(connection),
            windows=read_windows(connection),
            newest_versions=read_newest_versions(connection),
            alarms=tuple(read_alarms(connection)),
            champions=read_champions(connection),
            backups=read_backup_ages(connection),
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


def _report_ages(connection: Connection) -> dict[str, float]:
    query = select(reports.c.kind, seconds(NOW - func.max(reports.c.created_at))).group_by(reports.c.kind)
    return {kind: float(age) for kind, age in connection.execute(query)}


def _pairs(connection: Connection, query: Select[Any]) -> dict[tuple[str, str], int]:
    return {(first, second): int(n) for first, second, n in connection.execute(query)}
