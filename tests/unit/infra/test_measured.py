"""Files of measurements: a fault is refused with its place and what to do; what was written is read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.curve import PATH as CURVE
from benchmarks.curve import read_curve
from benchmarks.measured import MeasuredFileError, write_measured
from benchmarks.request_trace import PATH as TRACE
from benchmarks.request_trace import read_trace

Change = Callable[[dict[str, Any]], object]


def changed(path: Path, folder: Path, change: Change) -> Path:
    """A copy of a committed file, changed."""
    body = json.loads(path.read_text(encoding="ascii"))
    change(body)
    copy = folder / path.name
    copy.write_text(json.dumps(body), encoding="ascii")
    return copy


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda body: body.pop("speed"), r"missing required field `speed`"),
        (lambda body: body.update(speed=0), r"`float` > 0.0 - at `\$.speed`"),
        (lambda body: body.update(more=1), r"unknown field `more`"),
        (lambda body: body["requests"][3].__setitem__(2, 24), r"`int` <= 23 - at `\$.requests\[3\]\[2\]`"),
        (lambda body: body["requests"][0].pop(), r"at `\$.requests\[0\]`"),
        (lambda body: body["requests"][2].__setitem__(1, "0022299999"), r"request 2 \(game 0022299999, .*no game"),
        (lambda body: body["requests"][5].__setitem__(0, -1e6), r"request 5 .*sort them by time"),
        (lambda body: body.update(answers={"200": 3}), r"says that 3 were answered"),
        (lambda body: body.update(requests=[]), r"holds 0 requests"),
    ],
)
def test_a_trace_with_a_fault_is_refused_by_name(tmp_path: Path, change: Change, sentence: str) -> None:
    with pytest.raises(MeasuredFileError, match=rf"^request_trace\.json.*{sentence}"):
        read_trace(changed(TRACE, tmp_path, change))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda body: body["knots"][1].pop("gauge"), r"missing required field `gauge` - at `\$.knots\[1\]`"),
        (lambda body: body["knots"][0].update(p50_ms=0), r"at `\$.knots\[0\].p50_ms`"),
        (lambda body: body["knots"].reverse(), r"comes after one of .* sort them"),
        (lambda body: body["knots"][0].update(answered=1.0, refused=24.0), r"the knot of 50/s answers .* disturbed"),
        (lambda body: body["knots"][0].update(answered=1.0, refused=0.0), r"offered 1 were answered.* not all of"),
        (lambda body: body.update(starts_s=[]), r"no knots or no starts"),
    ],
)
def test_a_curve_with_a_fault_is_refused_by_name(tmp_path: Path, change: Change, sentence: str) -> None:
    with pytest.raises(MeasuredFileError, match=rf"^service_curve\.json.*{sentence}"):
        read_curve(changed(CURVE, tmp_path, change))


def test_a_file_that_is_not_there_or_no_json_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(MeasuredFileError, match=r"none\.json cannot be read .*python -m benchmarks\.request_trace"):
        read_trace(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"knots": [')
    with pytest.raises(MeasuredFileError, match=r"half\.json: .*python -m benchmarks\.service_curve"):
        read_curve(tmp_path / "half.json")


def test_what_is_written_is_read_again_and_written_the_same(tmp_path: Path) -> None:
    for path, read in ((TRACE, read_trace), (CURVE, read_curve)):
        copy = tmp_path / path.name
        write_measured(copy, read(path))
        assert copy.read_bytes() == path.read_bytes()
        assert read(copy) == read(path)
