"""The forecaster and a real MLflow: it serves the champion, follows the alias, and goes on when MLflow is gone."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from services.registry import Registry
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


PROMOTIONS, RATE, WORKERS = 20, 200, 2


async def keep_asking(base_url: str, stop: asyncio.Event) -> list[tuple[int, str, str]]:
    """(status, version, digest) of forecasts asked ``RATE`` times a second until ``stop``."""
    answers: list[tuple[int, str, str]] = []

    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/predict", json={"pattern": PATTERN})
        body = answer.json()
        answers.append(
            (answer.status_code, body.get("model_version", body.get("error", "")), body.get("model_digest", ""))
        )

    limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
    async with httpx.AsyncClient(base_url=base_url, timeout=30, limits=limits) as client, asyncio.TaskGroup() as group:
        started, sent = time.monotonic(), 0
        while not stop.is_set():
            # An open loop: a slow answer holds no later request back.
            for _ in range(int((time.monotonic() - started) * RATE) - sent):
                group.create_task(ask(client))
                sent += 1
            await asyncio.sleep(0.005)
    return answers


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
            # One worker says it is ready while another still loads its first model.
            until(lambda: all_say(running, "1"), 60)
            stop = threading.Event()

            async def load() -> list[tuple[int, str, str]]:
                ended = asyncio.Event()
                asking = asyncio.create_task(keep_asking(str(running.http.base_url), ended))
                await asyncio.to_thread(stop.wait)
                ended.set()
                return await asking

            with ThreadPoolExecutor(1) as pool:
                asking = pool.submit(lambda: asyncio.run(load()))
                try:
                    for promotion in range(PROMOTIONS):
                        number = str((promotion + 1) % 4 + 1)
                        registry.set_alias("champion", number)
                        # Every worker looks by itself: the next one comes when all answers come from this one.
                        until(lambda number=number: all_say(running, number), 30)
                finally:
                    stop.set()
                answers = asking.result()
            assert running.http.get("/metrics").text.count("halftime_model_swaps_total") > 0
        registry.close()
    assert [answer for answer in answers if answer[0] != 200] == []
    assert len(answers) > RATE
    assert {(version, digest) for _, version, digest in answers} == set(digests.items())


def all_say(running: RunningForecaster, number: str) -> bool:
    return {running.predict().json().get("model_version") for _ in range(8 * WORKERS)} == {number}
