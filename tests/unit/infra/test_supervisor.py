from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.processes import StackId, find_marked, lives
from infra.service import Event, Service, State, backoff_s
from infra.supervisor import ServiceFailedError, StackError, Supervisor
from tests.support.fake_services import DEAF, fake, parent, run
from tests.support.waiting import until


class Bench:
    """A supervisor over a temporary folder, with what it told."""

    def __init__(self, folder: Path) -> None:
        self.stack = StackId(folder)
        self.events: list[Event] = []
        self.supervisor = Supervisor(
            stack=self.stack,
            env=dict(os.environ),
            cwd=folder,
            log_folder=folder / "logs",
            on_event=self.events.append,
        )

    def start(self, *services: Service) -> None:
        self.supervisor.add(services)
        self.supervisor.wait_ready(timeout_s=30)

    def told(self, name: str) -> list[State]:
        return [event.state for event in self.events if event.service == name]

    def pid(self, name: str) -> int:
        process = self.supervisor.runners[name].process
        assert process is not None
        return process.pid


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.supervisor.stop()
    assert find_marked(made.stack.home_prefix) == []


def test_a_service_starts_after_what_it_depends_on(bench: Bench) -> None:
    bench.start(fake("last", depends_on=("middle",)), fake("middle", depends_on=("first",)), fake("first"))
    ready = [event.service for event in bench.events if event.state is State.READY]
    assert ready == ["first", "middle", "last"]


def test_a_dependency_outside_the_stack_counts_as_up(bench: Bench) -> None:
    bench.start(fake("board", depends_on=("postgres",)))
    assert bench.supervisor.runners["board"].up


def test_services_end_before_what_they_depend_on(bench: Bench) -> None:
    bench.start(fake("store"), fake("program", depends_on=("store",)))
    bench.supervisor.stop()
    assert [event.service for event in bench.events if event.state is State.STOPPED] == ["program", "store"]


def test_a_service_with_a_last_word_ends_first_but_starts_without_the_other(bench: Bench) -> None:
    asleep = fake("prefect", ready=lambda: "not yet")
    bench.supervisor.add([asleep, fake("poller", ends_before=("prefect",))])
    bench.supervisor.wait_ready(["poller"], timeout_s=30)
    bench.supervisor.stop()
    assert [event.service for event in bench.events if event.state is State.STOPPED] == ["poller", "prefect"]


def test_a_task_runs_to_its_end_and_counts_as_up(bench: Bench, tmp_path: Path) -> None:
    mark = tmp_path / "migrated"
    bench.start(
        fake("migrate", f"open({str(mark)!r}, 'w').close()", task=True),
        fake("program", ready=lambda: None if mark.exists() else "not migrated", depends_on=("migrate",)),
    )
    assert bench.told("migrate") == [State.STARTING, State.DONE]


def test_a_killed_service_is_restarted_and_counted(bench: Bench) -> None:
    bench.start(fake("program"))
    before = bench.pid("program")
    os.kill(before, signal.SIGKILL)
    until(lambda: bench.told("program").count(State.READY) == 2)
    assert bench.supervisor.runners["program"].restarts == 1
    assert bench.pid("program") != before
    backed_off = next(event for event in bench.events if event.state is State.BACKOFF)
    assert "SIGKILL" in backed_off.detail


def test_a_service_that_lives_but_no_longer_answers_is_restarted(bench: Bench, tmp_path: Path) -> None:
    hung = tmp_path / "hung"

    def alive() -> str | None:
        return "no answer" if hung.exists() else None

    bench.start(fake("program", alive=alive, ready=lambda: None, check_every_s=0.02, checks_failed_max=3))
    hung.touch()
    until(lambda: State.BACKOFF in bench.told("program"))
    hung.unlink()
    until(lambda: bench.told("program").count(State.READY) >= 2)
    assert "3 checks failed: no answer" in next(e.detail for e in bench.events if e.state is State.BACKOFF)


def test_one_failed_check_is_no_reason_to_restart(bench: Bench) -> None:
    answers = iter([None, "hiccup", None])
    asked: list[str | None] = []

    def ready() -> str | None:
        asked.append(next(answers, None))
        return asked[-1]

    bench.start(fake("program", ready=ready, check_every_s=0.02, checks_failed_max=2))
    until(lambda: len(asked) > 6)
    assert bench.supervisor.runners["program"].restarts == 0


def test_what_never_starts_is_given_up_with_the_end_of_its_log(bench: Bench) -> None:
    with pytest.raises(ServiceFailedError, match="ended with status 3") as caught:
        bench.start(fake("broken", "print('no champion here'); raise SystemExit(3)", start_attempts=2, settle_s=5.0))
    assert caught.value.service == "broken"
    assert "no champion here" in str(caught.value)
    assert bench.told("broken") == [State.STARTING, State.BACKOFF, State.STARTING, State.FAILED]


def test_a_command_that_is_not_there_is_named(bench: Bench) -> None:
    missing = Service("ghost", lambda: ["/nowhere/ghost"], start_attempts=1, settle_s=5.0)
    with pytest.raises(ServiceFailedError, match="cannot run /nowhere/ghost"):
        bench.start(missing)


def test_a_service_that_does_not_become_ready_in_time_is_given_up(bench: Bench) -> None:
    slow = fake("slow", ready=lambda: "still loading", start_timeout_s=0.3, start_attempts=1)
    with pytest.raises(ServiceFailedError, match="still loading"):
        bench.start(slow)
    assert bench.supervisor.runners["slow"].process is None


def test_prepare_runs_before_the_start_and_finish_before_ready(bench: Bench, tmp_path: Path) -> None:
    order: list[str] = []
    bench.start(
        fake(
            "store",
            prepare=lambda: order.append("prepare"),
            ready=lambda: order.append("check") or None,  # type: ignore[func-returns-value]
            finish=lambda: order.append("finish"),
        )
    )
    assert order == ["prepare", "check", "finish"]


def test_an_error_in_prepare_is_the_services_failure(bench: Bench) -> None:
    def prepare() -> None:
        raise OSError("disk full")

    with pytest.raises(ServiceFailedError, match="disk full"):
        bench.start(fake("store", prepare=prepare, start_attempts=1))


def test_a_deaf_service_is_killed_after_its_grace(bench: Bench) -> None:
    bench.start(fake("deaf", DEAF, stop_grace_s=0.2))
    pid = bench.pid("deaf")
    bench.supervisor.stop()
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("escapes", [False, True])
def test_what_a_service_started_ends_with_it(bench: Bench, tmp_path: Path, escapes: bool) -> None:
    file = tmp_path / "child"
    bench.start(parent("server", file, escapes=escapes, stop_grace_s=0.2))
    child = psutil.Process(int(file.read_text()))
    bench.supervisor.stop()
    assert not lives(child)


def test_services_can_be_added_and_removed_while_others_run(bench: Bench) -> None:
    bench.start(fake("store"))
    store = bench.pid("store")
    bench.supervisor.add([fake("replay", depends_on=("store",))])
    bench.supervisor.wait_ready(["replay"], timeout_s=30)
    replay = bench.pid("replay")
    bench.supervisor.remove(["replay", "unknown"])
    assert not psutil.pid_exists(replay)
    assert bench.pid("store") == store
    bench.supervisor.add([fake("replay")])
    bench.supervisor.wait_ready(["replay"], timeout_s=30)


def test_a_name_can_be_taken_only_once(bench: Bench) -> None:
    bench.start(fake("store"))
    with pytest.raises(StackError, match="already part"):
        bench.supervisor.add([fake("store")])


def test_nothing_can_be_added_to_a_stopped_stack(bench: Bench) -> None:
    bench.start(fake("store"))
    bench.supervisor.stop()
    bench.supervisor.stop()
    with pytest.raises(StackError, match="stopping"):
        bench.supervisor.add([fake("late")])


def test_waiting_ends_with_what_is_missing(bench: Bench) -> None:
    bench.supervisor.add([fake("slow", ready=lambda: "still loading")])
    with pytest.raises(StackError, match="slow"):
        bench.supervisor.wait_ready(timeout_s=0.3)


def test_every_service_writes_its_own_log(bench: Bench, tmp_path: Path) -> None:
    bench.start(fake("a", "print('one', flush=True)\n" + "import time; time.sleep(60)"), fake("b"))
    until(lambda: "one" in (tmp_path / "logs" / "a.log").read_text())
    assert (tmp_path / "logs" / "b.log").read_text() == ""


def test_a_child_knows_its_stack_and_its_name(bench: Bench, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    code = f"import os, pathlib\npathlib.Path({str(seen)!r}).write_text(os.environ['HALFTIME_STACK_SERVICE'])"
    bench.start(Service("who", run(code), task=True))
    assert seen.read_text() == "who"


def test_a_failing_supervisor_takes_its_services_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def broken(event: Event) -> None:
        if event.state is State.READY:
            raise ZeroDivisionError

    stack = StackId(tmp_path)
    supervisor = Supervisor(
        stack=stack, env=dict(os.environ), cwd=tmp_path, log_folder=tmp_path / "logs", on_event=broken
    )
    supervisor.add([fake("store")])
    until(lambda: not supervisor.alive)
    with pytest.raises(StackError, match="stopped before"):
        supervisor.wait_ready(timeout_s=5)
    assert find_marked(stack.prefix) == []


def test_the_wait_between_starts_doubles_up_to_half_a_minute() -> None:
    assert [backoff_s(n) for n in (1, 2, 3, 4, 20)] == [0.5, 1.0, 2.0, 4.0, 30.0]
