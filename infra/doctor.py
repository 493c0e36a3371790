"""What is wrong and what to do: the checks behind `./halftime doctor` and `./halftime status`."""

from __future__ import annotations

from infra.check import Check, bad, good, warn
from infra.detached import read_status
from infra.machine_checks import check_machine
from infra.runfile import StackStatus
from infra.server_checks import check_servers
from infra.service import State
from services.settings import Settings

__all__ = ["Check", "check_all", "check_servers", "check_stack"]


def check_all(settings: Settings) -> list[Check]:
    """Every check, in the order to mend them. Takes a second or two; raises nothing for what it finds.

    The servers are asked when a stack runs, or when all four are somebody else's.
    """
    status = read_status(settings)
    found = check_machine(settings)
    found += check_stack(status)
    outside = (settings.database_url, settings.redis_url, settings.prefect_api_url, settings.mlflow_tracking_uri)
    if (status is not None and status.running) or all(outside):
        found += check_servers(settings)
    return found


def check_stack(status: StackStatus | None) -> list[Check]:
    """Whether the stack runs, and each of its services that does not."""
    if status is None:
        return [warn("stack", "does not run", "make up")]
    if not status.running:
        if status.error is not None:
            return [bad("stack", f"the last start failed: {status.error}", "mend that, then `make up`")]
        return [bad("stack", f"its supervisor (process {status.supervisor_pid}) was killed", "make up")]
    found = [good("stack", f"runs since {status.started_at[:19]}Z, supervisor process {status.supervisor_pid}")]
    for each in status.services:
        if each.state in (State.READY, State.DONE):
            continue
        what = f"{each.state}{': ' + each.detail if each.detail else ''} (restarted {each.restarts} times)"
        if status.ready:
            found.append(bad(each.name, what, f"see {each.log}"))
        else:
            found.append(warn(each.name, what, "wait: the stack is starting"))
    return found
