from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra import processes
from infra.processes import StackId
from tests.support.fake_services import DEAF, FOREVER, touching
from tests.support.waiting import until


def start(folder: Path, stack: StackId, service: str = "program", code: str = FOREVER) -> subprocess.Popen[bytes]:
    """A marked child, past its launcher."""
    ready = folder / f"{service}.up"
    argv = [sys.executable, "-I", "-S", "-c", touching(code, ready)]
    child = processes.spawn(argv, service=service, stack=stack, env=dict(os.environ), cwd=folder, log=folder / "log")
    until(ready.exists)
    return child


def test_ids_of_one_folder_share_a_prefix_and_differ_in_every_run(tmp_path: Path) -> None:
    one, two = StackId(tmp_path), StackId(tmp_path)
    assert str(one) != str(two)
    assert one.prefix == two.prefix
    assert str(one).startswith(one.prefix)
    assert one.prefix.startswith(one.home_prefix)


def test_ids_of_other_folders_and_other_names_do_not_match(tmp_path: Path) -> None:
    assert StackId(tmp_path).home_prefix != StackId(tmp_path / "other").home_prefix
    assert not str(StackId(tmp_path, "replay")).startswith(StackId(tmp_path).prefix)


def test_a_child_is_found_by_its_mark_after_its_starter_forgot_it(tmp_path: Path) -> None:
    stack = StackId(tmp_path)
    child = start(tmp_path, stack)
    found = processes.find_marked(StackId(tmp_path).prefix)
    assert [(each.process.pid, each.service) for each in found] == [(child.pid, "program")]
    processes.end_group(child)
    assert processes.find_marked(stack.prefix) == []


def test_a_child_leads_its_own_session(tmp_path: Path) -> None:
    child = start(tmp_path, StackId(tmp_path))
    assert os.getsid(child.pid) == child.pid
    processes.end_group(child)


def test_all_of_a_stack_ends_also_what_does_not_listen(tmp_path: Path) -> None:
    stack = StackId(tmp_path)
    children = [start(tmp_path, stack, "polite"), start(tmp_path, stack, "deaf", DEAF)]
    ended = processes.end_marked(stack.prefix, grace_s=0.2)
    assert {each.service for each in ended} == {"polite", "deaf"}
    assert [child.wait() for child in children] == [-signal.SIGTERM, -signal.SIGKILL]


def test_stores_end_after_the_programs_that_write_to_them(tmp_path: Path) -> None:
    stack = StackId(tmp_path)
    order = tmp_path / "order"
    note = (
        "import signal, sys, time\n"
        "def end(*_):\n    open({order!r}, 'a').write({name!r} + '\\n'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\nsignal.signal(signal.SIGINT, end)\n"
        "while True: time.sleep(0.05)"
    )
    children = []
    for name in ("postgres", "board"):
        children.append(start(tmp_path, stack, name, note.format(order=str(order), name=name)))
    processes.end_marked(stack.prefix)
    assert order.read_text().split() == ["board", "postgres"]
    for child in children:
        child.wait()


def test_the_ending_process_and_those_above_it_are_spared(tmp_path: Path) -> None:
    stack = StackId(tmp_path)
    code = (
        "import os, subprocess, sys\n"
        "inner = 'from infra import processes; print(len(processes.end_marked(sys.argv[1])))'\n"
        f"print(subprocess.check_output([sys.executable, '-c', 'import sys;' + inner, {stack.prefix!r}], text=True))"
    )
    marked = {**os.environ, processes.STACK_VARIABLE: str(stack), processes.SERVICE_VARIABLE: "shell"}
    done = subprocess.run([sys.executable, "-c", code], env=marked, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_child_ends_with_a_killed_supervisor(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys, time\n"
        "from infra import processes\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "child = processes.spawn([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(600)'], service='x',\n"
        "    stack=processes.StackId(folder), env=dict(os.environ), cwd=folder, log=folder / 'log')\n"
        "(folder / 'pid.new').write_text(str(child.pid)); (folder / 'pid.new').rename(folder / 'pid')\n"
        "time.sleep(600)"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    until((tmp_path / "pid").exists)
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    # Past the launcher: before that it would notice by itself.
    until(lambda: "time.sleep" in " ".join(child.cmdline()) and "launch.py" not in " ".join(child.cmdline()))
    supervisor.kill()
    supervisor.wait()
    until(lambda: not processes.lives(child))


def test_a_process_id_given_to_another_program_is_not_the_same_process() -> None:
    me = psutil.Process()
    assert processes.same_process(me.pid, me.create_time()) is not None
    assert processes.same_process(me.pid, me.create_time() - 100) is None
    assert processes.same_process(2**22 + 1, 0.0) is None


def test_memory_counts_children() -> None:
    assert processes.resident_bytes(os.getpid()) > 2**20
    assert processes.resident_bytes(2**22 + 1) == 0
