"""Which runs that say they run cannot: nothing that may be alive is closed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun

from flows.zombies import reason_to_close

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONGEST = timedelta(hours=12)
HERE = socket.gethostname()


def run(name: str = "quick-fox", where: str | None = None, hours: float = 1.0) -> FlowRun:
    started = NOW - timedelta(hours=hours)
    return FlowRun(id=uuid4(), name=name, flow_id=uuid4(), infrastructure_pid=where, start_time=started)


@pytest.fixture(scope="module")
def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_whose_process_on_this_host_is_gone_is_closed(gone: int) -> None:
    assert reason_to_close(run(where=f"{HERE}:{gone}"), NOW, LONGEST) == "its process is gone"
    assert reason_to_close(run(f"loop {HERE}:{gone}"), NOW, LONGEST) == "its process is gone"


def test_a_run_whose_process_lives_is_left_however_long_it_takes() -> None:
    assert reason_to_close(run(where=f"{HERE}:{os.getpid()}", hours=99), NOW, LONGEST) is None
    assert reason_to_close(run(f"loop {HERE}:{os.getpid()}", hours=9999), NOW, LONGEST) is None


def test_of_a_run_on_another_host_its_age_tells(gone: int) -> None:
    assert reason_to_close(run(where=f"elsewhere:{gone}", hours=11.9), NOW, LONGEST) is None
    assert reason_to_close(run(where=f"elsewhere:{gone}", hours=12.1), NOW, LONGEST) == "it runs for more than 12 hours"
    assert reason_to_close(run(where=None, hours=13), NOW, LONGEST) is not None


def test_a_loop_on_another_host_is_left_alone_since_loops_have_no_end(gone: int) -> None:
    assert reason_to_close(run(f"loop elsewhere:{gone}", hours=9999), NOW, LONGEST) is None
