"""Whole seasons through the nightly steps on the real PostgreSQL and MLflow, with something planted."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from flows.rehearse import RehearsalError, rehearse
from services.registry import Registry
from services.store import Store
from tests.support.lifecycle_world import lifecycle_settings
from tests.support.servers import PostgresServer

# Some six games a night: 45 nights are about 330 games.
NIGHTS = 45


def played(server: PostgresServer, mlflow_url: str, home: Path, plant: str, nights: int | None) -> dict[str, Any]:
    url = server.emptied()
    settings = lifecycle_settings(url, mlflow_url, home)
    told = rehearse(settings, plant=plant, nights=nights).to_json()  # type: ignore[arg-type]
    registry = Registry(mlflow_url, settings.model_name, home / "models")
    with Store.open(url) as store:
        history = store.promotion_history(settings.model_name, limit=10_000)
        live = store.promotion_at(settings.model_name)
    assert live is not None
    assert registry.get("champion").version == live.model_version, "alias and table say the same at the end"
    chain = list(reversed(history))
    assert [one.previous_version for one in chain[1:]] == [one.model_version for one in chain[:-1]]
    at = [one.effective_at for one in chain if one.effective_at]
    assert at == sorted(at), "decided on the virtual clock, one after the other"
    return json.loads(json.dumps(told))  # type: ignore[no-any-return]


def decided(told: dict[str, Any], what: str) -> list[dict[str, Any]]:
    return [one for one in told["decisions"] if one["what"] == what]


@pytest.mark.timeout(1500)
def test_through_a_drift_the_platform_covers_what_it_promised_where_a_frozen_model_does_not(
    postgres_server: PostgresServer, mlflow_url: str, tmp_path: Path
) -> None:
    told = played(postgres_server, mlflow_url, tmp_path, "drift", None)
    assert told["games"] > 1200
    assert 0.94 <= told["whole"]["coverage"] <= 0.96
    assert told["whole"]["frozen_coverage"] < 0.92
    nights = {one["date"] for one in decided(told, "recalibrated")}
    assert len(nights) == told["recalibrations"] == told["versions"] - 1, "each night with games makes one version"
    assert all(date.fromisoformat(night).year in (2022, 2023) for night in nights)
    assert (told["promotions"], told["rollbacks"], told["rejections"]) == (0, 0, 0)


@pytest.mark.timeout(900)
def test_a_planted_better_challenger_is_promoted_and_stays(
    postgres_server: PostgresServer, mlflow_url: str, tmp_path: Path
) -> None:
    told = played(postgres_server, mlflow_url, tmp_path, "better", NIGHTS)
    [promoted] = decided(told, "promote")
    assert promoted["games"] < 300
    assert told["rollbacks"] == 0
    assert told["whole"]["mae"] < told["whole"]["frozen_mae"]


@pytest.mark.timeout(900)
def test_a_planted_bad_challenger_is_rejected_and_forced_in_by_hand_is_rolled_back_within_sixty_games(
    postgres_server: PostgresServer, mlflow_url: str, tmp_path: Path
) -> None:
    told = played(postgres_server, mlflow_url, tmp_path, "bad", NIGHTS)
    [rejected], [forced], [back] = (decided(told, what) for what in ("reject", "forced", "roll-back"))
    assert rejected["date"] <= forced["date"] < back["date"]
    assert back["games"] <= 60
    assert told["promotions"] == 0


def test_a_season_that_is_not_there_is_refused(database_url: str, mlflow_url: str, tmp_path: Path) -> None:
    with pytest.raises(RehearsalError, match="6 seasons"):
        rehearse(lifecycle_settings(database_url, mlflow_url, tmp_path), seasons=6)
