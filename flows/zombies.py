"""Flow runs that a dead worker left "Running": closed, so that limits and people are not misled by them."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta

import httpx
import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectException
from prefect.states import Crashed

from flows.sessions import PrefectAway

# Of a run on another host only its age tells: no run of ours takes so long.
LONGEST_RUN = timedelta(hours=12)


def close_zombies(*, longest: timedelta = LONGEST_RUN) -> dict[str, int]:
    """Sets runs whose process on this host is gone, and runs older than ``longest``, to Crashed.

    Loops keep a run open for as long as they live: those end with their process alone. Raises PrefectAway.
    """
    figures = {"looked_at": 0, "process_gone": 0, "too_old": 0}
    try:
        with get_client(sync_client=True) as client:
            running = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}})
            for run in client.read_flow_runs(flow_run_filter=running):
                figures["looked_at"] += 1
                why = reason_to_close(run, datetime.now(UTC), longest)
                if why is not None:
                    client.set_flow_run_state(run.id, Crashed(message=why), force=True)
                    figures["too_old" if "hours" in why else "process_gone"] += 1
    except (httpx.HTTPError, PrefectException, RuntimeError, OSError) as error:
        raise PrefectAway(f"{type(error).__name__}: {error}") from error
    return figures


def reason_to_close(run: FlowRun, now: datetime, longest: timedelta) -> str | None:
    """Why a run that says it is running cannot be; None when it may well be."""
    looped = run.name.removeprefix("loop ") if run.name.startswith("loop ") else None
    host, _, pid = (looped or run.infrastructure_pid or "").rpartition(":")
    if host == socket.gethostname() and pid.isdigit():
        return None if psutil.pid_exists(int(pid)) else "its process is gone"
    if looped is None and run.start_time is not None and now - run.start_time > longest:
        return f"it runs for more than {longest.total_seconds() / 3600:g} hours"
    return None
