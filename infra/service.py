"""What a supervised service is, and one run of it from start to end."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from infra import logs, processes
from infra.readiness import Check


class State(StrEnum):
    """Where a service stands."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    BACKOFF = "back-off"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Service:
    """One program of the stack, as data.

    `ready` answers None once it can be used (without one: when it has lived `settle_s`); `alive` is asked afterwards
    and defaults to `ready`. `prepare` runs before every start, `finish` once it is ready, both off the supervisor's
    thread. A `task` runs to its end with status 0 instead of staying. `command` is called before every start.
    `ends_before` names services that it can do without but has a last word for when the stack stops.
    """

    name: str
    command: Callable[[], list[str]]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    ready: Check | None = None
    alive: Check | None = None
    depends_on: tuple[str, ...] = ()
    ends_before: tuple[str, ...] = ()
    prepare: Callable[[], object] | None = None
    finish: Callable[[], object] | None = None
    task: bool = False
    start_timeout_s: float = 90.0
    settle_s: float = 1.0
    check_every_s: float = 5.0
    checks_failed_max: int = 6
    start_attempts: int = 3
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 6.0
    port: int | None = None
    url: str | None = None


@dataclass(frozen=True)
class Event:
    """A service changed its state."""

    service: str
    state: State
    detail: str
    at: datetime


def backoff_s(failures: int) -> float:
    """Seconds to wait before the next start after so many failures in a row: 0.5, 1, 2 ... 30."""
    return float(min(30.0, 0.5 * 2 ** min(max(failures - 1, 0), 10)))


class Runner:
    """Takes one service through its states. `step` is called again and again from the supervisor's thread."""

    def __init__(
        self,
        service: Service,
        *,
        stack: processes.StackId,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        pool: Executor,
        on_event: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service = service
        self.state = State.WAITING
        self.detail = ""
        self.restarts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.log = log
        self._stack, self._env, self._cwd, self._pool, self._on_event = stack, env, cwd, pool, on_event
        self._clock = clock
        self._was_ready = False
        self._failures = 0
        self._unanswered = 0
        self._since = self._next_check_at = self._retry_at = 0.0
        self._pending: tuple[str, Future[object]] | None = None
        logs.begin_log(log)

    @property
    def up(self) -> bool:
        """Whether those who depend on it may start."""
        return self.state in (State.READY, State.DONE)

    def begin(self) -> None:
        """Start it (again)."""
        self._since = self._clock()
        self._unanswered = 0
        self._move(State.STARTING, "")
        prepare = self.service.prepare
        if prepare is not None:
            self._pending = ("prepare", self._pool.submit(prepare))
        else:
            self._launch()

    def step(self) -> None:
        """Look at the process and its checks once, and act on what is seen. Never blocks."""
        if self.state is State.BACKOFF and self._clock() >= self._retry_at:
            self.begin()
        if self.state not in (State.STARTING, State.READY):
            return
        if self.process is not None and (status := self.process.poll()) is not None:
            self._ended(status)
            return
        if self._pending is not None:
            self._look_at_answer()
        elif self.process is not None:
            self._ask()
        if self.state is State.STARTING and self._clock() - self._since > self.service.start_timeout_s:
            self._died(f"not ready after {self.service.start_timeout_s:.0f} s: {self.detail or 'no answer'}")

    def _launch(self) -> None:
        try:
            self.process = processes.spawn(
                self.service.command(),
                service=self.service.name,
                stack=self._stack,
                env={**self._env, **self.service.env},
                cwd=self.service.cwd or self._cwd,
                log=self.log,
                death_signal=self.service.stop_signal,
            )
        except (OSError, RuntimeError) as error:
            self._died(str(error))

    def _ask(self) -> None:
        now = self._clock()
        if self.state is State.STARTING and not self.service.task and self.service.ready is None:
            if now - self._since >= self.service.settle_s:
                self._answered(None)
            return
        check = self.service.ready if self.state is State.STARTING else (self.service.alive or self.service.ready)
        if check is not None and now >= self._next_check_at:
            self._next_check_at = now + (0.2 if self.state is State.STARTING else self.service.check_every_s)
            self._pending = ("check", self._pool.submit(check))

    def _look_at_answer(self) -> None:
        assert self._pending is not None
        kind, future = self._pending
        if not future.done():
            return
        self._pending = None
        # A check or a hook is somebody else's code: whatever it raises is this service's trouble, not the stack's.
        error = future.exception()
        if kind == "prepare":
            if error is not None:
                self._died(f"{error or type(error).__name__}")
            else:
                self._launch()
        elif kind == "finish":
            if error is not None:
                self._died(f"after its start: {error or type(error).__name__}")
            else:
                self._is_ready()
        else:
            trouble = error if error is not None else future.result()
            self._answered(None if trouble is None else str(trouble) or type(trouble).__name__)

    def _answered(self, trouble: str | None) -> None:
        if trouble is None:
            self._unanswered = 0
            if self.state is State.STARTING:
                finish = self.service.finish
                if finish is not None:
                    self._pending = ("finish", self._pool.submit(finish))
                else:
                    self._is_ready()
            elif self._clock() - self._since > 60.0:
                self._failures = 0
            return
        self.detail = trouble
        if self.state is State.READY:
            self._unanswered += 1
            if self._unanswered >= self.service.checks_failed_max:
                self._died(f"{self._unanswered} checks failed: {trouble}")

    def _is_ready(self) -> None:
        self._was_ready = True
        self._since = self._clock()
        self._move(State.READY, "")

    def _ended(self, status: int) -> None:
        if self.service.task and status == 0:
            self.process = None
            self._move(State.DONE, "")
            return
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        said = logs.tail(self.log, 1)
        self._died(f"{how}: {said[0].strip()[:300]}" if said and not self._was_ready else how)

    def _died(self, why: str) -> None:
        self.kill()
        self._pending = None
        self._failures += 1
        if not self._was_ready and self._failures >= self.service.start_attempts:
            self._move(State.FAILED, why)
            return
        self.restarts += 1
        self._retry_at = self._clock() + backoff_s(self._failures)
        self._move(State.BACKOFF, why)

    def _move(self, state: State, detail: str) -> None:
        self.state, self.detail = state, detail
        self._on_event(Event(self.service.name, state, detail, datetime.now(UTC)))

    def ask_to_stop(self) -> None:
        """Send the stop signal to the process that was started; its own children are its business."""
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(self.service.stop_signal)

    def kill(self) -> None:
        """Kill the process and what is left of its group."""
        if self.process is not None:
            processes.end_group(self.process)
            self.process = None

    def stopped(self) -> None:
        """Note the end: nothing of it runs any more."""
        self.kill()
        self._pending = None
        self._move(State.STOPPED, "")
