"""Several forecasters and boards behind one load balancer: replicas come and go, and no caller notices."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from services.broadcast import Broadcast, Event
from services.store import Store
from tests.support.board_night import score as board_score
from tests.support.board_process import BoardProcess, board_process
from tests.support.rows import GAME
from tests.support.running_forecaster import PATTERN, RunningForecaster, running_forecaster, small_bundle
from tests.support.running_nginx import nginx_program, running_nginx
from tests.support.servers import free_port, running_postgres, running_redis, temporary_folder
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(900)
FORECASTERS, BOARDS, LISTENERS, EVENTS = 3, 2, 24, 100
RATE = 100


class Replica:
    """A forecaster on a port of its own that can be ended and started again over the same data."""

    def __init__(self, folder: Path, number: int, bundle: Path, database_url: str) -> None:
        self.port, self._home, self._bundle, self._url = (
            free_port(),
            folder / f"forecaster-{number}",
            bundle,
            database_url,
        )
        self._open = ExitStack()
        self.start()

    def start(self) -> None:
        """Returns when it is ready."""
        self.running: RunningForecaster = self._open.enter_context(
            running_forecaster(self._home, self._bundle, database_url=self._url, port=self.port)
        )

    def kill(self) -> None:
        """SIGKILL to all of it at once."""
        os.killpg(self.running.process.pid, signal.SIGKILL)
        self._open.close()

    def end(self) -> None:
        """SIGTERM, and what it was answering is answered."""
        self._open.close()


@dataclass(frozen=True)
class Platform:
    """What runs behind ``url``."""

    url: str
    replicas: list[Replica]
    boards: list[BoardProcess]
    store: Store
    broadcast: Broadcast


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    program = nginx_program()
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("balanced"))
        url = stack.enter_context(running_postgres()).emptied()
        redis_url = stack.enter_context(running_redis()).url
        bundle = small_bundle(folder / "bundle", minutes=(18,))
        replicas = [Replica(folder, number, bundle, url) for number in range(FORECASTERS)]
        for one in replicas:
            stack.callback(one.end)
        env = {"DATABASE_URL": url, "REDIS_URL": redis_url, "HALFTIME_HOME": str(folder)}
        boards = [
            stack.enter_context(board_process(folder / f"board-{number}.log", wait_for="/readyz", **env))
            for number in range(BOARDS)
        ]
        ports = [one.port for one in replicas], [int(one.url.rpartition(":")[2]) for one in boards]
        balanced = stack.enter_context(running_nginx(program, folder, *ports))
        store = stack.enter_context(Store.open(url, application="halftime-drill"))
        yield Platform(balanced, replicas, boards, store, Broadcast(redis_url))


def clients(board: BoardProcess) -> int:
    """How many listen to a board, as it says."""
    page = board.get("/metrics").text
    line = next(line for line in page.splitlines() if line.startswith("halftime_board_clients "))
    return int(float(line.split()[1]))


def heard(client: Connection, deadline: float) -> list[int]:
    """The scores that a client was told, in order, up to the last one."""
    scores: list[int] = []
    while scores[-1:] != [EVENTS]:
        assert time.monotonic() < deadline, f"{len(scores)} scores, the last ones {scores[-3:]}"
        body = json.loads(client.recv(timeout=30))
        if body["type"] == "score":
            scores.append(body["data"]["home_score"])
    return scores


def tell(platform: Platform, home_score: int) -> None:
    platform.broadcast.publish(Event("score", GAME, datetime.now(UTC), board_score(home_score=home_score)))


def test_every_listener_hears_every_message_whichever_board_it_is_on(platform: Platform) -> None:
    # The first word of a game makes it known, as a state.
    tell(platform, 0)
    address = platform.url.replace("http", "ws") + "/ws"
    with ExitStack() as stack:
        joined = [stack.enter_context(connect(address, open_timeout=20)) for _ in range(LISTENERS)]
        until(lambda: sum(clients(board) for board in platform.boards) == LISTENERS)
        assert min(clients(board) for board in platform.boards) > 0
        deadline = time.monotonic() + 60.0
        with ThreadPoolExecutor(LISTENERS) as pool:
            hearing = [pool.submit(heard, client, deadline) for client in joined]
            for score in range(1, EVENTS + 1):
                tell(platform, score)
                # A listener that is eight messages behind is dropped, and all of them share this process.
                time.sleep(0.05)
            told = [each.result() for each in hearing]
    assert told == [list(range(1, EVENTS + 1))] * LISTENERS


async def load(url: str, stop: threading.Event) -> tuple[list[str], list[tuple[int, str]]]:
    """``RATE`` requests a second, whatever becomes of them: the request ids, and the answers that were no forecast."""
    asked: list[str] = []
    failed: list[tuple[int, str]] = []

    async def ask(client: httpx.AsyncClient, request_id: str) -> None:
        try:
            answer = await client.post("/predict", json={"pattern": PATTERN, "request_id": request_id})
        except httpx.HTTPError as error:
            failed.append((0, repr(error)))
            return
        if answer.status_code != 200:
            failed.append((answer.status_code, answer.text))

    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(base_url=url, timeout=20, limits=limits) as client, asyncio.TaskGroup() as group:
        began = time.monotonic()
        while not stop.is_set():
            for _ in range(int((time.monotonic() - began) * RATE) - len(asked)):
                asked.append(f"balanced-{uuid.uuid4()}")
                group.create_task(ask(client, asked[-1]))
            await asyncio.sleep(0.005)
    return asked, failed


def stored(store: Store) -> set[str]:
    with store.engine.connect() as connection:
        found = connection.execute(text("SELECT request_id FROM predictions WHERE request_id LIKE 'balanced-%'"))
        return {row.request_id for row in found}


def test_killed_and_rolled_replicas_cost_no_request_and_lose_no_row(platform: Platform) -> None:
    stop = threading.Event()
    first, second, third = platform.replicas
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(lambda: asyncio.run(load(platform.url, stop)))
        try:
            time.sleep(2.0)
            first.kill()
            time.sleep(2.0)
            first.start()
            for one in (second, third):
                one.end()
                one.start()
                time.sleep(1.0)
        finally:
            stop.set()
        asked, failed = asking.result()
    assert failed == []
    assert len(asked) > RATE * 5
    # The killed one's rows are drained by its successor.
    until(lambda: stored(platform.store) == set(asked), 60.0)


def test_summaries_of_all_replicas_agree(platform: Platform) -> None:
    said = [replica.running.http.get("/metrics/summary").json() for replica in platform.replicas]
    assert len(said) == FORECASTERS
    for one in said:
        one.pop("as_of", None)
    assert said[0] == said[1] == said[2]
