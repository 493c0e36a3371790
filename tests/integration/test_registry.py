"""The registry against a real MLflow server, and without one."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from models.bundle import BundleError, write_bundle
from models.card import model_card
from services.registry import BadArtifact, NoSuchVersion, Registry, RegistryError, RegistryUnavailable, Version
from tests.support.servers import free_port
from tests.support.small_model import small_ensemble

QUESTION = ([float(m % 5) for m in range(18)], 18, 0.1, 2.5)


@pytest.fixture
def model_name() -> str:
    return f"model-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def registry(mlflow_url: str, model_name: str, tmp_path: Path) -> Iterator[Registry]:
    opened = Registry(mlflow_url, model_name, tmp_path / "cache")
    yield opened
    opened.close()


def bundle(folder: Path, seed: int = 1) -> Path:
    target = folder / f"bundle-{seed}"
    write_bundle(small_ensemble(seed=seed), target, {"code_version": "test", "figures": {"rmse": 5.5}})
    return target


def champion(registry: Registry, folder: Path, seed: int = 1) -> Version:
    version = registry.register(
        bundle(folder, seed), params={"k": 500}, metrics={"rmse": 5.5},
        artifacts={"coverage.html": "<p>plot</p>", "plot.png": b"\x89PNG"}, tags={"kind": "trained"},
    )  # fmt: skip
    registry.set_alias("champion", version.version)
    return version


def test_a_registered_bundle_comes_back_and_answers_the_same(
    registry: Registry, mlflow_url: str, tmp_path: Path, model_name: str
) -> None:
    version = champion(registry, tmp_path)
    elsewhere = Registry(mlflow_url, model_name, tmp_path / "elsewhere")
    loaded = elsewhere.fetch("champion")
    assert (loaded.version.version, loaded.digest, loaded.stale) == (version.version, version.digest, False)
    assert loaded.ensemble.forecast(*QUESTION) == small_ensemble().forecast(*QUESTION)
    assert loaded.manifest.extra["figures"] == {"rmse": 5.5}
    assert elsewhere.fetch(version.version).digest == version.digest


def test_mlflow_shows_run_plots_and_tags(registry: Registry, mlflow_url: str, tmp_path: Path) -> None:
    version = champion(registry, tmp_path)
    run = httpx.get(f"{mlflow_url}/api/2.0/mlflow/runs/get", params={"run_id": version.run_id}).json()["run"]
    assert {one["key"]: one["value"] for one in run["data"]["metrics"]} == {"rmse": 5.5}
    assert {one["key"]: one["value"] for one in run["data"]["params"]} == {"k": "500"}
    assert run["info"]["status"] == "FINISHED"
    listed = httpx.get(
        f"{mlflow_url}/api/2.0/mlflow/artifacts/list", params={"run_id": version.run_id, "path": "plots"}
    ).json()
    assert {one["path"] for one in listed["files"]} == {"plots/coverage.html", "plots/plot.png"}
    assert (version.tags["source"], version.tags["kind"], version.tags["code_version"]) == (
        "simulated",
        "trained",
        "test",
    )
    assert registry.get("champion").aliases == ("champion",)


def test_a_version_carries_its_card(registry: Registry, tmp_path: Path) -> None:
    figures = {"rmse": 5.5, "rmse_persistence": 5.7, "skill_squared": 0.04, "coverage": 0.95, "games_test": 650.0}
    card = model_card(
        small_ensemble(), kind="trained", parent="3", figures=figures, code_version="abc", data_digest="d" * 16
    )
    version = registry.register(bundle(tmp_path), card=card)
    found = httpx.get(
        f"{registry._tracking_uri}/api/2.0/mlflow/model-versions/get",
        params={"name": registry.model_name, "version": version.version},
    ).json()["model_version"]
    assert found["description"] == card
    for said in ("from version 3", "| RMSE, points | 5.500 | 5.700 |", "+4.0%", "d" * 16, "Limits"):
        assert said in card
    assert "version it was made from" in model_card(
        small_ensemble(minutes=(0,)), kind="recalibrated", parent="3", figures={}, code_version="abc"
    )


def test_the_same_bundle_is_one_version(registry: Registry, tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    assert registry.register(folder).version == registry.register(folder).version
    assert len(registry.versions()) == 1


def test_versions_are_newest_first_and_aliases_move(registry: Registry, tmp_path: Path) -> None:
    first, second = champion(registry, tmp_path, 1), champion(registry, tmp_path, 2)
    assert [one.version for one in registry.versions()] == [second.version, first.version]
    registry.set_alias("champion", first.version)
    assert registry.get("champion").digest == first.digest
    assert registry.fetch("champion").digest == first.digest


def test_no_model_no_alias_no_version_are_named(registry: Registry, tmp_path: Path) -> None:
    for asked in ("champion", "7"):
        with pytest.raises(NoSuchVersion):
            registry.get(asked)
        with pytest.raises(NoSuchVersion):
            registry.fetch(asked)
    registry.register(bundle(tmp_path))
    with pytest.raises(NoSuchVersion, match="champion"):
        registry.get("champion")
    with pytest.raises(NoSuchVersion):
        registry.set_alias("champion", "99")


def test_a_broken_bundle_is_never_registered(registry: Registry, tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    array = next(folder.glob("*.npy"))
    array.write_bytes(array.read_bytes()[:-1] + b"\x01")
    with pytest.raises(BundleError):
        registry.register(folder)
    assert registry.versions() == []


def test_a_metric_that_is_no_number_is_named(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="crps"):
        registry.register(bundle(tmp_path), metrics={"rmse": 1.0, "crps": float("nan")})


def test_without_mlflow_the_last_good_copy_serves_and_says_so(
    registry: Registry, tmp_path: Path, model_name: str
) -> None:
    version = champion(registry, tmp_path)
    registry.fetch("champion")
    away = Registry(f"http://127.0.0.1:{free_port()}", model_name, tmp_path / "cache")
    loaded = away.fetch("champion")
    assert (loaded.digest, loaded.stale) == (version.digest, True)
    assert loaded.reason is not None
    assert "does not answer" in loaded.reason
    with pytest.raises(RegistryUnavailable):
        away.get("champion")
    with pytest.raises(RegistryUnavailable):
        away.fetch("challenger")


def test_an_alias_taken_away_keeps_the_last_good_copy(registry: Registry, tmp_path: Path) -> None:
    champion(registry, tmp_path)
    registry.fetch("champion")
    registry._http.delete_alias("champion")
    loaded = registry.fetch("champion")
    assert loaded.stale


def test_a_server_that_hangs_is_given_up(tmp_path: Path, registry: Registry, model_name: str) -> None:
    champion(registry, tmp_path)
    registry.fetch("champion")
    release = threading.Event()

    class Hanging(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            release.wait(60)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hanging)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        slow = Registry(f"http://127.0.0.1:{server.server_port}", model_name, tmp_path / "cache")
        loaded = slow.fetch("champion")
        assert loaded.stale
        assert "Timeout" in str(loaded.reason)
    finally:
        release.set()
        server.shutdown()
        server.server_close()


def test_a_tampered_artifact_is_refused_and_the_last_good_model_stays(
    registry: Registry, mlflow_url: str, tmp_path: Path
) -> None:
    good = champion(registry, tmp_path, 1)
    registry.fetch("champion")
    bad = champion(registry, tmp_path, 2)
    place = bad.source.removeprefix("mlflow-artifacts:/")
    answer = httpx.put(
        f"{mlflow_url}/api/2.0/mlflow-artifacts/artifacts/{place}/manifest.json", content=b'{"format": "evil"}'
    )
    assert answer.is_success
    (tmp_path / "cache" / bad.digest).rename(tmp_path / "away")  # the maker's own copy
    loaded = registry.fetch("champion")
    assert (loaded.digest, loaded.stale) == (good.digest, True)
    assert "refused" in str(loaded.reason)
    assert not (tmp_path / "cache" / bad.digest).exists()
    assert [one for one in (tmp_path / "cache").iterdir() if one.name.startswith(".part-")] == []
    with pytest.raises(BadArtifact):
        Registry(mlflow_url, registry.model_name, tmp_path / "empty").fetch("champion")


def test_a_damaged_copy_on_disk_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    version = champion(registry, tmp_path)
    registry.fetch("champion")
    array = next((tmp_path / "cache" / version.digest).glob("*.npy"))
    array.write_bytes(os.urandom(array.stat().st_size))
    loaded = registry.fetch("champion")
    assert (loaded.digest, loaded.stale) == (version.digest, False)
    assert loaded.ensemble.forecast(*QUESTION) == small_ensemble().forecast(*QUESTION)


def test_a_tracking_uri_that_is_no_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI"):
        Registry("sqlite:///mlflow.db", "model", tmp_path)
