"""The board as users run it: a process of its own, on a free port."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from services.settings import ROOT
from tests.support.servers import die_with_parent, end, free_port
from tests.support.waiting import until


@dataclass
class BoardProcess:
    """A running board."""

    url: str
    child: subprocess.Popen[bytes]

    def get(self, path: str) -> httpx.Response:
        """GET of a path."""
        return httpx.get(self.url + path, timeout=20)

    def join(self, query: str = "") -> contextlib.AbstractContextManager[Connection]:
        """A WebSocket of it."""
        return connect(self.url.replace("http", "ws") + "/ws" + query, open_timeout=10, close_timeout=5)

    def answers(self, path: str) -> bool:
        """Whether a path says 200."""
        try:
            return self.get(path).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def board_process(
    log: Path,
    *,
    port: int | None = None,
    wait_for: str = "/livez",
    ended_by: signal.Signals = signal.SIGKILL,
    **env: str,
) -> Iterator[BoardProcess]:
    """Starts ``python -m services.board`` with these variables and waits until ``wait_for`` says 200; ends it when it
    still runs. What it says is appended to ``log``."""
    chosen = port or free_port()
    command = [sys.executable, "-m", "services.board", "--port", str(chosen)]
    with log.open("ab") as out:
        child = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | env, stdout=out, stderr=out, start_new_session=True,
            preexec_fn=die_with_parent,
        )  # fmt: skip
    process = BoardProcess(f"http://127.0.0.1:{chosen}", child)
    try:
        until(lambda: child.poll() is not None or process.answers(wait_for), timeout_s=60)
        assert child.poll() is None, log.read_text()
        yield process
    finally:
        end(child, ended_by)
