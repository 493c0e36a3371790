"""What the exporter publishes about models: official forecasts of each line, its newest version, who is champion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, select

from models.clock import OFFICIAL_MINUTE
from monitoring.rows import Champion, ModelFigures
from monitoring.standing import NOW, lineage_of, seconds, settled_query
from services.schema import forecasts, games, predictions, promotions, registered_versions

RECENT = timedelta(days=60)


def read_models(connection: Connection) -> tuple[ModelFigures, ...]:
    """The official forecasts of each line at each level that are settled, of all seasons."""
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


def read_newest_versions(connection: Connection) -> dict[tuple[str, str], str]:
    """(source, lineage) -> version, of the lines that forecast in the last 60 days: over all seasons it would make
    every scrape slower."""
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


def read_champions(connection: Connection) -> dict[str, Champion]:
    """Model name -> the version in force; only versions that ``registered_versions`` knows."""
    own, made = promotions.c, registered_versions.c
    newest = (
        select(own.model_name, own.model_version)
        .distinct(own.model_name)
        .where(own.alias == "champion")
        .order_by(own.model_name, own.id.desc())
        .subquery()
    )
    known = and_(made.model_name == newest.c.model_name, made.version == newest.c.model_version)
    query = select(newest, seconds(NOW - made.registered_at), made.reference).join_from(
        newest, registered_versions, known
    )
    return {
        name: Champion(version, float(age), _calibration_games(reference))
        for name, version, age, reference in connection.execute(query)
    }


def _calibration_games(reference: Mapping[str, Mapping[str, Any]] | None) -> int | None:
    """The largest of a version's calibration sets: one for each kind of request, of the same games or fewer."""
    return max((int(errors["n"]) for errors in (reference or {}).values()), default=None)
