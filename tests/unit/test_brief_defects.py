"""docs/brief-defects.md: every row is there, says what happens here, and names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from services.settings import ROOT

PAGE = ROOT / "docs" / "brief-defects.md"
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[A-Za-z0-9_/]+\.py)::(test_[A-Za-z0-9_]+)`")
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))


@cache
def defined_in(path: str) -> frozenset[str]:
    """Names of the test functions defined at the top of a file."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_rows_1_to_96_are_there_once_and_in_order() -> None:
    numbers = [int(row[0]) for row in ROWS]
    assert numbers == list(range(1, 97))


@pytest.mark.parametrize(("number", "defect", "here", "held"), ROWS, ids=[row[0] for row in ROWS])
def test_a_row_is_held_by_tests_that_exist_or_says_why_it_cannot_occur(
    number: str, defect: str, here: str, held: str
) -> None:
    named = TEST.findall(held)
    assert named or held.strip().startswith("cannot occur:"), f"row {number} is held by nothing"
    assert held.count("::") == len(named), f"row {number} names a test in a form that cannot be read"
    missing = [f"{path}::{name}" for path, name in named if not (ROOT / path).is_file() or name not in defined_in(path)]
    assert missing == []
    assert len(defect.strip()) > 10
    assert len(here.strip()) > 10
