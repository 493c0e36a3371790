"""Several forecasters and boards behind one nginx, over one PostgreSQL and one Redis; each can end and come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from services.broadcast import Broadcast
from services.settings import ROOT
from services.store import Store
from tests.support.board_process import BoardProcess, board_process
from tests.support.running_forecaster import RunningForecaster, running_forecaster, small_bundle
from tests.support.running_nginx import Balancer, nginx_program, running_nginx
from tests.support.scraped import Page, answers
from tests.support.servers import (
    die_with_parent,
    end,
    free_port,
    running_postgres,
    running_redis,
    temporary_folder,
)
from tests.support.waiting import until

Server = TypeVar("Server")
GRACE_S = 30.0


class Replica(Generic[Server]):
    """A server on a port of its own that can be ended and started again over the same data.

    ``began`` is when its present life began, in wall seconds.
    """

    def __init__(
        self,
        serve: Callable[[int], AbstractContextManager[Server]],
        process: Callable[[Server], subprocess.Popen[bytes]],
    ) -> None:
        self.port = free_port()
        self._serve, self._process = serve, process
        self._open = ExitStack()
        self.start()

    @property
    def url(self) -> str:
        """Where it is reached without nginx."""
        return f"http://127.0.0.1:{self.port}"

    def page(self) -> Page:
        """A scrape of it."""
        return Page.of(self.url)

    def start(self) -> None:
        """Returns when it is ready."""
        self.began = time.time()
        self.running: Server = self._open.enter_context(self._serve(self.port))

    def kill(self) -> None:
        """SIGKILL to all of it at once."""
        os.killpg(self._process(self.running).pid, signal.SIGKILL)
        self._open.close()

    def end(self) -> None:
        """SIGTERM, and it ends by itself: what it was answering is answered."""
        process = self._process(self.running)
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(GRACE_S)
        self._open.close()

    def close(self) -> None:
        """At the end of the drill."""
        self._open.close()


@dataclass(frozen=True)
class Platform:
    """What runs behind ``balancer``."""

    balancer: Balancer
    forecasters: list[Replica[RunningForecaster]]
    boards: list[Replica[BoardProcess]]
    store: Store
    broadcast: Broadcast
    env: dict[str, str]


@contextmanager
def balanced(forecasters: int, boards: int) -> Iterator[Platform]:
    """All of it, ready; or a skip where there is no nginx."""
    program = nginx_program()
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("balanced"))
        url = stack.enter_context(running_postgres()).emptied()
        redis_url = stack.enter_context(running_redis()).url
        bundle = small_bundle(folder / "bundle", minutes=(18,))
        env = {"DATABASE_URL": url, "REDIS_URL": redis_url, "HALFTIME_HOME": str(folder)}

        def forecaster(home: Path, port: int) -> AbstractContextManager[RunningForecaster]:
            return running_forecaster(home, bundle, database_url=url, port=port)

        def board(log: Path, port: int) -> AbstractContextManager[BoardProcess]:
            return board_process(log, port=port, wait_for="/readyz", **env)

        answering: list[Replica[RunningForecaster]] = []
        for number in range(forecasters):
            home = folder / f"forecaster-{number}"
            answering.append(Replica(partial(forecaster, home), lambda running: running.process))
            stack.callback(answering[-1].close)
        telling: list[Replica[BoardProcess]] = []
        for number in range(boards):
            log = folder / f"board-{number}.log"
            telling.append(Replica(partial(board, log), lambda running: running.child))
            stack.callback(telling[-1].close)
        ports = [one.port for one in answering], [one.port for one in telling]
        balancer = stack.enter_context(running_nginx(program, folder, *ports))
        store = stack.enter_context(Store.open(url, application="halftime-drill"))
        broadcast = Broadcast(redis_url)
        stack.callback(broadcast.close)
        yield Platform(balancer, answering, telling, store, broadcast, env)


@contextmanager
def running_exporter(env: dict[str, str], log: Path) -> Iterator[str]:
    """``python -m monitoring.exporter`` with these variables; its URL."""
    port = free_port()
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitoring.exporter"],
            env=os.environ | env | {"HALFTIME_EXPORTER_PORT": str(port)},
            cwd=ROOT, stdout=out, stderr=out, start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: process.poll() is not None or answers(url), 60.0)
            assert process.poll() is None, log.read_text()
            yield url
        finally:
            end(process)
