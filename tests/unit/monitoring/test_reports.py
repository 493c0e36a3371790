"""The Evidently report: guards, verdicts, valid JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monitoring.report_figures import drift_threshold
from monitoring.report_frames import COLUMNS, ReportError, history_frame, settled_frame
from monitoring.report_page import report_html
from monitoring.reports import EvidentlyReport, build_evidently_report, finite_json
from monitoring.rows import SettledRow

PATTERN = ("minute_6", "minute_12", "lead", "swing", "volatility")


def settled(n: int, seed: int = 1, shift: float = 0.0) -> pd.DataFrame:
    """``n`` settled forecasts of a league whose leads are ``shift`` points higher."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        path = np.cumsum(rng.integers(-3, 4, 24)) + round(shift)
        point, actual = float(path[17]) + rng.normal(0, 0.5), int(path[23])
        rows.append(
            SettledRow(f"00222{number:05d}", date(2023, 2, 3), "recorded", 18, "3", 0.05, tuple(map(float, path[:18])),
                       point, point - 11, point + 11, float(path[17]), actual, point - 11 <= actual <= point + 11)
        )  # fmt: skip
    return settled_frame(rows)


@pytest.fixture(scope="module")
def week() -> EvidentlyReport:
    return build_evidently_report(settled(50), settled(400, seed=2), window="week", model_version="3")


def test_importing_reports_does_not_import_evidently() -> None:
    program = "import sys, monitoring.reports; sys.exit('evidently' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("n", [0, 4])
def test_too_few_games_say_so_and_raise_nothing(n: int) -> None:
    report = build_evidently_report(settled(n), settled(100, seed=2), window="night")
    assert report.status == "not_enough_games"
    assert report.body["message"] == f"not enough games (n={n}): a report needs 5"
    assert report.body["evidently"] is None
    assert report_html(report.stored()) is None
    json.dumps(report.body, allow_nan=False)


def test_an_all_nan_column_counts_as_no_games() -> None:
    frame = settled(30).assign(point=np.nan)
    assert build_evidently_report(frame, window="night").body["message"] == "not enough games (n=0): a report needs 5"


def test_a_night_has_quality_but_no_verdict_on_drift() -> None:
    report = build_evidently_report(settled(8), settled(400, seed=2), window="night")
    assert report.status == "ok"
    assert report.body["drift"] == []
    assert report.body["notes"] == ["drift is not judged: not enough games (n=8), it needs 20"]
    assert report.body["figures"]["mae"] > 0
    assert report.body["figures"]["coverage_lower"] < report.body["figures"]["coverage"]


def test_quality_equals_plain_arithmetic(week: EvidentlyReport) -> None:
    frame = settled(50)
    errors = frame["actual"] - frame["point"]
    metrics = {part["config"]["type"].split(":")[-1]: part["value"] for part in week.body["evidently"]["metrics"]}
    assert metrics["MAE"]["mean"] == pytest.approx(errors.abs().mean())
    assert metrics["RMSE"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert week.body["figures"]["mae"] == pytest.approx(errors.abs().mean())


def test_same_league_is_not_flagged(week: EvidentlyReport) -> None:
    assert [entry["column"] for entry in week.body["drift"]] == [*PATTERN, "residual"]
    assert not any(entry["drifted"] for entry in week.body["drift"])


def test_every_test_is_ours_and_none_a_default_made_for_large_samples(week: EvidentlyReport) -> None:
    tested = [entry["test"].partition(":")[0] for entry in week.body["tests"]]
    widths, skills = ["Mean width of the intervals, points"], ["Skill in squared error against persistence"]
    assert tested == ["Mean Error", "Mean Error", "Coverage", "Coverage", *widths, *skills]
    assert len(week.body["evidently"]["tests"]) == len(tested)


def test_planted_drift_is_found() -> None:
    report = build_evidently_report(settled(50, shift=12), settled(400, seed=2), window="week")
    drifted = {entry["column"] for entry in report.body["drift"] if entry["drifted"]}
    assert "lead" in drifted
    assert "swing" not in drifted


def test_body_is_valid_json_and_small(week: EvidentlyReport) -> None:
    assert len(json.dumps(week.body, allow_nan=False)) < 40_000


def test_the_same_games_give_the_same_body(week: EvidentlyReport) -> None:
    again = build_evidently_report(settled(50), settled(400, seed=2), window="week", model_version="3")
    assert again.body == week.body


def test_columns_unknown_or_constant_are_left_out_by_name() -> None:
    reference = settled(100, seed=2).assign(residual=np.nan, swing=1.0)
    body = build_evidently_report(settled(30), reference, window="week").body
    assert {name: body["left_out"][name] for name in ("swing", "residual")} == {
        "swing": "constant in the reference",
        "residual": "known for 0 of 100 games of the reference",
    }
    assert [entry["column"] for entry in body["drift"]] == ["minute_6", "minute_12", "lead", "volatility"]


def test_history_serves_as_reference_with_or_without_residuals() -> None:
    rng = np.random.default_rng(3)
    margins = np.concatenate([np.zeros((60, 1)), np.cumsum(rng.integers(-3, 4, (60, 48)), axis=1)], axis=1)
    body = build_evidently_report(settled(30), history_frame(margins), window="week").body
    assert [entry["column"] for entry in body["drift"]] == list(PATTERN)
    frame = history_frame(margins, residuals=margins[:, 24] - margins[:, 18])
    assert (frame["lead"] == margins[:, 18]).all()
    assert (frame["swing"] == margins[:, 18] - margins[:, 12]).all()
    with pytest.raises(ReportError, match="2 residuals for 60 games"):
        history_frame(margins, residuals=np.zeros(2))


def test_no_reference_still_gives_quality() -> None:
    body = build_evidently_report(settled(30), None, window="week").body
    assert body["evidently"]["metrics"]
    assert body["left_out"]["lead"] == "not enough games (n=0) in the reference: 20"


def test_a_frame_without_a_column_is_refused() -> None:
    with pytest.raises(ReportError, match="lacks volatility"):
        build_evidently_report(settled(30).drop(columns="volatility"), window="week")


def test_empty_frames_have_every_column() -> None:
    assert list(settled_frame([]).columns) == list(COLUMNS)
    assert list(history_frame(np.zeros((0, 49))).columns) == list(COLUMNS)


def test_threshold_widens_for_few_games_and_never_below_a_real_effect() -> None:
    assert drift_threshold(20, 1000) > drift_threshold(50, 1000) > drift_threshold(1000, 1000) == 0.25


def test_not_finite_becomes_null() -> None:
    assert finite_json({"a": [float("nan"), 1.0, {"b": float("inf")}]}) == {"a": [None, 1.0, {"b": None}]}


def test_a_clean_recorded_season_is_not_flagged(recorded: Path) -> None:
    games = pd.read_parquet(recorded / "games.parquet")
    columns = [name for name in games.columns if name.startswith("diff_")]
    frames = []
    for season in (2022, 2021):
        margins = games.loc[games["season"] == season, columns].to_numpy()
        frames.append(history_frame(margins, residuals=margins[:, 24] - margins[:, 18]).assign(point=margins[:, 18]))
    report = build_evidently_report(*frames, window="season of 2022-23")
    assert report.body["n"] > 1000
    assert {entry["column"]: entry["drifted"] for entry in report.body["drift"]} == dict.fromkeys(
        [*PATTERN, "residual"], False
    )
