"""The stack in a process of its own: `up` starts it and returns, `down` ends it, `status` reads what it wrote down.

python -m infra.detached --token TOKEN postgres redis ...
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from infra import logs, postgres, processes, services_table, tools_table
from infra.environment import inherited_env
from infra.local import START_TIMEOUT_S, LocalStack, run_folder, signals_unwind
from infra.ports import PortsTakenError, require_free
from infra.runfile import StackRunningError, StackStatus, read_status_file, recorded_processes
from infra.service import Event, State
from infra.supervisor import StackError
from services.settings import ROOT, Settings, get_settings

STOP_TIMEOUT_S = 45.0
POLL_S = 0.1


def read_status(settings: Settings, name: str = "stack") -> StackStatus | None:
    """The stack over this data folder, running or broken off; None when there is none."""
    return read_status_file(run_folder(settings) / f"{name}.json")


def start_detached(
    settings: Settings,
    names: Iterable[str] = services_table.UP,
    on_event: Callable[[Event], None] | None = None,
    timeout_s: float = START_TIMEOUT_S,
) -> StackStatus:
    """Start the stack in the background and return when it is ready. One that runs already is left as it is.

    Raises StackError (nothing is left running then) or PortsTakenError (nothing was started).
    """
    chosen = tuple(names)
    present = read_status(settings)
    if present is not None and present.running:
        return present
    stack = processes.StackId(settings.home)
    processes.end_marked(stack.prefix, recorded=recorded_processes(run_folder(settings) / f"{stack.name}.json"))
    require_free(services_table.wanted_ports(settings, chosen))
    log = settings.home / "logs" / "supervisor.log"
    logs.begin_log(log)
    environment = inherited_env(settings)
    environment |= {processes.STACK_VARIABLE: str(stack), processes.SERVICE_VARIABLE: "supervisor"}
    with log.open("ab") as output:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "infra.detached", "--token", stack.token, *chosen],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with signals_unwind():
            return _wait_ready(settings, stack, daemon, on_event, timeout_s)
    except BaseException:
        stop_detached(settings)
        raise


def stop_detached(settings: Settings) -> list[str]:
    """End every stack over this data folder, detached or not, and whatever a killed one left; what was ended, named."""
    ended: list[str] = []
    recorded: list[processes.Marked] = []
    for path in sorted(run_folder(settings).glob("*.json")):
        status = read_status_file(path)
        if status is not None and status.running and status.supervisor_pid != os.getpid():
            supervisor = processes.same_process(status.supervisor_pid, status.supervisor_create_time)
            if supervisor is not None:
                supervisor.terminate()
                processes.kill_rest([supervisor], STOP_TIMEOUT_S)
                ended += [each.name for each in status.services if each.pid is not None]
        recorded += recorded_processes(path)
        path.unlink(missing_ok=True)
    left = processes.end_marked(processes.StackId(settings.home).home_prefix, recorded=recorded)
    ended += [each.service for each in left]
    if settings.database_url is None and (settings.home / "postgres" / "PG_VERSION").exists():
        cluster = tools_table.cluster(settings)
        if postgres.running_pid(cluster) is not None:
            postgres.stop(cluster)
            ended.append("postgres")
    return sorted(set(ended) - {"supervisor"})


def _wait_ready(
    settings: Settings,
    stack: processes.StackId,
    daemon: subprocess.Popen[bytes],
    on_event: Callable[[Event], None] | None,
    timeout_s: float,
) -> StackStatus:
    told: dict[str, tuple[str, str]] = {}
    deadline = time.monotonic() + timeout_s
    while True:
        ended = daemon.poll() is not None
        status = read_status(settings)
        if status is not None and status.stack_id == str(stack):
            for each in status.services:
                if told.get(each.name) != (each.state, each.detail):
                    told[each.name] = (each.state, each.detail)
                    if on_event is not None:
                        on_event(Event(each.name, State(each.state), each.detail, datetime.now(UTC)))
            if status.error is not None:
                raise StackError(status.error)
            if status.ready:
                return status
        log = settings.home / "logs" / "supervisor.log"
        if ended:
            raise StackError("the supervisor ended before the stack was ready:\n" + "\n".join(logs.tail(log)))
        if time.monotonic() > deadline:
            raise StackError(f"the stack is not ready after {timeout_s:.0f} s; see {log.parent}")
        time.sleep(POLL_S)


def main(arguments: list[str]) -> int:
    """Run the stack until SIGTERM, which leaves as SystemExit; returns 1 when the stack did not come up."""
    parser = argparse.ArgumentParser(prog="infra.detached")
    parser.add_argument("--token", required=True)
    parser.add_argument("names", nargs="+")
    chosen = parser.parse_args(arguments)
    settings = get_settings()
    stack_id = processes.StackId(settings.home, token=chosen.token)
    stack = LocalStack(settings, chosen.names, stack_id=stack_id, mode="detached", on_event=_log)
    try:
        with stack:
            stack.watch()
    except (StackError, StackRunningError, PortsTakenError, postgres.PostgresError) as error:
        sys.stdout.write(f"{error}\n")
        stack.fail(str(error))
    return 1


def _log(event: Event) -> None:
    sys.stdout.write(f"{event.at.isoformat(timespec='milliseconds')} {event.service} {event.state} {event.detail}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
