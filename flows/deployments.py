"""Runs a deployment through the Prefect server and its worker, and waits for it."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import httpx

from services.settings import Settings

POLL_S = 0.5


class DeploymentFailed(RuntimeError):
    """A flow run that did not complete; the message has its state."""


def run_deployed(settings: Settings, name: str, parameters: dict[str, Any], timeout_s: float = 180.0) -> dict[str, Any]:
    """Runs ``name`` ("flow/deployment") now; the finished flow run. Raises DeploymentFailed, httpx.HTTPError."""
    with httpx.Client(base_url=settings.resolved_prefect_api_url, timeout=15.0) as api:
        flow, deployment = name.split("/")
        found = api.get(f"/deployments/name/{quote(flow)}/{quote(deployment)}")
        if found.status_code == 404:
            raise DeploymentFailed(f"Prefect knows no deployment {name}: run `prefect deploy --all`")
        made = api.post(
            f"/deployments/{found.raise_for_status().json()['id']}/create_flow_run",
            json={"parameters": parameters, "state": {"type": "SCHEDULED"}},
        )
        run_id = made.raise_for_status().json()["id"]
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            run: dict[str, Any] = api.get(f"/flow_runs/{run_id}").raise_for_status().json()
            if run["state_type"] == "COMPLETED":
                return run
            if run["state_type"] in ("FAILED", "CRASHED", "CANCELLED"):
                message = (run.get("state") or {}).get("message")
                raise DeploymentFailed(f"{name} ended {run['state_name']}: {message}; its log is in the Prefect UI")
            time.sleep(POLL_S)
    raise DeploymentFailed(f"{name} did not end within {timeout_s:.0f} s: is the worker up? see its log")
