"""Runs a deployment through the Prefect server and its worker, and waits for it."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import stamina

from services.settings import Settings

POLL_S = 0.5


class DeploymentFailed(RuntimeError):
    """A flow run that did not complete; the message has its state."""


def _passing(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in (429, 502, 503, 504)
    return isinstance(error, httpx.TransportError)


def run_deployed(settings: Settings, name: str, parameters: dict[str, Any], timeout_s: float = 180.0) -> dict[str, Any]:
    """Runs ``name`` ("flow/deployment") now; the finished flow run. Raises DeploymentFailed, httpx.HTTPError."""
    with httpx.Client(base_url=settings.resolved_prefect_api_url, timeout=15.0) as client:
        api = _Api(client)
        run_id = _created(api, name, parameters, str(uuid4()))
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            run: dict[str, Any] = api.ask("GET", f"/flow_runs/{run_id}")
            if run["state_type"] == "COMPLETED":
                return run
            if run["state_type"] in ("FAILED", "CRASHED", "CANCELLED"):
                message = (run.get("state") or {}).get("message")
                raise DeploymentFailed(f"{name} ended {run['state_name']}: {message}; its log is in the Prefect UI")
            time.sleep(POLL_S)
    raise DeploymentFailed(f"{name} did not end within {timeout_s:.0f} s: is the worker up? see its log")


def start_deployed(settings: Settings, name: str, parameters: dict[str, Any], key: str) -> str:
    """Asks for a run of ``name`` and does not wait for it; the run's id. The same ``key`` asks once, however often it
    is sent. Raises DeploymentFailed, httpx.HTTPError."""
    with httpx.Client(base_url=settings.resolved_prefect_api_url, timeout=5.0) as client:
        return _created(_Api(client), name, parameters, key)


def _created(api: _Api, name: str, parameters: dict[str, Any], key: str) -> str:
    flow, deployment = name.split("/")
    found = api.ask("GET", f"/deployments/name/{quote(flow)}/{quote(deployment)}", missing_ok=True)
    if found is None:
        raise DeploymentFailed(f"Prefect knows no deployment {name}: run `prefect deploy --all`")
    body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "idempotency_key": key}
    return str(api.ask("POST", f"/deployments/{found['id']}/create_flow_run", body)["id"])


class _Api:
    """The Prefect server's REST API. On SQLite it answers 503 while another writer holds the database: ask again."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    @stamina.retry(on=_passing, attempts=8, wait_initial=0.2, wait_max=3.0)
    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, missing_ok: bool = False) -> Any:
        answer = self._client.request(method, path, json=body)
        return None if missing_ok and answer.status_code == 404 else answer.raise_for_status().json()
