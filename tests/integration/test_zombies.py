"""Runs that say they run and cannot, on a real Prefect server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.sorting import LogSort
from prefect.settings import PREFECT_API_URL
from prefect.states import Running
from prefect.testing.utilities import prefect_test_harness

from flows.zombies import close_zombies
from services.settings import ROOT
from tests.support.servers import die_with_parent, end
from tests.support.waiting import until

# A loop as poller and predictor are, but that its host and process are said to be a pod's and it writes all the time.
LOOP = """
import sys, threading
from flows import presence
presence.LINE_EVERY_S = 0.2
with presence.Presence("poll-live-games", sys.argv[1], lambda: "polls=1"):
    threading.Event().wait()
"""


@pytest.fixture(scope="module")
def client() -> Iterator[SyncPrefectClient]:
    with prefect_test_harness(server_startup_timeout=180), get_client(sync_client=True) as opened:
        yield opened


def state(client: SyncPrefectClient, run: UUID) -> str:
    found = client.read_flow_run(run).state_type
    return "none" if found is None else str(found.value)


def test_a_run_that_a_dead_worker_left_running_is_closed_and_a_living_one_is_not(client: SyncPrefectClient) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    from flows.orchestration import close_zombies as some_flow

    runs = {}
    for name, pid in (("dead", gone.pid), ("living", os.getpid())):
        run = client.create_flow_run(some_flow, name=name, state=Running())
        client.update_flow_run(run.id, infrastructure_pid=f"{socket.gethostname()}:{pid}")
        runs[name] = run.id
    figures = close_zombies()
    assert (figures["process_gone"], figures["too_old"]) == (1, 0)
    assert {name: state(client, run) for name, run in runs.items()} == {"dead": "CRASHED", "living": "RUNNING"}
    assert close_zombies()["process_gone"] == 0, "once"


@contextmanager
def loop(holder: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose presence Prefect shows under this holder."""
    env = os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value(), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP, holder], env=env, cwd=ROOT, start_new_session=True, preexec_fn=die_with_parent
    )
    try:
        yield process
    finally:
        end(process)


def shown(client: SyncPrefectClient, holder: str) -> UUID:
    """The loop's run, once there is one."""
    name = FlowRunFilter(name=FlowRunFilterName(any_=[f"loop {holder}"]))
    until(lambda: client.read_flow_runs(flow_run_filter=name), timeout_s=90)
    (number,) = [run.id for run in client.read_flow_runs(flow_run_filter=name)]
    return UUID(str(number))


def newest(client: SyncPrefectClient, run: UUID) -> datetime | None:
    """When the loop wrote its newest line of figures."""
    found = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])), sort=LogSort.TIMESTAMP_DESC)
    return next((line.timestamp for line in found if line.message == "polls=1"), None)


def test_a_killed_pods_loop_is_closed_and_a_living_one_is_known_by_its_lines(client: SyncPrefectClient) -> None:
    from flows.orchestration import retrain

    # A run in a Job writes no line as long as it trains; what its pod does is for Prefect's observer of Jobs to say.
    job = client.create_flow_run(retrain, name="quick-fox", state=Running())
    client.update_flow_run(job.id, infrastructure_pid="halftime:quick-fox-7k2p")

    with loop("poller-killed:1") as killed, loop("poller-living:1"):
        runs = {name: shown(client, f"poller-{name}:1") for name in ("killed", "living")}

        def heard_after(moment: datetime) -> bool:
            line = newest(client, runs["living"])
            return line is not None and line > moment

        until(lambda: all(newest(client, run) for run in runs.values()), timeout_s=60)
        assert close_zombies()["silent"] == 0

        killed.kill()
        killed.wait()
        last = newest(client, runs["killed"])
        assert last is not None
        until(lambda: heard_after(last + timedelta(seconds=8)), timeout_s=60)
        figures = close_zombies(
            silent=datetime.now(UTC) - last - timedelta(seconds=1),
            wait=lambda _: until(partial(heard_after, datetime.now(UTC))),
        )
        assert figures["silent"] == 1
        assert {name: state(client, run) for name, run in runs.items()} == {"killed": "CRASHED", "living": "RUNNING"}
    assert state(client, job.id) == "RUNNING"
