"""Flow runs that stand for long-lived loops, and the closing of those whose process is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx
import psutil
from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.exceptions import PrefectException
from prefect.states import Crashed


class PrefectAway(ConnectionError):
    """The Prefect server cannot be reached or failed the request."""


def session(
    flow_name: str, holder: str, describe: Callable[[], str], stop: threading.Event, line_every_s: float
) -> None:
    """Keeps one run of ``flow_name`` open until ``stop``. Raises PrefectAway when the server is not there."""

    def watch() -> str:
        logger = get_run_logger()
        while not stop.wait(line_every_s):
            logger.info(describe())
        logger.info(describe())
        return describe()

    watch.__doc__ = "A long-lived loop, shown here: it runs in its own process and does not need this server."
    run = flow(name=flow_name, flow_run_name=f"loop {holder}", retries=0)(watch)
    try:
        run()
    except (httpx.HTTPError, PrefectException, RuntimeError, OSError) as error:
        raise PrefectAway(f"{type(error).__name__}: {error}") from error


def close_orphans(flow_name: str, holder: str) -> int:
    """Sets runs named "loop host:pid" whose process on this host is gone to Crashed; returns how many."""
    host = holder.rsplit(":", 1)[0]
    closed = 0
    try:
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(
                flow_filter=FlowFilter.model_validate({"name": {"any_": [flow_name]}}),
                flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING"]}}}),
            )
            for run in runs:
                owner, _, pid = run.name.removeprefix("loop ").rpartition(":")
                if owner != host or not pid.isdigit() or psutil.pid_exists(int(pid)):
                    continue
                client.set_flow_run_state(run.id, Crashed(message="its process is gone"), force=True)
                closed += 1
    except (httpx.HTTPError, PrefectException, RuntimeError, OSError) as error:
        raise PrefectAway(f"{type(error).__name__}: {error}") from error
    return closed
