"""Alertmanager's messages are acted on once, not too often, and kept; what cannot be handled is told again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.testing.utilities import prefect_test_harness
from starlette.testclient import TestClient

from flows.alert_receiver import MAX_BODY_BYTES, create_app
from flows.deployments import DeploymentFailed, start_deployed
from services.settings import Settings
from services.store import Store
from tests.support.servers import free_port


class Started:
    """Stands for Prefect: remembers what was asked for, and fails when told to."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[str, dict[str, Any]]] = {}
        self.trouble: Exception | None = None

    def __call__(self, settings: Settings, name: str, parameters: dict[str, Any], key: str) -> str:
        if self.trouble is not None:
            raise self.trouble
        self.runs.setdefault(key, (name, parameters))
        return f"run of {name}"

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.runs.values()]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(_env_file=None, database_url=database_url, home=tmp_path)


@pytest.fixture
def started() -> Started:
    return Started()


@pytest.fixture
def receiver(store: Store, settings: Settings, started: Started) -> Iterator[TestClient]:
    with TestClient(create_app(store, settings, start=started)) as client:
        yield client


def alert(name: str, status: str = "firing", fingerprint: str = "ab12", **changes: Any) -> dict[str, Any]:
    return {
        "status": status, "labels": {"alertname": name, "lineage": "x"}, "annotations": {"summary": "s"},
        "startsAt": "2026-11-24T02:00:00.5Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://x",
        "fingerprint": fingerprint,
    } | changes  # fmt: skip


def told(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "status": "firing", "receiver": "halftime", "groupKey": "{}", "alerts": list(alerts)}


def test_a_coverage_alarm_recalibrates_and_drift_is_evaluated_and_trained_on(
    receiver: TestClient, started: Started, store: Store
) -> None:
    answer = receiver.post("/alerts", json=told(alert("CoverageLow"), alert("ErrorDrift", fingerprint="cd")))
    assert answer.json() == {"alerts": 2, "handled": 2}
    assert list(started.runs.values()) == [
        ("recalibrate/nightly", {"patient": False}), ("evaluate-challenger/nightly", {}),
        ("retrain/on-drift", {"on_drift": True}),
    ]  # fmt: skip
    newest = store.alert_history()[0]
    assert (newest.alertname, newest.status, [action["run_id"] for action in newest.actions]) == (
        "ErrorDrift", "firing", ["run of evaluate-challenger/nightly", "run of retrain/on-drift"],
    )  # fmt: skip


def test_an_alert_told_again_is_handled_once_and_its_end_is_kept(
    receiver: TestClient, started: Started, store: Store
) -> None:
    for _ in range(3):
        receiver.post("/alerts", json=told(alert("CoverageLow")))
    assert receiver.post("/alerts", json=told(alert("CoverageLow", "resolved"))).json()["handled"] == 1
    assert started.names == ["recalibrate/nightly"]
    assert [row.status for row in store.alert_history()] == ["resolved", "firing"]


def test_another_turn_within_the_pause_is_kept_and_starts_nothing(
    receiver: TestClient, started: Started, store: Store
) -> None:
    receiver.post("/alerts", json=told(alert("CoverageLow")))
    receiver.post("/alerts", json=told(alert("CoverageLow", startsAt="2026-11-24T09:00:00Z")))
    assert started.names == ["recalibrate/nightly"]
    (second,) = store.alert_history()[0].actions
    assert second["run_id"] is None
    assert second["why"].endswith("once in 20 hours")


def test_other_alerts_are_kept_and_start_nothing(receiver: TestClient, started: Started, store: Store) -> None:
    receiver.post("/alerts", json=told(alert("FeedStale")))
    assert started.runs == {}
    shown = receiver.get("/alerts").json()
    assert [(one["alertname"], one["actions"]) for one in shown] == [("FeedStale", [])]


@pytest.mark.parametrize("trouble", [httpx.ConnectError("no Prefect"), DeploymentFailed("no such deployment")])
def test_what_cannot_be_started_now_is_told_again_and_then_runs_once(
    receiver: TestClient, started: Started, store: Store, trouble: Exception
) -> None:
    started.trouble = trouble
    answer = receiver.post("/alerts", json=told(alert("ErrorDrift")))
    assert answer.status_code == 503
    assert str(trouble) in answer.json()["error"]
    assert store.alert_history() == []
    started.trouble = None
    assert receiver.post("/alerts", json=told(alert("ErrorDrift"))).json()["handled"] == 1
    assert started.names == ["evaluate-challenger/nightly", "retrain/on-drift"]


def test_while_the_database_is_away_nothing_is_lost(settings: Settings, started: Started) -> None:
    with (
        Store.open(f"postgresql+psycopg2://me:no@127.0.0.1:{free_port()}/gone") as away,
        TestClient(create_app(away, settings, start=started)) as receiver,
    ):
        assert receiver.post("/alerts", json=told(alert("CoverageLow"))).status_code == 503
        assert receiver.get("/alerts").status_code == 503
        assert receiver.get("/livez").text == "alive"
    assert started.runs == {}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "not Alertmanager's message: the body"),
        (b'{"version": "3", "alerts": []}', "version"),
        (b'{"version": "4", "alerts": [{"status": "firing"}]}', "alerts.0"),
        (b'{"version": "4", "alerts": [], "x": "' + b"y" * MAX_BODY_BYTES + b'"}', "more than"),
    ],
)
def test_what_is_no_message_is_refused_with_what_is_wrong(receiver: TestClient, body: bytes, sentence: str) -> None:
    answer = receiver.post("/alerts", content=body)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


def test_a_label_is_data_whatever_it_holds(receiver: TestClient, store: Store) -> None:
    odd = "x'; DROP TABLE alerts; --\n<script>"
    receiver.post("/alerts", json=told(alert("FeedStale", labels={"alertname": "FeedStale", "kind": odd})))
    assert store.alert_history()[0].labels["kind"] == odd


@flow(name="asked-by-an-alert")
def asked() -> None:
    """Never runs: nobody serves its deployment."""


def test_one_key_makes_one_run_on_a_real_prefect(settings: Settings) -> None:
    with prefect_test_harness(server_startup_timeout=180):
        with get_client(sync_client=True) as client:
            client.create_deployment(client.create_flow(asked), name="now")
            api = str(client.api_url)
        there = settings.model_copy(update={"prefect_api_url": api})
        runs = {start_deployed(there, "asked-by-an-alert/now", {}, "alert:1") for _ in range(3)}
        runs |= {start_deployed(there, "asked-by-an-alert/now", {}, "alert:2")}
        assert len(runs) == 2
        with pytest.raises(DeploymentFailed, match="knows no deployment asked-by-an-alert/never"):
            start_deployed(there, "asked-by-an-alert/never", {}, "alert:3")
