"""The alert rules, run by promtool, and what every alert must carry."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

import monitoring
from models.alarms import NOTE_RUN_LENGTH, TICKET_RUN_LENGTH
from monitoring.families import fact_families, stream_families
from monitoring.rows import Facts, Waiting

RULES = Path(monitoring.__file__).parent / "rules"
TESTS = ("tests/halftime_test.yml", "tests/slo_test.yml", "tests/backup_test.yml")
REPOSITORY = RULES.parent.parent
SUFFIXES = re.compile(r"_(total|bucket|sum|count)$")


@pytest.fixture(scope="module")
def alerts() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((RULES / "halftime.yml").read_text(encoding="utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"] if "alert" in rule]


def promtool(*arguments: str) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("skipped: no promtool")
    done = subprocess.run([program, *arguments], cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "rules", "halftime.yml")


def test_rules_fire_resolve_and_stay_silent_as_promtool_sees_them() -> None:
    promtool("test", "rules", *TESTS)


def test_every_alert_has_severity_team_and_a_page_of_its_own(alerts: list[dict[str, Any]]) -> None:
    for alert in alerts:
        assert alert["labels"]["severity"] in {"page", "ticket", "info", "none"}
        assert alert["labels"]["team"] == "halftime"
        assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"
        page = (REPOSITORY / alert["annotations"]["runbook_url"]).read_text(encoding="utf-8")
        assert page.startswith(f"# {alert['alert']}\n\nSeverity: {alert['labels']['severity']}. ")
        assert len(page) > 150
    pages = {path.stem for path in (REPOSITORY / "docs" / "runbooks").glob("*.md")}
    assert pages == {"README", *(alert["alert"] for alert in alerts)}


def test_every_alert_is_named_in_a_promtool_test(alerts: list[dict[str, Any]]) -> None:
    tested = "".join((RULES / name).read_text(encoding="utf-8") for name in TESTS)
    assert [
        alert["alert"] for alert in alerts if f'"{alert["alert"]}"' not in tested and alert["alert"] + "," not in tested
    ] == []


def test_alerts_use_only_what_is_published(alerts: list[dict[str, Any]]) -> None:
    facts = Facts({}, {}, {}, {}, {}, 0, 0, None, Waiting(0, None), Waiting(0, None), {}, {}, {}, (), {}, {})
    published = {family.name for family in (*fact_families(facts), *stream_families(()))}
    published |= {"halftime_database_up", "halftime_redis_up", "up", "halftime_http_request_seconds"}
    published |= {"halftime_model_refused", "halftime_model_fallback", "halftime_model_info"}
    published |= {"halftime_spool_oldest_seconds", "halftime_disk_free_bytes", "halftime_disk_size_bytes"}
    published |= {"halftime_http_requests", "halftime_feed_age_seconds", "halftime_polls"}
    for alert in alerts:
        for name in re.findall(r"\b(?:halftime|nba)_\w+|\bup\b", re.sub(r'"[^"]*"', "", alert["expr"])):
            assert SUFFIXES.sub("", name) in published or name in published, alert["alert"]


def test_coverage_thresholds_are_the_logarithms_of_the_run_lengths(alerts: list[dict[str, Any]]) -> None:
    bars = {alert["alert"]: float(alert["expr"].split(">=")[1]) for alert in alerts if ">=" in alert["expr"]}
    assert bars["CoverageLow"] == pytest.approx(math.log(TICKET_RUN_LENGTH), abs=1e-3)
    assert bars["CoverageNote"] == pytest.approx(math.log(NOTE_RUN_LENGTH), abs=1e-3)
