"""Runs services side by side: starts each when what it needs is up, restarts it when it dies, ends all in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from infra import logs, processes
from infra.service import Event, Runner, Service, State

STEP_S = 0.1
LOG_CHECK_S = 30.0


class StackError(RuntimeError):
    """The local stack could not do what was asked; the message says what failed and what to do."""


class ServiceFailedError(StackError):
    """A service did not come up. `service` and `log` say which and where it wrote; the message has its last lines."""

    def __init__(self, service: str, detail: str, log: Path) -> None:
        self.service, self.log = service, log
        lines = "".join(f"\n    {line[:300]}" for line in logs.tail(log))
        super().__init__(f"{service} did not start: {detail}\n  its log {log} ends:{lines or ' (empty)'}")


class Supervisor:
    """Owns the services of one stack and the thread that looks after them.

    The thread starts every child, because a child's life is tied to the thread that started it. At most
    `max_starting` programs start at the same time; earlier ones in the list go first.
    """

    def __init__(
        self,
        *,
        stack: processes.StackId,
        env: Mapping[str, str],
        cwd: Path,
        log_folder: Path,
        on_event: Callable[[Event], None] | None = None,
        max_starting: int = 4,
    ) -> None:
        self.stack = stack
        self.runners: dict[str, Runner] = {}
        self._env, self._cwd, self._log_folder, self._max_starting = dict(env), cwd, log_folder, max_starting
        self._on_event = on_event
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="stack-check")
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._commands: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self._logs_looked_at = time.monotonic()

    def add(self, services: Sequence[Service]) -> None:
        """Take up more services; they start as soon as what they depend on is up.

        A dependency that is not part of this stack counts as up (it is somebody else's server). Raises StackError for
        a name that is there already or after `stop`.
        """
        with self._lock:
            if self._stopping.is_set():
                raise StackError("the stack is stopping: start a new one")
            for service in services:
                if service.name in self.runners:
                    raise StackError(f"{service.name} is already part of this stack")
                self.runners[service.name] = Runner(
                    service,
                    stack=self.stack,
                    env=self._env,
                    cwd=self._cwd,
                    log=self._log_folder / f"{service.name}.log",
                    pool=self._pool,
                    on_event=self._tell,
                )
                self._tell_waiting(self.runners[service.name])
            if self._thread is None:
                self._thread = threading.Thread(target=self._look_after, name="supervisor", daemon=True)
                self._thread.start()

    def wait_ready(self, names: Iterable[str] | None = None, timeout_s: float = 180.0) -> None:
        """Return when the named services (all, by default) are up.

        Raises ServiceFailedError when one gives up, StackError when the time is over.
        """
        wanted = list(self.runners) if names is None else list(names)
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not all(self.runners[name].up for name in wanted):
                failed = next((r for r in self.runners.values() if r.state is State.FAILED), None)
                if failed is not None:
                    raise ServiceFailedError(failed.service.name, failed.detail, failed.log)
                if self._stopping.is_set():
                    raise StackError("the stack was stopped before it was ready")
                if time.monotonic() > deadline:
                    late = [f"{n} ({self.runners[n].detail or self.runners[n].state})" for n in wanted]
                    late = [text for text, n in zip(late, wanted, strict=True) if not self.runners[n].up]
                    raise StackError(f"not ready after {timeout_s:.0f} s: {', '.join(late)}; see {self._log_folder}")
                # In slices: the main thread answers Ctrl-C between them.
                self._changed.wait(0.5)

    def remove(self, names: Iterable[str], timeout_s: float = 60.0) -> None:
        """Stop some services and forget them; returns when they are gone. Names not in the stack are passed over."""
        chosen = [name for name in names if name in self.runners]
        done = threading.Event()

        def end_chosen() -> None:
            self._end([self.runners[name] for name in chosen])
            for name in chosen:
                del self.runners[name]
            done.set()

        with self._lock:
            if self._thread is None or not chosen:
                return
            self._commands.append(end_chosen)
        if not done.wait(timeout_s):
            raise StackError(f"{', '.join(chosen)} did not stop within {timeout_s:.0f} s")

    @property
    def alive(self) -> bool:
        """Whether somebody still looks after the services."""
        return self._thread is not None and self._thread.is_alive()

    def hurry(self) -> None:
        """While stopping: do not wait for anyone any longer."""
        self._hurry.set()

    def stop(self) -> None:
        """End every service, those that depend on others first, and whatever they left. May be called again."""
        self._stopping.set()
        thread = self._thread
        while thread is not None and thread.is_alive():
            thread.join(0.2)
        processes.end_marked(self.stack.prefix, 0.0 if self._hurry.is_set() else 2.0)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look_after(self) -> None:
        try:
            while not self._stopping.is_set():
                with self._lock:
                    commands, self._commands = self._commands, []
                for command in commands:
                    command()
                self._step()
                self._stopping.wait(STEP_S)
        finally:
            # Also when this thread fails: services that nobody looks after must not go on.
            self._stopping.set()
            self._end(list(self.runners.values()))

    def _step(self) -> None:
        with self._lock:
            runners = list(self.runners.values())
        for runner in runners:
            runner.step()
        starting = sum(runner.state is State.STARTING for runner in runners)
        for runner in runners:
            if runner.state is not State.WAITING or starting >= self._max_starting:
                continue
            if all(self.runners[name].up for name in runner.service.depends_on if name in self.runners):
                runner.begin()
                starting += 1
        if time.monotonic() - self._logs_looked_at > LOG_CHECK_S:
            self._logs_looked_at = time.monotonic()
            for runner in runners:
                # A full disk is for `doctor` to name; it must not end the stack.
                with suppress(OSError):
                    logs.limit_log(runner.log)

    def _end(self, runners: list[Runner]) -> None:
        """End these in waves: first those that none of the others depends on."""
        left = {runner.service.name: runner for runner in runners}
        while left:
            needed = {
                name for runner in left.values() for name in (*runner.service.depends_on, *runner.service.ends_before)
            }
            wave = [runner for name, runner in left.items() if name not in needed] or list(left.values())
            for runner in wave:
                runner.ask_to_stop()
            asked_at = time.monotonic()
            for runner in sorted(wave, key=lambda each: each.service.stop_grace_s):
                deadline = asked_at + runner.service.stop_grace_s
                while runner.process is not None and runner.process.poll() is None and time.monotonic() < deadline:
                    if self._hurry.wait(0.05):
                        break
                runner.stopped()
                del left[runner.service.name]

    def _tell_waiting(self, runner: Runner) -> None:
        runner.detail = f"for {', '.join(n for n in runner.service.depends_on if n in self.runners)}"

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)
        with self._changed:
            self._changed.notify_all()
