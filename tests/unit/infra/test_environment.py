from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from infra.environment import child_env, inherited_env, mlflow_env, settings_env
from services.settings import Settings


def test_a_child_reads_exactly_the_settings_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        home=tmp_path,
        redis_port=7001,
        replay_date=date(2023, 2, 3),
        feed="nba",
        allowed_origins=("https://a.example", "https://b.example"),
        redis_url="redis://elsewhere:6379/0",
    )
    for name in ("DATABASE_URL", "REDIS_URL", "PREFECT_API_URL", "MLFLOW_TRACKING_URI", "HALFTIME_DATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings_env(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_a_variable_of_the_caller_does_not_outlive_a_setting_that_is_unset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFTIME_REPLAY_DATE", "2020-01-01")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    settings = Settings(home=tmp_path, replay_date=None, mlflow_tracking_uri=None)
    environment = inherited_env(settings)
    assert "HALFTIME_REPLAY_DATE" not in environment
    assert "MLFLOW_TRACKING_URI" not in environment


def test_children_get_resolved_addresses_and_one_thread_each(tmp_path: Path) -> None:
    environment = child_env(Settings(home=tmp_path, redis_url=None, prefect_api_url=None, mlflow_port=5051))
    assert environment["REDIS_URL"] == "redis://127.0.0.1:6389/0"
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"
    assert environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5051"
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["PREFECT_HOME"] == str(tmp_path / "prefect")


def test_our_own_servers_are_asked_without_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "intranet")
    environment = inherited_env(Settings(home=tmp_path))
    assert environment["no_proxy"].split(",")[:3] == ["intranet", "localhost", "127.0.0.1"]


def test_mlflow_runs_no_job_workers_and_checks_hosts(tmp_path: Path) -> None:
    environment = mlflow_env(Settings(home=tmp_path), "sqlite://")
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert "127.0.0.1:*" in environment["MLFLOW_SERVER_ALLOWED_HOSTS"]
