"""Which runs that say they run cannot: nothing that may be alive is closed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.filters import FlowRunFilter, LogFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import LogSort

from flows.presence import LINE_EVERY_S
from flows.zombies import SECOND_LOOK_S, SILENT_FOR, close_zombies, reason_to_close, silence

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONGEST = timedelta(hours=12)
HERE = socket.gethostname()


def run(
    name: str = "quick-fox", where: str | None = None, hours: float = 1.0, deployment: UUID | None = None
) -> FlowRun:
    started = NOW - timedelta(hours=hours)
    return FlowRun(
        id=uuid4(), name=name, flow_id=uuid4(), infrastructure_pid=where, start_time=started, deployment_id=deployment
    )


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


def test_the_age_of_a_loop_on_another_host_says_nothing_since_loops_have_no_end(gone: int) -> None:
    assert reason_to_close(run(f"loop elsewhere:{gone}", hours=9999), NOW, LONGEST) is None


def minutes_ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def test_a_loop_on_another_host_that_wrote_no_line_for_five_minutes_is_silent() -> None:
    pod = run("loop poller-5d9c:1")
    assert silence(pod, minutes_ago(5.1), NOW, SILENT_FOR) == "its loop wrote no line for 5 minutes"
    assert silence(pod, minutes_ago(300), NOW, SILENT_FOR) is not None
    for minutes in (0, 4.9, -3):  # a clock may be ahead of ours
        assert silence(pod, minutes_ago(minutes), NOW, SILENT_FOR) is None


def test_a_loop_whose_lines_do_not_reach_prefect_is_not_judged_by_them() -> None:
    assert silence(run("loop poller-5d9c:1", hours=9999), None, NOW, SILENT_FOR) is None


def test_a_loop_on_this_host_is_judged_by_its_process_alone() -> None:
    assert silence(run(f"loop {HERE}:{os.getpid()}"), minutes_ago(9999), NOW, SILENT_FOR) is None


@pytest.mark.parametrize(
    "other",
    [
        run(where="halftime:quick-fox-7k2p"), run(where=None), run("loop of the season", deployment=uuid4()),
        run("loop poller-5d9c:1", deployment=uuid4()),
    ],
)  # fmt: skip
def test_no_line_of_a_flow_run_is_ever_waited_for(other: FlowRun) -> None:
    assert silence(other, minutes_ago(9999), NOW, SILENT_FOR) is None


def test_a_silent_loop_has_missed_many_lines_and_is_given_more_than_one_again() -> None:
    assert SILENT_FOR.total_seconds() >= 10 * LINE_EVERY_S
    assert SECOND_LOOK_S >= 3 * LINE_EVERY_S


class Prefect:
    """As much of a Prefect server as is asked; ``lines`` is the age of each run's newest line in minutes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: dict[str, FlowRun] = {}
        self.lines: dict[str, float] = {}
        self.closed: dict[str, str] = {}
        self.waited: list[float] = []
        monkeypatch.setattr("flows.zombies.get_client", self._client)

    def loop(self, name: str, line: float | None, deployment: UUID | None = None) -> None:
        self.runs[name] = run(f"loop {name}:1", hours=99, deployment=deployment)
        if line is not None:
            self.lines[name] = line

    @contextmanager
    def _client(self, *, sync_client: bool) -> Iterator[Prefect]:
        assert sync_client
        yield self

    def _name(self, number: UUID) -> str:
        return next(name for name, one in self.runs.items() if one.id == number)

    def read_flow_runs(self, *, flow_run_filter: FlowRunFilter) -> list[FlowRun]:
        assert flow_run_filter.state is not None
        asked = flow_run_filter.id and flow_run_filter.id.any_
        open_runs = [one for name, one in self.runs.items() if name not in self.closed]
        return [one for one in open_runs if asked is None or one.id in asked]

    def read_logs(self, log_filter: LogFilter, limit: int, sort: LogSort) -> list[SimpleNamespace]:
        assert log_filter.flow_run_id is not None
        assert log_filter.flow_run_id.any_ is not None
        assert (limit, sort) == (1, LogSort.TIMESTAMP_DESC)
        (number,) = log_filter.flow_run_id.any_
        age = self.lines.get(self._name(number))
        return [] if age is None else [SimpleNamespace(timestamp=datetime.now(UTC) - timedelta(minutes=age))]

    def set_flow_run_state(self, number: UUID, state: State, force: bool) -> None:
        assert force
        assert state.type.value == "CRASHED"
        self.closed[self._name(number)] = state.message or ""


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Prefect:
    return Prefect(monkeypatch)


def test_a_killed_pods_loop_is_closed_and_one_that_writes_is_not(prefect: Prefect) -> None:
    prefect.loop("killed", 12)
    prefect.loop("living", 0.2)
    prefect.loop("unheard", None)
    prefect.loop("job", 99, deployment=uuid4())
    prefect.runs["flow"] = run(where="halftime:quick-fox-7k2p", hours=2)
    prefect.lines["flow"] = 99.0
    figures = close_zombies(longest=timedelta(days=9999), wait=prefect.waited.append)
    assert prefect.closed == {"killed": "its loop wrote no line for 5 minutes"}
    assert figures == {"looked_at": 5, "process_gone": 0, "too_old": 0, "silent": 1}
    assert prefect.waited == [SECOND_LOOK_S]


def test_a_loop_that_writes_before_the_second_look_is_left(prefect: Prefect) -> None:
    prefect.loop("killed", 12)
    prefect.loop("heard", 12)
    close_zombies(wait=lambda _: prefect.lines.update(heard=0.0))
    assert list(prefect.closed) == ["killed"]


def test_a_loop_that_ends_before_the_second_look_keeps_its_own_end(prefect: Prefect) -> None:
    prefect.loop("ended", 12)
    figures = close_zombies(wait=lambda _: prefect.closed.update(ended="by itself"))
    assert (figures["silent"], prefect.closed) == (0, {"ended": "by itself"})


def test_nobody_waits_for_a_second_look_when_no_loop_is_silent(prefect: Prefect) -> None:
    prefect.loop("living", 0.2)
    close_zombies(wait=prefect.waited.append)
    assert (prefect.waited, prefect.closed) == ([], {})


def test_a_loop_that_falls_silent_between_the_looks_waits_for_the_next_run(prefect: Prefect) -> None:
    prefect.loop("killed", 12)
    prefect.loop("later", 4.9)
    close_zombies(wait=lambda _: prefect.lines.update(later=6.9))
    assert list(prefect.closed) == ["killed"]
