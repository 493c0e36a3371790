"""What an alert sets in motion: a run of a deployment, once a turn of the alert and not too often."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from flows.deployments import start_deployed
from services.settings import Settings
from services.store import AlertRow, Store

log = structlog.get_logger("alerts")

ACTIONS: Mapping[str, tuple[tuple[str, Mapping[str, Any]], ...]] = {
    # The night's games may still be open: what is settled is learned from now.
    "CoverageLow": (("recalibrate/nightly", {"patient": False}),),
    "ErrorDrift": (("evaluate-challenger/nightly", {}), ("retrain/on-drift", {"on_drift": True})),
}


class Start(Protocol):
    """Asks for a run of a deployment; ``start_deployed`` does."""

    def __call__(self, settings: Settings, name: str, parameters: dict[str, Any], key: str) -> str: ...


class Alert(BaseModel):
    """One alert as Alertmanager's webhook (version 4) tells it."""

    model_config = ConfigDict(frozen=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: AwareDatetime = Field(alias="startsAt")
    fingerprint: str = Field(pattern=r"^[0-9a-f]{1,64}$")


class Notification(BaseModel):
    """Alertmanager's message: a group of alerts."""

    model_config = ConfigDict(frozen=True)

    version: Literal["4"]
    alerts: list[Alert] = Field(max_length=1000)


def handle(store: Store, settings: Settings, alert: Alert, *, start: Start = start_deployed) -> AlertRow | None:
    """Starts what the alert asks for and keeps it; None when this turn of it was handled before.

    The run comes before the row and carries the alert's own key, so what is told again after a failure runs once.
    Raises StoreError, DeploymentFailed, httpx.HTTPError: then nothing is kept, and who told it must tell it again.
    """
    name = alert.labels.get("alertname", "")
    row = AlertRow(alert.fingerprint, name, alert.status, alert.labels, alert.annotations, alert.starts_at)
    if store.alert_known(row):
        return None
    asked = ACTIONS.get(name, ()) if alert.status == "firing" else ()
    actions = tuple(_act(store, settings, alert, deployment, dict(given), start) for deployment, given in asked)
    kept = AlertRow(row.fingerprint, name, row.status, row.labels, row.annotations, row.starts_at, actions)
    store.record_alert(kept)
    log.info("alert", alertname=name, status=alert.status, actions=[dict(action) for action in actions])
    return kept


def _act(
    store: Store, settings: Settings, alert: Alert, deployment: str, parameters: dict[str, Any], start: Start
) -> Mapping[str, Any]:
    last = store.last_run_for_alert(deployment)
    pause = timedelta(hours=settings.alert_action_hours)
    if last is not None and datetime.now(UTC) - last < pause:
        why = f"an alert ran it at {last.isoformat(timespec='seconds')}: once in {settings.alert_action_hours:g} hours"
        return {"deployment": deployment, "run_id": None, "why": why}
    key = f"alert:{alert.fingerprint}:{alert.starts_at.isoformat()}:{deployment}"
    return {"deployment": deployment, "run_id": start(settings, deployment, parameters, key), "why": None}
