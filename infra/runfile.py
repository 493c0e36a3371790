"""What a running stack writes down for others: its lock, and a file with every service's state and process."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from infra import processes
from infra.service import Runner


@dataclass(frozen=True)
class ServiceStatus:
    """One service as last written down. `resident_mb` is measured when it is read; None when nothing runs."""

    name: str
    state: str
    detail: str
    pid: int | None
    create_time: float | None
    restarts: int
    port: int | None
    url: str | None
    log: str
    resident_mb: float | None = None


@dataclass(frozen=True)
class StackStatus:
    """A stack as last written down; `running` says whether its supervisor lives now."""

    name: str
    stack_id: str
    mode: str
    supervisor_pid: int
    supervisor_create_time: float
    started_at: str
    ready: bool
    error: str | None
    external: tuple[str, ...]
    services: tuple[ServiceStatus, ...]
    running: bool = False

    def service(self, name: str) -> ServiceStatus | None:
        """The named service's status, None when it is not part of this stack."""
        return next((each for each in self.services if each.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


class StackRunningError(RuntimeError):
    """Another supervisor looks after this stack now; the message names its process."""


class StackLock:
    """Held by the one supervisor of a stack as long as it lives; the kernel lets go of it when it dies."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.lock"
        self._handle: int | None = None

    def acquire(self) -> None:
        """Raises StackRunningError when somebody else holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode().strip() or "?"
            os.close(handle)
            raise StackRunningError(
                f"a stack over this data folder runs already (supervisor process {holder}): "
                "end it with `./halftime down`, or use another HALFTIME_HOME"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        self._handle = handle

    def release(self) -> None:
        """Let go; does nothing when not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def describe(
    runners: Iterable[Runner],
    *,
    stack: processes.StackId,
    mode: str,
    started_at: datetime,
    ready: bool,
    error: str | None,
    external: Iterable[str],
) -> StackStatus:
    """The present state of this process's stack."""
    services = []
    for runner in list(runners):
        process = runner.process
        pid = process.pid if process is not None and process.poll() is None else None
        services.append(
            ServiceStatus(
                name=runner.service.name,
                state=str(runner.state),
                detail=runner.detail,
                pid=pid,
                create_time=_create_time(pid),
                restarts=runner.restarts,
                port=runner.service.port,
                url=runner.service.url,
                log=str(runner.log),
            )
        )
    return StackStatus(
        name=stack.name,
        stack_id=str(stack),
        mode=mode,
        supervisor_pid=os.getpid(),
        supervisor_create_time=psutil.Process().create_time(),
        started_at=started_at.astimezone(UTC).isoformat(),
        ready=ready,
        error=error,
        external=tuple(sorted(external)),
        services=tuple(services),
        running=True,
    )


def write_status(path: Path, status: StackStatus) -> None:
    """Replace the run file in one step, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_text(json.dumps(status.to_dict(), indent=1) + "\n")
    fresh.replace(path)


def read_status_file(path: Path) -> StackStatus | None:
    """The stack's status with what is true now: is its supervisor alive, how much memory each service takes.

    None when there is no run file, or not one that can be read.
    """
    try:
        raw = json.loads(path.read_text())
        services = tuple(ServiceStatus(**each) for each in raw.pop("services"))
        status = StackStatus(**{**raw, "external": tuple(raw["external"]), "services": services})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    running = processes.same_process(status.supervisor_pid, status.supervisor_create_time) is not None
    return replace(status, running=running, services=tuple(_as_of_now(each) for each in services))


def recorded_processes(path: Path) -> list[processes.Marked]:
    """The services' processes that a run file names and that live."""
    status = read_status_file(path)
    found = []
    for each in status.services if status is not None else ():
        if each.pid is not None and each.create_time is not None:
            process = processes.same_process(each.pid, each.create_time)
            if process is not None:
                found.append(processes.Marked(process, each.name))
    return found


def _as_of_now(service: ServiceStatus) -> ServiceStatus:
    if service.pid is None or service.create_time is None:
        return service
    if processes.same_process(service.pid, service.create_time) is None:
        return replace(service, pid=None, create_time=None)
    return replace(service, resident_mb=round(processes.resident_bytes(service.pid) / 2**20, 1))


def _create_time(pid: int | None) -> float | None:
    if pid is None:
        return None
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
