"""The local stack: everything Halftime needs, started, watched and ended by one process.

`LocalStack` runs in this process (a night, the tests). `infra.detached` runs it in a process of its own (`up`, `down`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType

from infra import postgres, processes, services_table, tools_table
from infra.environment import inherited_env
from infra.ports import require_free
from infra.runfile import StackLock, StackStatus, describe, recorded_processes, write_status
from infra.service import Event, Service
from infra.supervisor import StackError, Supervisor
from services.settings import ROOT, Settings

START_TIMEOUT_S = 240.0


def run_folder(settings: Settings) -> Path:
    """Where run files and locks are."""
    return settings.home / "run"


class LocalStack:
    """The named services over one data folder; also a context manager, which is what ends them on Ctrl-C or SIGTERM.

    `name` tells stacks over the same data folder apart: a second one with other services (a replay beside a running
    `up`) takes what it depends on but does not have as given. `later` names services that will be added: their ports
    must be free from the start. `services` replaces the table (tests).
    """

    def __init__(
        self,
        settings: Settings,
        names: Iterable[str] = services_table.UP,
        *,
        later: Iterable[str] = (),
        name: str = "stack",
        on_event: Callable[[Event], None] | None = None,
        stack_id: processes.StackId | None = None,
        mode: str = "foreground",
        services: Iterable[Service] | None = None,
    ) -> None:
        self.settings = settings
        self.stack_id = stack_id or processes.StackId(settings.home, name)
        self.error: str | None = None
        self._names = tuple(names)
        self._later = tuple(later)
        self._given = None if services is None else tuple(services)
        self._on_event = on_event
        self._mode = mode
        self._started_at = datetime.now(UTC)
        self._ready = False
        self._lock = StackLock(run_folder(settings), self.stack_id.name)
        self._run_file = run_folder(settings) / f"{self.stack_id.name}.json"
        self._write = threading.Lock()
        self._supervisor: Supervisor | None = None
        self._signals = ExitStack()

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """End what an earlier supervisor left, then start everything and return when it is ready.

        Raises StackRunningError, PortsTakenError (before anything is started), ServiceFailedError or StackError; what
        was started goes on until `stop`.
        """
        self._lock.acquire()
        services = self._services()
        processes.end_marked(self.stack_id.prefix, recorded=recorded_processes(self._run_file))
        if self._given is None:
            self._end_stray_postgres()
            require_free(services_table.wanted_ports(self.settings, (*self._names, *self._later)))
        self._supervisor = Supervisor(
            stack=self.stack_id,
            env=inherited_env(self.settings),
            cwd=ROOT,
            log_folder=self.settings.home / "logs",
            on_event=self._tell,
        )
        self._supervisor.add(services)
        self._save()
        self._supervisor.wait_ready(timeout_s=timeout_s)
        self._ready = True
        self._save()

    def add(self, names: Iterable[str], timeout_s: float = START_TIMEOUT_S) -> None:
        """Start more services of the table and return when they are ready. Raises as `start` does."""
        supervisor = self._running()
        fresh = [name for name in names if name not in supervisor.runners]
        services = services_table.build(self.settings, fresh)
        require_free(services_table.wanted_ports(self.settings, fresh))
        supervisor.add(services)
        supervisor.wait_ready([service.name for service in services], timeout_s=timeout_s)
        self._save()

    def remove(self, names: Iterable[str]) -> None:
        """Stop some services; the others go on."""
        self._running().remove(names)
        self._save()

    def stop(self) -> None:
        """End everything and let go of the data folder. May be called at any time and again; Ctrl-C now hurries it."""
        supervisor = self._supervisor
        if supervisor is not None:
            numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            with _handlers(numbers, lambda *_: supervisor.hurry()):
                supervisor.stop()
            self._supervisor = None
            if self.error is None:
                self._run_file.unlink(missing_ok=True)
        self._lock.release()

    def status(self) -> StackStatus:
        """What runs now."""
        runners = list(self._supervisor.runners.values()) if self._supervisor is not None else []
        return describe(
            runners,
            stack=self.stack_id,
            mode=self._mode,
            started_at=self._started_at,
            ready=self._ready,
            error=self.error,
            external=services_table.external(self.settings),
        )

    def watch(self) -> None:
        """Stay until a signal unwinds this process. Raises StackError when the services are no longer looked after."""
        while self._running().alive:
            time.sleep(0.5)
        raise StackError("the supervisor failed; its log says why")

    def fail(self, error: str) -> None:
        """Leave a word for whoever waits for this stack to become ready."""
        self.error = error
        self._save()

    def __enter__(self) -> LocalStack:
        self._signals.enter_context(signals_unwind())
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._signals.close()

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("start the stack first")
        return self._supervisor

    def _services(self) -> list[Service]:
        return services_table.build(self.settings, self._names) if self._given is None else list(self._given)

    def _end_stray_postgres(self) -> None:
        # One that nobody supervises any more and that carries no mark, such as a hand-started one.
        if "postgres" in self._names and self.settings.database_url is None:
            cluster = tools_table.cluster(self.settings)
            marked = {each.process.pid for each in processes.find_marked(self.stack_id.home_prefix)}
            if (pid := postgres.running_pid(cluster)) is not None and pid not in marked:
                postgres.stop(cluster)

    def _tell(self, event: Event) -> None:
        self._save()
        if self._on_event is not None:
            # Whoever watches may have gone (a closed terminal): the stack goes on.
            with suppress(OSError):
                self._on_event(event)

    def _save(self) -> None:
        # On a full disk the run file grows old, and that is all.
        with self._write, suppress(OSError):
            write_status(self._run_file, self.status())


@contextmanager
def signals_unwind() -> Iterator[None]:
    """While inside, SIGTERM and SIGHUP unwind this process as Ctrl-C does, so that what was started is ended."""
    with _handlers((signal.SIGTERM, signal.SIGHUP), _exit_on_signal):
        yield


def _exit_on_signal(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _handlers(numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # Only the main thread may set handlers; elsewhere somebody else already answers for signals.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
