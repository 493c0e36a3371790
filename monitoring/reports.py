"""Evidently over settled official forecasts: what came in and how good it was, against a reference.

Built for few games. Drift is an effect size (Wasserstein distance in standard deviations of the reference), never a
p-value, and its threshold widens with the noise of the sample. Below MIN_GAMES nothing is computed and the body says
so; below MIN_DRIFT_GAMES the quality figures stand alone. Columns that are empty, infinite or constant are left out by
name, since one of them makes Evidently refuse the whole report.

The body is what goes into the table `reports` (kind ``evidently``); the page is rendered on demand.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from monitoring.evidence import coverage_estimate, skill_estimate
from monitoring.rows import SettledRow

if TYPE_CHECKING:
    from evidently.core.report import Snapshot

KIND = "evidently"
MIN_GAMES = 5
MIN_DRIFT_GAMES = 20
# A shift below a quarter of a standard deviation is not worth a person's time at any sample size.
MIN_EFFECT = 0.25
# 99th percentile of the distance between two samples of one distribution is about NOISE / sqrt(n), by simulation.
NOISE = 3.0
SWING_MINUTES = 6
DRIFT_COLUMNS = ("lead", "swing", "volatility", "residual")
QUALITY_COLUMNS = ("actual", "point")
COLUMNS = (*DRIFT_COLUMNS, *QUALITY_COLUMNS, "persistence", "lower", "upper", "covered")
FIGURES = (
    *("mae", "rmse", "bias", "mae_persistence", "rmse_persistence", "skill", "skill_lower", "skill_upper"),
    *("coverage", "coverage_lower", "coverage_upper", "mean_width"),
)


class ReportError(ValueError):
    """A frame no report can be made of; the message names the column."""


@dataclass(frozen=True)
class EvidentlyReport:
    """``body`` is valid JSON (no NaN) for JSONB; ``status`` is ok or not_enough_games."""

    body: dict[str, Any]
    snapshot: Snapshot | None = field(default=None, repr=False, compare=False)

    @property
    def status(self) -> str:
        """ok, or not_enough_games."""
        return str(self.body["status"])

    def html(self) -> str | None:
        """Evidently's own page (about 4 MB, self-contained), None when there was nothing to compute."""
        return None if self.snapshot is None else str(self.snapshot.get_html_str(as_iframe=False))


def settled_frame(rows: Iterable[SettledRow]) -> pd.DataFrame:
    """One line a settled forecast: columns COLUMNS, points. ``residual`` is actual minus point."""
    lines = []
    for row in rows:
        lead, swing, volatility = _features(row.pattern)
        judged = (row.actual - row.point, row.actual, row.point, row.persistence, row.lower, row.upper, row.covered)
        lines.append((lead, swing, volatility, *map(float, judged)))
    return pd.DataFrame(lines, columns=list(COLUMNS), dtype=float)


def history_frame(
    margins: npt.NDArray[Any], minute: int = 18, residuals: npt.NDArray[Any] | None = None
) -> pd.DataFrame:
    """A reference from history: ``margins`` [n, 49] with margin(0) first, ``residuals`` [n] (calibration) if known.

    Columns that history does not know are NaN and therefore left out of the comparison.
    """
    frame = pd.DataFrame(np.nan, index=range(len(margins)), columns=list(COLUMNS), dtype=float)
    if len(margins):
        features = [_features(line[1 : minute + 1]) for line in np.asarray(margins, dtype=float)]
        frame[["lead", "swing", "volatility"]] = features
        frame["actual"] = np.asarray(margins, dtype=float)[:, 24]
    if residuals is not None:
        if len(residuals) != len(margins):
            raise ReportError(f"{len(residuals)} residuals for {len(margins)} games: give one a game or none")
        frame["residual"] = np.asarray(residuals, dtype=float)
    return frame


def build_evidently_report(
    current: pd.DataFrame, reference: pd.DataFrame | None = None, *, window: str, model_version: str | None = None
) -> EvidentlyReport:
    """Compare ``current`` with ``reference``; both have COLUMNS. Never raises for small, empty or NaN data.

    ``window`` says in words what ``current`` holds. Raises ReportError when a column is absent.
    """
    for name, frame in (("current", current), ("reference", reference)):
        absent = [column for column in COLUMNS if frame is not None and column not in frame.columns]
        if absent:
            raise ReportError(
                f"the {name} frame lacks {', '.join(absent)}: make it with settled_frame or history_frame"
            )
    games = _finite_rows(current, QUALITY_COLUMNS)
    body: dict[str, Any] = {
        "window": window,
        "model_version": model_version,
        "n": len(games),
        "n_reference": 0 if reference is None else len(reference),
        "figures": _figures(games),
        "drift": [],
        "left_out": {},
        "notes": [],
        "evidently": None,
    }
    if len(games) < MIN_GAMES:
        message = f"not enough settled games: {len(games)} of {MIN_GAMES}"
        return EvidentlyReport({"status": "not_enough_games", "message": message} | body)
    columns, left_out = _comparable(games, reference)
    body["left_out"] = left_out
    if len(games) < MIN_DRIFT_GAMES:
        body["notes"].append(f"drift is not judged: {len(games)} of {MIN_DRIFT_GAMES} settled games")
        columns = []
    threshold = drift_threshold(len(games), body["n_reference"]) if columns else None
    snapshot = _run(games, reference, columns, threshold)
    body["evidently"] = finite_json(json.loads(snapshot.json()))
    body["drift"] = _drift(body["evidently"], threshold)
    return EvidentlyReport({"status": "ok", "message": f"{len(games)} settled games"} | body, snapshot)


def drift_threshold(n: int, n_reference: int) -> float:
    """Distance in reference standard deviations above which a column counts as drifted, for these sample sizes."""
    return max(MIN_EFFECT, NOISE * math.sqrt(1 / n + 1 / n_reference))


def finite_json(value: Any) -> Any:
    """``value`` with NaN and infinities as null, which JSONB and strict parsers need."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite_json(part) for part in value]
    return value


def _features(pattern: Sequence[float] | npt.NDArray[Any]) -> tuple[float, float, float]:
    """Lead at the forecast, its change over the last six minutes, SD of the minute-to-minute change (points)."""
    path = np.concatenate([[0.0], np.asarray(pattern, dtype=float)])
    swing = path[-1] - path[max(len(path) - 1 - SWING_MINUTES, 0)]
    return float(path[-1]), float(swing), float(np.diff(path).std()) if len(path) > 1 else math.nan


def _finite_rows(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    kept = np.isfinite(frame[list(columns)].to_numpy(dtype=float)).all(axis=1)
    rows: pd.DataFrame = frame.loc[kept, list(COLUMNS)]
    return rows.astype(float).reset_index(drop=True)


def _figures(games: pd.DataFrame) -> dict[str, float | None]:
    """Flat figures, each None where too few games carry it."""
    figures: dict[str, float | None] = dict.fromkeys(FIGURES)
    if games.empty:
        return figures
    errors = games["actual"] - games["point"]
    figures |= {"mae": errors.abs().mean(), "rmse": math.sqrt((errors**2).mean()), "bias": errors.mean()}
    paired = _finite_rows(games, ("persistence",))
    if not paired.empty:
        baseline = paired["actual"] - paired["persistence"]
        figures |= {"mae_persistence": baseline.abs().mean(), "rmse_persistence": math.sqrt((baseline**2).mean())}
        skill = skill_estimate((paired["actual"] - paired["point"]).tolist(), baseline.tolist())
        if skill:
            figures |= {"skill": skill.value, "skill_lower": skill.lower, "skill_upper": skill.upper}
    judged = _finite_rows(games, ("covered", "lower", "upper"))
    coverage = coverage_estimate(int(judged["covered"].sum()), len(judged))
    if coverage:
        figures |= {"coverage": coverage.value, "coverage_lower": coverage.lower, "coverage_upper": coverage.upper}
        figures["mean_width"] = (judged["upper"] - judged["lower"]).mean()
    return {name: None if value is None else float(value) for name, value in figures.items()}


def _comparable(games: pd.DataFrame, reference: pd.DataFrame | None) -> tuple[list[str], dict[str, str]]:
    """Columns both samples can be compared in, and why the others cannot."""
    if reference is None or len(reference) < MIN_DRIFT_GAMES:
        size = 0 if reference is None else len(reference)
        return [], dict.fromkeys(DRIFT_COLUMNS, f"the reference has {size} of {MIN_DRIFT_GAMES} games")
    left_out: dict[str, str] = {}
    for column in DRIFT_COLUMNS:
        for name, frame in (("these games", games), ("the reference", reference)):
            values = frame[column].to_numpy(dtype=float)
            if not np.isfinite(values).all():
                left_out.setdefault(column, f"not known for all of {name}")
            elif name == "the reference" and values.std() < 1e-9:
                left_out.setdefault(column, f"constant in {name}")
    return [column for column in DRIFT_COLUMNS if column not in left_out], left_out


def _run(games: pd.DataFrame, reference: pd.DataFrame | None, columns: list[str], threshold: float | None) -> Snapshot:
    # Two seconds and 300 MB: imported only by the process that makes a report.
    from evidently import DataDefinition, Dataset, Regression, Report
    from evidently.metrics import MAE, RMSE, AbsMaxError, MeanError
    from evidently.presets import DataDriftPreset

    # The parts of RegressionPreset that mean something for margins: a percentage error of a margin of 0 does not. No
    # tests: "equal to the reference within 10%" is noise for a week of games, and the verdict on drift is our own.
    metrics: list[Any] = [
        MAE(mean_tests=[], std_tests=[]),
        MeanError(mean_tests=[], std_tests=[]),
        RMSE(tests=[]),
        AbsMaxError(tests=[]),
    ]
    kept = [*QUALITY_COLUMNS, *columns]
    definition = DataDefinition(
        numerical_columns=kept, regression=[Regression(target=QUALITY_COLUMNS[0], prediction=QUALITY_COLUMNS[1])]
    )
    compared = None
    if columns and reference is not None:
        metrics.append(DataDriftPreset(columns=columns, num_method="wasserstein", num_threshold=threshold))
        known = np.isfinite(reference[list(QUALITY_COLUMNS)].to_numpy(dtype=float)).all()
        # Evidently scores the reference too; where it was never forecast its own outcome stands in, with no error.
        scored = reference[kept] if known else reference[kept].assign(point=reference["actual"])
        compared = Dataset.from_pandas(scored.astype(float).reset_index(drop=True), definition)
    return Report(metrics).run(Dataset.from_pandas(games[kept], definition), compared)


def _drift(body: dict[str, Any], threshold: float | None) -> list[dict[str, Any]]:
    found = []
    for metric in body["metrics"]:
        if metric["config"]["type"].endswith(":ValueDrift"):
            distance = metric["value"]
            drifted = distance is not None and threshold is not None and distance >= threshold
            found.append(
                {"column": metric["config"]["column"], "distance": distance, "threshold": threshold, "drifted": drifted}
            )
    return found
