"""The forecaster and a real MLflow: it serves the champion, follows the alias, and goes on when MLflow is gone."""

from __future__ import annotations

from pathlib import Path

from services.registry import Registry
from tests.support.running_forecaster import RunningForecaster, running_forecaster, small_bundle
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
                running.wait_unready("./halftime train")
                for seed, number in ((1, "1"), (2, "2")):
                    version = registry.register(small_bundle(tmp_path / f"bundle-{seed}", seed=seed, minutes=(18,)))
                    assert version.version == number
                    registry.set_alias("champion", number)
                    wait_for_version(running, number)
                    answer = running.predict(request_id=f"as-{number}").json()
                    assert (answer["model_version"], answer["model_digest"]) == (number, version.digest)
                again = running.predict(request_id="as-1").json()
                assert again["model_version"] == "1", "the first answer to a request id stays the answer"
            registry.close()
        away = f"http://127.0.0.1:{free_port()}"
        with running_forecaster(home, None, MLFLOW_TRACKING_URI=away) as running:
            assert running.predict().json()["model_version"] == "2"
            health = running.http.get("/health").json()
            assert health["status"] == "degraded"
            assert any("kept on this machine" in text or "does not answer" in text for text in health["trouble"])
