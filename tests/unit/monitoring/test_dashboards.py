"""The dashboard: its file is what the code makes, and no panel asks for what nobody publishes."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml  # type: ignore[import-untyped]
from grafana_foundation_sdk.models import units
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase

from bentos import instruments
from models.alarms import NOTE_RUN_LENGTH, TICKET_RUN_LENGTH
from monitoring.dashboard_parts import Panel, Row, placed
from monitoring.dashboards import FILE, ROWS, dashboard_json, main
from monitoring.families import fact_families, stream_families
from monitoring.rows import Facts, Waiting
from services.board_live import Live
from services.board_routes import LiveCollector
from services.loop_metrics import PollerMetrics, PollFigures, PredictorMetrics
from tests.support.board_night import MemoryStore, MemoryStream

# What Prometheus calls the series of a family.
SERIES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
PROMISED = {
    "Active games", "Alarm evidence", "Calibration age", "Calibration moves", "Calibration set", "Coverage",
    "Coverage by window", "Error distribution", "Error rate of /predict",
    "Fallback or refused model", "Feed age", "Latency of /predict", "Lease time left", "MAE beside persistence",
    "Mean width", "Model swaps", "Model version", "Overdue forecasts", "Prediction volume", "Report age",
    "Requests by code", "RMSE beside persistence", "RMSE by minute", "Settlement backlog", "Skill against persistence",
    "Skill by minute", "Spool",
    "Stream entries", "Stream lag", "Stream pending", "Uptime",
}  # fmt: skip


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(dashboard_json())
    return loaded


@pytest.fixture(scope="module")
def panels(dashboard: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Title -> panel, without the headings."""
    found = {panel["title"]: panel for panel in dashboard["panels"] if panel["type"] != "row"}
    assert len(found) == sum(len(row.panels) for row in ROWS), "no two have one title"
    return found


@pytest.fixture(scope="module")
def published() -> set[str]:
    """Names of the series of exporter, forecaster, board, poller and predictor, and what Prometheus adds itself."""
    facts = Facts({}, {}, {}, {}, {}, 0, 0, None, Waiting(0, None), Waiting(0, None), {}, {}, {}, (), (), {})
    live = Live(MemoryStream(), MemoryStore())
    polling = SimpleNamespace(play_by_plays=0, ticks=0, stale=0, late_polls=0, last_poll_at=datetime.now(UTC))
    wrapped = [value for value in vars(instruments).values() if isinstance(value, MetricWrapperBase)]
    pages: dict[str, list[Metric]] = {
        "exporter": [*fact_families(facts), *stream_families(())],
        "forecaster": [family for metric in wrapped for family in metric.describe()],
        "board": [*LiveCollector(live).collect(), *live.lag.describe()],
        "poller": list(PollerMetrics(cast(PollFigures, polling)).registry.collect()),
        "predictor": list(PredictorMetrics().registry.collect()),
    }
    assert min(map(len, pages.values())) > 3
    found = [f"{one.name}{end}" for page in pages.values() for one in page for end in SERIES[one.type]]
    assert len(set(found)) == len(found), "no two pages use one name"
    return {*found, "halftime_database_up", "halftime_redis_up", "up"}


def metrics_of(expr: str) -> set[str]:
    """Names of the metrics that ``expr`` reads."""
    return set(re.findall(r"\b(?:halftime|nba)_\w+|\bup\b", re.sub(r'"[^"]*"', "", expr)))


def test_the_stored_file_is_what_the_code_makes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err
    assert FILE.read_text(encoding="utf-8") == dashboard_json()


def test_a_file_that_differs_or_is_missing_is_said_and_can_be_written_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "halftime.json"
    assert main(["--check", "--file", str(file)]) == 1
    assert "is missing" in capsys.readouterr().err
    file.write_text(dashboard_json().replace("sum by", "avg by"))
    assert main(["--check", "--file", str(file)]) == 1
    assert "run `python -m monitoring.dashboards`" in capsys.readouterr().err
    assert main(["--file", str(file)]) == 0
    assert file.read_text(encoding="utf-8") == FILE.read_text(encoding="utf-8")


def test_grafana_finds_what_a_provisioned_dashboard_must_have(dashboard: dict[str, Any]) -> None:
    assert dashboard["uid"] == "halftime"
    assert dashboard["title"] == "Halftime"
    assert dashboard["schemaVersion"] >= 36
    assert dashboard["timezone"] == "America/New_York"
    assert dashboard["refresh"]
    assert "id" not in dashboard, "a number of one Grafana's database"
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_provisioning_names_a_folder_of_dashboards_and_a_prometheus() -> None:
    provider = yaml.safe_load(FILE.with_name("provisioning.yaml").read_text(encoding="utf-8"))
    assert [one["type"] for one in provider["providers"]] == ["file"]
    assert provider["providers"][0]["options"]["path"].startswith("/")
    source = yaml.safe_load(FILE.with_name("datasource.yaml").read_text(encoding="utf-8"))
    assert [one["type"] for one in source["datasources"]] == ["prometheus"]


def test_the_promised_panels_exist(panels: dict[str, dict[str, Any]]) -> None:
    assert set(panels) >= PROMISED
    assert panels["Error distribution"]["type"] == "heatmap"
    assert panels["Error distribution"]["targets"][0]["format"] == "heatmap"


def test_every_panel_says_what_it_shows_in_a_unit_from_a_datasource(panels: dict[str, dict[str, Any]]) -> None:
    for title, panel in panels.items():
        assert panel["description"].endswith("."), title
        unit = panel["fieldConfig"]["defaults"]["unit"]
        assert unit in vars(units).values() or unit.startswith("suffix:"), title
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, title
        assert panel["targets"], title
        for target, letter in zip(panel["targets"], "ABCDEFGH", strict=False):
            assert target["refId"] == letter, title
            assert target["datasource"] == panel["datasource"], title
            assert target["legendFormat"], title


def test_panels_ask_only_for_what_is_published(panels: dict[str, dict[str, Any]], published: set[str]) -> None:
    for title, panel in panels.items():
        for target in panel["targets"]:
            assert metrics_of(target["expr"]) - published == set(), title


def test_variables_take_their_values_from_what_is_published(dashboard: dict[str, Any], published: set[str]) -> None:
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            (name,) = metrics_of(variable["query"])
            assert name in published


def test_a_quantile_is_of_rates_added_up_by_bucket(dashboard: dict[str, Any]) -> None:
    calls = re.findall(r"histogram_quantile\(.*?_bucket", dashboard_json())
    assert len(calls) >= 3
    for call in calls:
        assert re.match(r"histogram_quantile\(0\.\d+, sum by \(le(, \w+)*\) \(rate\(\w+_bucket$", call), call


def test_panels_lie_side_by_side_within_the_grid(dashboard: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["w"] > 0
        assert at["h"] > 0
        assert at["x"] + at["w"] <= 24, panel["title"]
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert cell not in taken, f"{panel['title']} lies on {taken.get(cell)}"
            taken[cell] = panel["title"]


def test_a_panel_wider_than_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="25 wide"):
        placed([Row("one", (Panel("wide", "Too wide.", "short", (), width=25),))])


def test_lines_of_the_evidence_are_where_the_alarms_are(panels: dict[str, dict[str, Any]]) -> None:
    settings = panels["Alarm evidence"]["fieldConfig"]["defaults"]
    values = [step["value"] for step in settings["thresholds"]["steps"]]
    assert values == [None, pytest.approx(math.log(NOTE_RUN_LENGTH)), pytest.approx(math.log(TICKET_RUN_LENGTH))]
    assert settings["custom"]["thresholdsStyle"]["mode"] == "line"


def test_what_stands_beside_the_alert_rules_is_asked_in_the_same_way(panels: dict[str, dict[str, Any]]) -> None:
    rules = (FILE.parent.parent / "rules" / "halftime.yml").read_text(encoding="utf-8")
    for title, number in (("Latency of /predict", 1), ("Feed age", 0), ("Stream lag", 0), ("Stream lag", 1)):
        assert panels[title]["targets"][number]["expr"] in rules, title
