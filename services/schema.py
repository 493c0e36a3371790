"""The tables as SQLAlchemy sees them: columns and types. Checks, triggers and views are in the migrations.

A test compares these definitions with the migrated database, so the two cannot drift apart.
"""

from __future__ import annotations

from services.schema_columns import MOMENT, metadata
from services.schema_games import actuals, dispositions, forecasts, games, predictions, settlements, ticks
from services.schema_models import (
    alarm_states,
    calibrations,
    evaluations,
    model_performance,
    promotions,
    registered_versions,
)
from services.schema_running import alerts, backups, leases, reports

__all__ = [
    "MOMENT",
    "actuals",
    "alarm_states",
    "alerts",
    "backups",
    "calibrations",
    "dispositions",
    "evaluations",
    "forecasts",
    "games",
    "leases",
    "metadata",
    "model_performance",
    "predictions",
    "promotions",
    "registered_versions",
    "reports",
    "settlements",
    "ticks",
]
