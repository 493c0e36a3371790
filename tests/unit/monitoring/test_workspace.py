"""The folder of Evidently's UI, as the thread sees it that watches it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from monitoring.reports import SNAPSHOT
from monitoring.workspace import METADATA, add_snapshot, project_id

WEEK = project_id("simulated", "week")


@pytest.fixture(scope="module")
def body() -> dict[str, Any]:
    """A stored report of next to nothing."""
    from evidently import Report
    from evidently.metrics import RowCount

    run = Report([RowCount()]).run(pd.DataFrame({"point": [1.0, 2.0]}))
    return {"source": "simulated", "scope": "week", SNAPSHOT: json.loads(run.to_snapshot_model().json())}


def test_a_project_is_there_only_when_all_of_it_is_written(
    tmp_path: Path, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from evidently.ui.service.storage.local import base

    seen: list[bool] = []
    dump = base.json.dump

    def looked(*arguments: Any, **options: Any) -> None:
        seen.append((tmp_path / str(WEEK) / METADATA).exists())
        dump(*arguments, **options)

    monkeypatch.setattr(base.json, "dump", looked)
    add_snapshot(tmp_path, 1, body)
    assert seen[0] is False
    assert json.loads((tmp_path / str(WEEK) / METADATA).read_text())["name"] == "Halftime, simulated games: week"
    assert [path.name for path in (tmp_path / str(WEEK)).iterdir() if path.is_file()] == [METADATA]


def test_a_report_added_again_replaces_its_snapshot(tmp_path: Path, body: dict[str, Any]) -> None:
    assert add_snapshot(tmp_path, 1, body) == add_snapshot(tmp_path, 1, body) != add_snapshot(tmp_path, 2, body)
    assert len(list((tmp_path / str(WEEK) / "snapshots").iterdir())) == 2


def test_a_report_without_games_makes_no_project(tmp_path: Path) -> None:
    assert add_snapshot(tmp_path / "none", 1, {"source": "simulated", "scope": "week", SNAPSHOT: None}) is None
    assert not (tmp_path / "none").exists()
