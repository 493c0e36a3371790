"""The forecaster and a real MLflow: it serves the champion, follows the alias, and goes on when MLflow is gone."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from services.registry import Registry
from tests.support.board_night import score
from tests.support.board_running import RunningBoard, running_board
from tests.support.rows import GAME
from tests.support.running_forecaster import PATTERN, RunningForecaster, running_forecaster, small_bundle
from tests.support.servers import free_port, running_mlflow, temporary_folder
from tests.support.waiting import until


def wait_for_version(running: RunningForecaster, number: str) -> None:
    running.wait()
    until(lambda: running.http.get("/model").json()["version"] == number, 30)


def test_champion_is_served_followed_and_kept(tmp_path: Path) -> None:
    with temporary_folder("forecaster") as home:
        with running_mlflow() as mlflow:
            registry = Registry(mlflow, "halftime-simulated", tmp_path / "cache")
            with running_forecaster(home, None, ready=False, MLFLOW_TRACKING_URI=mlflow) as running:
                note = running.wait().json()["note"]
                assert note.startswith("Persistence answers in place of a model: ")
                assert "./halftime train" in note
                stood_in = running.predict(request_id="nobody").json()
                assert (stood_in["model_version"], stood_in["point_forecast"]) == ("fallback-persistence", PATTERN[-1])
                assert stood_in["interval_lower"] < PATTERN[-1] < stood_in["interval_upper"]
                assert stood_in["explanation"]["similar"] == []
                assert running.http.get("/health").json()["status"] == "degraded"
                assert re.search(r"^halftime_model_fallback\S* 1.0$", running.http.get("/metrics").text, re.MULTILINE)
                assert re.search(r"^halftime_model_refused\S* 0.0$", running.http.get("/metrics").text, re.MULTILINE)
                for seed, number in ((1, "1"), (2, "2")):
                    version = registry.register(small_bundle(tmp_path / f"bundle-{seed}", seed=seed, minutes=(18,)))
                    assert version.version == number
                    registry.set_alias("champion", number)
                    wait_for_version(running, number)
                    answer = running.predict(request_id=f"as-{number}").json()
                    assert (answer["model_version"], answer["model_digest"]) == (number, version.digest)
                assert re.search(r"^halftime_model_fallback\S* 0.0$", running.http.get("/metrics").text, re.MULTILINE)
                again = running.predict(request_id="as-1").json()
                assert again["model_version"] == "1", "the first answer to a request id stays the answer"
            registry.close()
        away = f"http://127.0.0.1:{free_port()}"
        with running_forecaster(home, None, MLFLOW_TRACKING_URI=away) as running:
            assert running.predict().json()["model_version"] == "2"
            health = running.http.get("/health").json()
            assert health["status"] == "degraded"
            assert any("kept on this machine" in text or "does not answer" in text for text in health["trouble"])


PROMOTIONS, RATE, WORKERS, FAITHFUL, OUTSTANDING = 20, 200, 2, 4, 50


async def keep_asking(base_url: str, stop: asyncio.Event) -> tuple[list[tuple[int, str, str]], list[int]]:
    """(status, version, digest) of forecasts asked ``RATE`` times a second until ``stop``, and how often each of
    ``FAITHFUL`` clients, which ask all the time over one connection, had to connect."""
    answers: list[tuple[int, str, str]] = []
    connects = [0] * FAITHFUL

    async def faithful(place: int) -> None:
        async def traced(event: str, _: object) -> None:
            connects[place] += event == "connection.connect_tcp.started"

        async with httpx.AsyncClient(base_url=base_url, timeout=30, limits=httpx.Limits(max_connections=1)) as client:
            while not stop.is_set():
                answer = await client.post("/predict", json={"pattern": PATTERN}, extensions={"trace": traced})
                assert answer.status_code == 200
                await asyncio.sleep(0.25)

    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/predict", json={"pattern": PATTERN})
        body = answer.json()
        answers.append(
            (answer.status_code, body.get("model_version", body.get("error", "")), body.get("model_digest", ""))
        )

    limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
    async with httpx.AsyncClient(base_url=base_url, timeout=30, limits=limits) as client, asyncio.TaskGroup() as group:
        for place in range(FAITHFUL):
            group.create_task(faithful(place))
        started, sent = time.monotonic(), 0
        open_requests: set[asyncio.Task[None]] = set()
        while not stop.is_set():
            # An open loop: a slow answer holds no later request back, unless the machine is too busy to answer at all.
            for _ in range(int((time.monotonic() - started) * RATE) - sent):
                sent += 1
                if len(open_requests) < OUTSTANDING:
                    asking = group.create_task(ask(client))
                    open_requests.add(asking)
                    asking.add_done_callback(open_requests.discard)
            await asyncio.sleep(0.005)
    return answers, connects


def test_twenty_promotions_under_load_fail_no_request_and_every_answer_names_its_model(tmp_path: Path) -> None:
    with temporary_folder("forecaster") as home, running_mlflow() as mlflow:
        registry = Registry(mlflow, "halftime-simulated", tmp_path / "cache")
        digests = {}
        for seed in (1, 2, 3, 4):
            bundle = small_bundle(tmp_path / f"bundle-{seed}", seed=seed, minutes=(18,))
            digests[str(seed)] = registry.register(bundle).digest
        registry.set_alias("champion", "1")
        own = {"MLFLOW_TRACKING_URI": mlflow, "HALFTIME_CHAMPION_POLL_S": "0.2"}
        with running_forecaster(home, None, workers=WORKERS, **own) as running:
            assert all_say(running, "1"), "a worker takes no request before it has a model"
            stop = threading.Event()

            async def load() -> tuple[list[tuple[int, str, str]], list[int]]:
                ended = asyncio.Event()
                asking = asyncio.create_task(keep_asking(str(running.http.base_url), ended))
                await asyncio.to_thread(stop.wait)
                ended.set()
                return await asking

            with ThreadPoolExecutor(1) as pool, running_board() as board, connect(socket_url(board)) as viewer:
                assert json.loads(viewer.recv(timeout=10))["type"] == "state"
                board.add("score", GAME, score(home_score=99))  # it makes the game known
                assert json.loads(viewer.recv(timeout=10))["type"] != "heartbeat"
                asking = pool.submit(lambda: asyncio.run(load()))
                try:
                    for promotion in range(PROMOTIONS):
                        number = str((promotion + 1) % 4 + 1)
                        registry.set_alias("champion", number)
                        board.add("score", GAME, score(home_score=100 + promotion))
                        # Every worker looks by itself: the next one comes when all answers come from this one.
                        until(lambda number=number: all_say(running, number), 30)
                finally:
                    stop.set()
                answers, connects = asking.result()
                assert scores_until(viewer, 100 + PROMOTIONS - 1) == [100 + turn for turn in range(PROMOTIONS)]
            assert running.http.get("/metrics").text.count("halftime_model_swaps_total") > 0
        registry.close()
    assert [answer for answer in answers if answer[0] != 200] == []
    assert len(answers) > RATE
    assert connects == [1] * FAITHFUL, "no connection was dropped"
    assert {(version, digest) for _, version, digest in answers} == set(digests.items())


def socket_url(board: RunningBoard) -> str:
    return board.url.replace("http", "ws") + "/ws"


def scores_until(viewer: Connection, last: int) -> list[int]:
    """Home scores a viewer was told, in order, up to ``last``."""
    told: list[int] = []
    while not told or told[-1] != last:
        body = json.loads(viewer.recv(timeout=10))
        if body["type"] == "score":
            told.append(body["data"]["home_score"])
    return told


def all_say(running: RunningForecaster, number: str) -> bool:
    return {running.predict().json().get("model_version") for _ in range(8 * WORKERS)} == {number}
