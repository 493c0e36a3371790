"""Shows a long-lived loop in Prefect without ever depending on it.

The loop runs in its own process; beside it a daemon thread keeps one flow run open, logs a line of figures into it
every so often and closes it at the end. When the Prefect server is away the thread tries again later and the loop does
not notice. Runs left "Running" by a process that was killed are closed as crashed by whoever comes next on its host;
those of a host that is gone, as a killed pod, by ``flows.zombies``, for which the lines are the sign of life.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger("presence")

RETRY_S = 15.0
# flows/zombies.py closes a loop of another host that misses fifteen of them.
LINE_EVERY_S = 20.0


class Presence:
    """Context manager: while it is open, Prefect shows a run of ``flow_name`` with ``describe()`` as its log."""

    def __init__(self, flow_name: str, holder: str, describe: Callable[[], str]) -> None:
        self._flow_name, self._holder, self._describe = flow_name, holder, describe
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show, name=f"presence-{flow_name}", daemon=True)

    def __enter__(self) -> Presence:
        # Read by Prefect at import: without it a temporary server would be started for this process alone.
        os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        # A server that died in mid-run makes the flow's end hang for minutes; the daemon thread is left behind then.
        self._thread.join(timeout=4.0)

    def _show(self) -> None:
        if not os.environ.get("PREFECT_API_URL"):
            return
        # Late and here: importing Prefect takes seconds that a restarted loop does not have.
        from flows.sessions import PrefectAway, close_orphans, session

        while not self._stop.is_set():
            try:
                close_orphans(self._flow_name, self._holder)
                session(self._flow_name, self._holder, self._describe, self._stop, LINE_EVERY_S)
            except PrefectAway as error:
                log.info("prefect does not answer; the loop goes on without it", error=str(error))
            self._stop.wait(RETRY_S)
