"""Starting children so that they can always be found again, and ending them with everything they started.

Every child gets its own session and carries two variables in its environment: which stack it belongs to and which
service it is. A supervisor that was killed leaves no memory behind, but its children can still be recognised.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

STACK_VARIABLE = "HALFTIME_STACK_ID"
SERVICE_VARIABLE = "HALFTIME_STACK_SERVICE"
LAUNCHER = Path(__file__).with_name("launch.py")
# Ended last and gently: their clients go first, and they write to disk when they end.
STORES = {"postgres": signal.SIGINT, "redis": signal.SIGTERM}


@dataclass(frozen=True)
class StackId:
    """Names one run of one stack. The first two parts are the same for every run over the same data folder."""

    home: Path
    name: str = "stack"
    token: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def home_prefix(self) -> str:
        """What the ids of all stacks over this data folder begin with."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:12] + "."

    @property
    def prefix(self) -> str:
        """What every run's id of this stack begins with."""
        return f"{self.home_prefix}{self.name}."

    def __str__(self) -> str:
        return self.prefix + self.token


@dataclass(frozen=True)
class Marked:
    """A live process that belongs to a stack."""

    process: psutil.Process
    service: str


def spawn(
    argv: Sequence[str],
    *,
    service: str,
    stack: StackId,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a child in its own session, its output appended to `log`.

    The child gets `death_signal` when the calling thread ends, so call this from a thread that lives as long as the
    stack. Raises OSError when the launcher itself cannot start; a command that is not there ends with status 127.
    """
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal))]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*launcher, *argv],
            env={**env, STACK_VARIABLE: str(stack), SERVICE_VARIABLE: service},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the child's process group, the child included, and reap it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def find_marked(prefix: str) -> list[Marked]:
    """Processes of every run of a stack, except this process and the ones it runs under."""
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in spared:
            continue
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            # Another user's, a kernel thread, or already gone: not ours.
            continue
        if environment.get(STACK_VARIABLE, "").startswith(prefix):
            found.append(Marked(process, environment.get(SERVICE_VARIABLE, "?")))
    return found


def end_marked(prefix: str, grace_s: float = 5.0, recorded: Iterable[Marked] = ()) -> list[Marked]:
    """End every process of a stack: programs first, then the stores they write to. Returns what was found alive.

    `recorded` are those that the run file names: a program that writes its title over its environment, as Redis does,
    can no longer be recognised.
    """
    ended = []
    for stores in (False, True):
        found = {marked.process.pid: marked for marked in (*recorded, *find_marked(prefix)) if lives(marked.process)}
        chosen = [marked for marked in found.values() if (marked.service in STORES) is stores]
        ended += chosen
        pids = {marked.process.pid for marked in chosen}
        # Only the topmost are asked: a PostgreSQL backend or a server's worker is its parent's business.
        for marked in chosen:
            with suppress(psutil.Error):
                if marked.process.ppid() not in pids:
                    marked.process.send_signal(STORES.get(marked.service, signal.SIGTERM))
        kill_rest([marked.process for marked in chosen], grace_s * (2 if stores else 1))
    # Something may have been started while the others were ending.
    kill_rest([marked.process for marked in find_marked(prefix)], 0.0)
    return ended


def kill_rest(processes: Iterable[psutil.Process], grace_s: float) -> None:
    """Wait for processes to end by themselves, then kill the rest and wait until they are gone."""
    alive = _wait(processes, grace_s)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    _wait(alive, 5.0)


def _wait(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    # A zombie has ended; whether its parent ever collects it (in a container nobody may) is not ours to wait for.
    deadline = time.monotonic() + timeout_s
    left = [process for process in processes if lives(process)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [process for process in left if lives(process)]
    return left


def lives(process: psutil.Process) -> bool:
    """Whether it still runs: neither gone, nor a zombie, nor its number given to another."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def same_process(pid: int, create_time: float) -> psutil.Process | None:
    """The process with this id, unless the id now belongs to a younger one."""
    try:
        process = psutil.Process(pid)
        started = process.create_time()
    except psutil.Error:
        return None
    return process if abs(started - create_time) < 1.0 and lives(process) else None


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and everything below it; 0 when it is gone."""
    total = 0
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_info().rss
    return total
