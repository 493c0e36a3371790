"""Evidently's page of a stored report: self-contained, with a policy that names its scripts and a way back."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from monitoring.report_page import SCRIPT, SnapshotError, digest, page_maker, report_html
from monitoring.reports import SNAPSHOT, build_evidently_report
from tests.unit.monitoring.test_reports import settled

HOSTILE = '"</script><script>alert(1)</script>\\'


@pytest.fixture(scope="module")
def body() -> dict[str, Any]:
    return build_evidently_report(settled(50), settled(400, seed=2), window="week", model_version="3").stored()


def policy(page: str) -> dict[str, list[str]]:
    found = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert found is not None
    return {rule.split()[0]: rule.split()[1:] for rule in found[1].split(";")}


def test_the_policy_names_each_script_and_allows_no_other_and_no_network(body: dict[str, Any]) -> None:
    page = report_html(body)
    assert page is not None
    assert page.startswith("<!DOCTYPE html>")
    rules = policy(page)
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == [digest(script) for script in SCRIPT.findall(page)]
    assert len(rules["script-src"]) == page.count("</script>")
    assert rules["img-src"] == ["data:", "blob:"]
    assert not {"connect-src", "frame-src", "worker-src"} & rules.keys()
    assert page.index("Content-Security-Policy") < page.index("<script>")
    assert page.index('<meta charset="utf-8">') < 1024
    assert "src=" not in page[: page.index("<script>")]


def test_it_says_what_is_reported_and_leads_back(body: dict[str, Any]) -> None:
    page = report_html(body | {"window": "week <1>", "reference": "400 games"}, board_page='http://board/reports/7?"')
    assert page is not None
    assert "<title>week &lt;1&gt;: Evidently&#x27;s report, Halftime</title>" in page
    assert "<h1>week &lt;1&gt;</h1>" in page
    assert f"{body['message']}; model version 3; against 400 games; " in page
    assert "where these were not forecast, their errors are persistence&#x27;s" in page
    assert '<a href="http://board/reports/7?&quot;">this report on the board</a>' in page
    assert "on the board" not in (report_html(body) or "")


def test_no_text_of_a_report_ends_the_script_it_stands_in(body: dict[str, Any]) -> None:
    hostile = copy.deepcopy(body)
    hostile[SNAPSHOT]["widgets"][0]["title"] = HOSTILE
    page, plain = report_html(hostile), report_html(body)
    assert page is not None
    assert plain is not None
    assert page.count("<script>") == plain.count("<script>")
    assert page.count("</script>") == plain.count("</script>")
    assert '"\\"\\u003c/script>\\u003cscript>alert(1)\\u003c/script>\\\\"' in page
    assert hostile[SNAPSHOT]["widgets"][0]["title"] == HOSTILE, "the stored report is not touched"


def test_without_a_snapshot_there_is_no_page(body: dict[str, Any]) -> None:
    assert report_html(body | {SNAPSHOT: None}) is None
    assert report_html({"mae": 4.1}) is None


@pytest.mark.parametrize("snapshot", [{}, {"of": "2019"}, [], "text", {"report": None, "widgets": 3}])
def test_a_snapshot_that_cannot_be_read_says_what_to_do(body: dict[str, Any], snapshot: Any) -> None:
    with pytest.raises(SnapshotError, match=r"make the report again with \./halftime report"):
        report_html(body | {SNAPSHOT: snapshot})


def test_who_makes_the_page_has_one_name_as_long_as_nothing_changes() -> None:
    assert page_maker() == page_maker()
    assert re.fullmatch(r"[0-9a-f]{64}", page_maker())
