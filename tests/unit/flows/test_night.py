"""A night follows its own replay, whatever feed the settings name."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from flows import night
from services.settings import Settings

UNSET = dict.fromkeys(("database_url", "redis_url", "prefect_api_url", "mlflow_tracking_uri"))


class Stopped(Exception):
    """The test has seen enough."""


def test_the_stack_of_a_night_polls_the_nights_own_replay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Settings] = []

    def stack(settings: Settings, *_: Any, **__: Any) -> None:
        seen.append(settings)
        raise Stopped

    monkeypatch.setattr(night, "LocalStack", stack)
    settings = Settings(
        **{**UNSET, "home": tmp_path, "feed": "nba", "feed_base_url": "http://elsewhere/liveData"}  # type: ignore[arg-type]
    )
    with pytest.raises(Stopped):
        night.run_night(settings, league_date=date(2023, 2, 3))
    (used,) = seen
    assert used.resolved_feed_url == f"{used.replay_url}/static/json/liveData"
    assert used.replay_date == date(2023, 2, 3)
    assert used.replay_hold
