"""Alerts as Alertmanager told them, and what was done about each. Append-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Engine, select, text
from sqlalchemy.dialects.postgresql import insert

from services.database import transaction
from services.schema import alerts

_LAST = text(
    """
    SELECT max(a.received_at) FROM alerts a, jsonb_array_elements(a.actions) one
    WHERE one ->> 'deployment' = :deployment AND one ->> 'run_id' IS NOT NULL
    """
)


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One turn of an alert. ``actions`` are what it asked for: deployment, run_id (None when it was not run), why."""

    fingerprint: str
    alertname: str
    status: Literal["firing", "resolved"]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    actions: tuple[Mapping[str, Any], ...] = ()
    received_at: datetime | None = None


class AlertStore:
    """The part of the store that keeps ``alerts``."""

    engine: Engine

    def record_alert(self, alert: AlertRow) -> bool:
        """Keep an alert; False when this turn of it is there. Raises RowRefused."""
        values = asdict(alert) | {"actions": list(alert.actions)}
        del values["received_at"]
        with transaction(self.engine) as connection:
            return connection.execute(insert(alerts).values(values).on_conflict_do_nothing()).rowcount == 1

    def alert_known(self, alert: AlertRow) -> bool:
        """Whether this turn of the alert has been handled."""
        own = alerts.c
        query = select(own.id).where(
            own.fingerprint == alert.fingerprint, own.starts_at == alert.starts_at, own.status == alert.status
        )
        with transaction(self.engine) as connection:
            return connection.execute(query).first() is not None

    def last_run_for_alert(self, deployment: str) -> datetime | None:
        """When an alert last started a run of the deployment."""
        with transaction(self.engine) as connection:
            found: datetime | None = connection.execute(_LAST, {"deployment": deployment}).scalar_one()
        return found

    def alert_history(self, limit: int = 100) -> list[AlertRow]:
        """Alerts, newest first."""
        names = list(AlertRow.__dataclass_fields__)
        query = select(*(alerts.c[name] for name in names)).order_by(alerts.c.id.desc()).limit(limit)
        with transaction(self.engine) as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [AlertRow(**{**row, "actions": tuple(row["actions"])}) for row in rows]
