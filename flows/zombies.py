"""Flow runs that a dead worker or loop left "Running": closed, so that limits and people are not misled by them.

What is on this host is known by its process. On another host a loop is known by the lines that it writes into its run,
and any other run by its age alone: on Kubernetes Prefect's own observer watches the Jobs.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, LogFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import PrefectException
from prefect.states import Crashed

from flows.presence import LINE_EVERY_S
from flows.sessions import PrefectAway

# Of a run on another host only its age tells: no run of ours takes so long.
LONGEST_RUN = timedelta(hours=12)
# Fifteen lines of a loop in a row. Fewer go missing while a network, a node or Prefect's server is in trouble, and the
# clocks of two hosts may differ by seconds; nothing but a person's eye depends on a faster answer.
SILENT_FOR = timedelta(minutes=5)
# A server that has just come back knows no line of the time it was away. Prefect's client in the loop pauses for up to
# 38 s between two tries and the next line may be due 20 s later: twice that before anybody is closed.
SECOND_LOOK_S = 6 * LINE_EVERY_S


def close_zombies(
    *,
    longest: timedelta = LONGEST_RUN,
    silent: timedelta = SILENT_FOR,
    wait: Callable[[float], object] = time.sleep,
) -> dict[str, int]:
    """Sets runs whose process on this host is gone, and runs older than ``longest``, to Crashed; also loops of other
    hosts that wrote no line for ``silent``, nor while this waited two minutes for one (``wait`` is given the seconds).

    Loops keep a run open for as long as they live: their age says nothing. Raises PrefectAway.
    """
    figures = {"looked_at": 0, "process_gone": 0, "too_old": 0, "silent": 0}
    try:
        with get_client(sync_client=True) as client:
            unheard = []
            for run in _running(client):
                figures["looked_at"] += 1
                why = reason_to_close(run, datetime.now(UTC), longest)
                if why is not None:
                    _close(client, run, why)
                    figures["too_old" if "hours" in why else "process_gone"] += 1
                elif _silence(client, run, silent) is not None:
                    unheard.append(run.id)
            if unheard:
                wait(SECOND_LOOK_S)
                for run in _running(client, unheard):
                    why = _silence(client, run, silent)
                    if why is not None:
                        _close(client, run, why)
                        figures["silent"] += 1
    except (httpx.HTTPError, PrefectException, RuntimeError, OSError) as error:
        raise PrefectAway(f"{type(error).__name__}: {error}") from error
    return figures


def reason_to_close(run: FlowRun, now: datetime, longest: timedelta) -> str | None:
    """Why a run that says it is running cannot be, by its process or age; None when it may well be."""
    looped = _holder(run)
    host, _, pid = (looped or run.infrastructure_pid or "").rpartition(":")
    if host == socket.gethostname() and pid.isdigit():
        return None if psutil.pid_exists(int(pid)) else "its process is gone"
    if looped is None and run.start_time is not None and now - run.start_time > longest:
        return f"it runs for more than {longest.total_seconds() / 3600:g} hours"
    return None


def silence(run: FlowRun, last_line: datetime | None, now: datetime, longest: timedelta) -> str | None:
    """Why a loop of another host cannot be alive, by its newest line in Prefect; None when it may well be.

    Every loop writes when it begins. One without any line has its lines switched off, and they say nothing about it.
    """
    looped = _holder(run)
    if looped is None or looped.rpartition(":")[0] == socket.gethostname():
        return None
    if last_line is None or now - last_line <= longest:
        return None
    return f"its loop wrote no line for {longest.total_seconds() / 60:.3g} minutes"


def _holder(run: FlowRun) -> str | None:
    # A run of a deployment is never a loop, whatever it is called.
    return run.name.removeprefix("loop ") if run.name.startswith("loop ") and run.deployment_id is None else None


def _silence(client: SyncPrefectClient, run: FlowRun, longest: timedelta) -> str | None:
    if _holder(run) is None:
        return None
    of_run = LogFilter.model_validate({"flow_run_id": {"any_": [run.id]}})
    newest = client.read_logs(of_run, limit=1, sort=LogSort.TIMESTAMP_DESC)
    return silence(run, newest[0].timestamp if newest else None, datetime.now(UTC), longest)


def _running(client: SyncPrefectClient, among: Collection[UUID] | None = None) -> list[FlowRun]:
    asked: dict[str, object] = {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}
    if among is not None:
        asked["id"] = {"any_": list(among)}
    return list(client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(asked)))


def _close(client: SyncPrefectClient, run: FlowRun, why: str) -> None:
    client.set_flow_run_state(run.id, Crashed(message=why), force=True)
