"""Servers that somebody else runs are asked first, and only those."""

from __future__ import annotations

from typing import Any

import pytest

from flows.outside import ServerAway, require_outside
from services.settings import Settings

NOBODY = "127.0.0.1:1"
UNSET = dict.fromkeys(("database_url", "redis_url", "prefect_api_url", "mlflow_tracking_uri"))


def settings(**outside: Any) -> Settings:
    return Settings(**{**UNSET, **outside})


def test_servers_of_our_own_are_not_asked() -> None:
    require_outside(settings())


def test_every_server_that_is_away_is_named_with_its_variable_and_no_password() -> None:
    away = settings(
        database_url=f"postgresql+psycopg2://me:hush@{NOBODY}/x",
        redis_url=f"redis://:hush@{NOBODY}/0",
        prefect_api_url=f"http://{NOBODY}/api",
        mlflow_tracking_uri=f"http://{NOBODY}",
    )
    with pytest.raises(ServerAway) as raised:
        require_outside(away)
    said = str(raised.value)
    assert all(name in said for name in ("DATABASE_URL", "REDIS_URL", "PREFECT_API_URL", "MLFLOW_TRACKING_URI"))
    assert "hush" not in said
    assert "\n" not in said
