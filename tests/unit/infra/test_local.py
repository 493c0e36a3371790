from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra.detached import read_status, stop_detached
from infra.local import LocalStack
from infra.processes import StackId, find_marked, lives
from infra.runfile import StackRunningError
from infra.supervisor import ServiceFailedError
from services.settings import ROOT, Settings
from tests.support.fake_services import fake
from tests.support.waiting import until

NIGHT = """
import sys, time
from pathlib import Path
from infra.local import LocalStack
from services.settings import Settings
from tests.support.fake_services import DEAF, fake, touching
deaf = Path(sys.argv[1]) / "deaf"
deaf.unlink(missing_ok=True)
ready = lambda: None if deaf.exists() else "not deaf yet"
board = fake("board", touching(DEAF, deaf), ready=ready, depends_on=("store",), stop_grace_s=0.3)
services = [fake("store"), board]
with LocalStack(Settings(home=Path(sys.argv[1])), services=services):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, database_url=None, data=None)


def night(settings: Settings) -> subprocess.Popen[str]:
    """A process that runs a stack of two services and waits, ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", NIGHT, str(settings.home)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def left(settings: Settings) -> list[psutil.Process]:
    return [each.process for each in find_marked(StackId(settings.home).home_prefix) if lives(each.process)]


def test_a_stack_is_up_inside_the_block_and_gone_after_it(settings: Settings) -> None:
    with LocalStack(settings, services=[fake("board", port=1, url="http://x")]):
        status = read_status(settings)
        assert status is not None
        assert (status.running, status.ready, status.supervisor_pid) == (True, True, os.getpid())
        board = status.service("board")
        assert board is not None
        assert (board.state, board.restarts, board.url) == ("ready", 0, "http://x")
        assert board.resident_mb is not None
        assert board.resident_mb > 0
        json.dumps(status.to_dict())
    assert read_status(settings) is None
    assert left(settings) == []


def test_an_error_inside_the_block_ends_the_stack_too(settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError), LocalStack(settings, services=[fake("board")]):
        raise ZeroDivisionError
    assert left(settings) == []


def test_a_stack_that_does_not_come_up_leaves_nothing(settings: Settings) -> None:
    broken = fake("broken", "raise SystemExit(1)", settle_s=5.0, start_attempts=1)
    with pytest.raises(ServiceFailedError), LocalStack(settings, services=[fake("board"), broken]):
        pytest.fail("it must not come up")
    assert left(settings) == []


def test_one_data_folder_has_one_stack(settings: Settings) -> None:
    with LocalStack(settings, services=[fake("board")]):
        with pytest.raises(StackRunningError, match=f"process {os.getpid()}"):
            LocalStack(settings, services=[fake("board")]).start()
        assert len(left(settings)) == 1


def test_a_stack_of_another_name_runs_beside_it(settings: Settings) -> None:
    with LocalStack(settings, services=[fake("board")]):
        with LocalStack(settings, services=[fake("replay", depends_on=("board",))], name="replay"):
            assert len(left(settings)) == 2
        assert len(left(settings)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_stack_with_its_program(settings: Settings, number: signal.Signals) -> None:
    process = night(settings)
    assert len(left(settings)) == 2
    process.send_signal(number)
    assert process.wait(30) != 0
    assert left(settings) == []
    assert read_status(settings) is None


def test_a_new_start_ends_what_a_killed_supervisor_left(settings: Settings) -> None:
    process = night(settings)
    status = read_status(settings)
    assert status is not None
    before = left(settings)
    process.kill()
    process.wait()
    assert left(settings) != []
    broken_off = read_status(settings)
    assert broken_off is not None
    assert not broken_off.running
    with LocalStack(settings, services=[fake("store")]):
        assert not any(lives(each) for each in before)
        assert len(left(settings)) == 1
    assert left(settings) == []


def test_down_ends_a_running_stack_and_what_a_killed_one_left(settings: Settings) -> None:
    process = night(settings)
    assert stop_detached(settings) == ["board", "store"]
    assert process.wait(30) != 0
    killed = night(settings)
    killed.kill()
    killed.wait()
    stop_detached(settings)
    until(lambda: left(settings) == [])
    assert read_status(settings) is None
    assert stop_detached(settings) == []


def test_a_run_file_that_is_damaged_is_no_stack(settings: Settings) -> None:
    (settings.home / "run").mkdir()
    (settings.home / "run" / "stack.json").write_text('{"name": "stack"')
    assert read_status(settings) is None
    assert stop_detached(settings) == []


def test_services_come_and_go_while_the_stack_runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "infra.services_table.MAKERS", {"predictor": lambda _: fake("predictor"), "poller": lambda _: fake("poller")}
    )
    with LocalStack(settings, services=[fake("board")]) as stack:
        stack.add(["predictor", "poller"])
        assert [each.name for each in stack.status().services] == ["board", "predictor", "poller"]
        stack.remove(["predictor", "poller"])
        assert [each.name for each in stack.status().services] == ["board"]
