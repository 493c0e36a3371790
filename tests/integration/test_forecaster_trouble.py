"""What the forecaster does when something around it is down, frozen, full or killed."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from models.bundle import write_bundle
from services.store import Store
from tests.support.running_forecaster import running_forecaster, small_bundle
from tests.support.servers import PostgresServer, running_postgres, temporary_folder
from tests.support.small_model import small_ensemble
from tests.support.waiting import until


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("bundle") / "small")


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_folder("forecaster") as folder:
        yield folder


def spooled(home: Path) -> list[str]:
    """Ids of the predictions on disk."""
    lines = [line for path in sorted((home / "spool").glob("*.jsonl")) for line in path.read_text().splitlines()]
    return [json.loads(line)["id"] for line in lines]


def test_predictions_go_on_without_a_database_and_none_is_lost_by_kill_9(
    home: Path, bundle: Path, database_url: str, store: Store
) -> None:
    with running_forecaster(home, bundle) as running:
        ids = [running.predict(request_id=f"down:{i}").json()["prediction_id"] for i in range(5)]
        assert spooled(home) == ids
        until(lambda: running.http.get("/health").json()["status"] == "degraded")
        health = running.http.get("/health").json()
        assert "127.0.0.1" not in json.dumps(health)
        outcome = running.http.post("/record_actual", json={"game_id": "0022290001", "actual_differential": 1})
        assert outcome.status_code == 503
        assert outcome.headers["retry-after"]
        assert "database" in outcome.json()["error"]
        assert running.http.get("/metrics/summary").status_code == 503
        assert running.http.get("/readyz").status_code == 200
        for worker in running.workers():
            worker.kill()
        os.kill(running.process.pid, signal.SIGKILL)
    with running_forecaster(home, bundle, database_url=database_url):
        until(lambda: not spooled(home))
    assert {store.prediction(one) is not None for one in ids} == {True}


def test_killed_worker_is_replaced_and_its_rows_reach_the_database(
    home: Path, bundle: Path, database_url: str, store: Store
) -> None:
    with running_forecaster(home, bundle, database_url=database_url) as running:
        (worker,) = running.workers()
        answer = running.predict()
        worker.kill()
        worker.wait()
        running.wait()
        until(lambda: store.prediction(answer.json()["prediction_id"]) is not None)
        assert running.predict().status_code == 200
        assert running.workers()[0].pid != worker.pid


def test_workers_end_with_a_killed_server(home: Path, bundle: Path) -> None:
    with running_forecaster(home, bundle, workers=2) as running:
        workers = running.workers()
        running.process.kill()
        _, alive = psutil.wait_procs(workers, timeout=15)
        assert not alive


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


def test_frozen_database_blocks_neither_life_nor_predictions(
    home: Path, bundle: Path, own_postgres: PostgresServer
) -> None:
    url = own_postgres.emptied()
    with running_forecaster(home, bundle, database_url=url) as running:
        running.predict()
        until(lambda: not spooled(home))
        frozen = _postgres_processes(own_postgres)
        for one in frozen:
            one.suspend()
        try:
            ids = [running.predict().json()["prediction_id"] for _ in range(3)]
            for path in ("/livez", "/readyz", "/health", "/metrics"):
                assert running.http.get(path, timeout=2.0).status_code == 200
            late = running.http.post("/record_actual", json={"game_id": "0022290001", "actual_differential": 1})
            assert late.status_code == 503
            assert "did not answer" in late.json()["error"]
            assert running.predict().status_code == 200
        finally:
            for one in frozen:
                one.resume()
        with Store.open(url) as store:
            until(lambda: all(store.prediction(one) is not None for one in ids))


def _postgres_processes(server: PostgresServer) -> list[psutil.Process]:
    pid = int((server.cluster.data_dir / "postmaster.pid").read_text().splitlines()[0])
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def test_end_is_not_held_up_by_a_frozen_database(home: Path, bundle: Path, own_postgres: PostgresServer) -> None:
    url = own_postgres.emptied()
    with running_forecaster(home, bundle, database_url=url) as running:
        running.predict()
        until(lambda: not spooled(home))
        frozen = _postgres_processes(own_postgres)
        for one in frozen:
            one.suspend()
        try:
            row = running.predict().json()["prediction_id"]
            running.process.send_signal(signal.SIGTERM)
            running.process.wait(timeout=15)
        finally:
            for one in frozen:
                one.resume()
        assert row in spooled(home)


def test_full_disk_is_503_before_an_answer(home: Path, bundle: Path) -> None:
    with running_forecaster(home, bundle) as running:
        assert running.predict().status_code == 200
        (worker,) = running.workers()
        before = spooled(home)
        # As a full disk: this process may not make any file longer than a byte.
        limit = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        refused = running.predict()
        assert refused.status_code == 503
        assert "free some disk space" in refused.json()["error"]
        assert str(home) not in refused.text
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, limit)
        assert spooled(home) == before
        assert running.predict().status_code == 200


def test_without_a_bundle_it_lives_and_says_why_it_is_not_ready_and_loads_it_when_it_comes(home: Path) -> None:
    folder = home / "bundle"
    with running_forecaster(home, folder, ready=False) as running:
        running.wait_unready("missing")
        refused = running.predict()
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert running.http.get("/model").status_code == 503
        assert running.http.get("/health").status_code == 503
        small_bundle(folder)
        running.wait()
        assert running.predict().status_code == 200


def test_damaged_bundle_is_never_served(home: Path, bundle: Path) -> None:
    folder = home / "damaged"
    write_bundle(small_ensemble(seed=9), folder, {"code_version": "test"})
    victim = sorted(folder.glob("*.npy"))[0]
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    with running_forecaster(home, folder, ready=False) as running:
        running.wait_unready("is not the file the manifest names")
        assert running.predict().status_code == 503
