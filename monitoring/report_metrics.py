"""Evidently's metrics over settled forecasts: its own for errors and drift, ours for coverage, width and skill.

Imported only by the process that makes a report: Evidently costs two seconds and 300 MB.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Regression, Report
from evidently.core.metric_types import SingleValueCalculation, SingleValueMetric
from evidently.core.report import Context, Snapshot
from evidently.metrics import MAE, RMSE, AbsMaxError, MeanError
from evidently.presets import DataDriftPreset
from evidently.tests import gte, lte

from monitoring.report_figures import bias_bound, coverage_bounds, width_bound
from monitoring.report_frames import JUDGED_COLUMNS, QUALITY_COLUMNS


class Coverage(SingleValueMetric):
    """Share of intervals that held the outcome."""


class CoverageCalculation(SingleValueCalculation[Coverage]):
    """The mean of ``covered``."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset | None) -> Any:
        """From 0 to 1; the reference was never forecast and has none."""
        return self.result(float(current_data.column("covered").data.mean())), None

    def display_name(self) -> str:
        """As it stands on the page."""
        return "Coverage: share of intervals that held the outcome"


class MeanWidth(SingleValueMetric):
    """Mean width of the intervals, points."""


class MeanWidthCalculation(SingleValueCalculation[MeanWidth]):
    """The mean of ``upper`` minus ``lower``."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset | None) -> Any:
        """Points; the reference was never forecast and has none."""
        width = current_data.column("upper").data - current_data.column("lower").data
        return self.result(float(width.mean())), None

    def display_name(self) -> str:
        """As it stands on the page."""
        return "Mean width of the intervals, points"


class Skill(SingleValueMetric):
    """Skill in squared error against persistence."""


class SkillCalculation(SingleValueCalculation[Skill]):
    """One minus the ratio of the squared errors."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset | None) -> Any:
        """1 is perfect, 0 persistence itself."""
        actual = current_data.column("actual").data
        ours, theirs = actual - current_data.column("point").data, actual - current_data.column("persistence").data
        return self.result(1.0 - float((ours**2).sum() / (theirs**2).sum())), None

    def display_name(self) -> str:
        """As it stands on the page."""
        return "Skill in squared error against persistence"


def run_report(
    games: pd.DataFrame,
    reference: pd.DataFrame | None,
    columns: list[str],
    threshold: float | None,
    *,
    alpha: float,
    figures: dict[str, float | None],
    name: str,
    at: datetime | None = None,
) -> Snapshot:
    """Evidently over ``games``, with drift of ``columns`` against ``reference`` where ``threshold`` is given; ``at`` is
    the snapshot's place in time, now when unset."""
    judged = bool(np.isfinite(games[list(JUDGED_COLUMNS)].to_numpy(dtype=float)).all())
    kept = [*QUALITY_COLUMNS, *columns, *(JUDGED_COLUMNS if judged else ())]
    definition = DataDefinition(
        numerical_columns=kept, regression=[Regression(target=QUALITY_COLUMNS[0], prediction=QUALITY_COLUMNS[1])]
    )
    metrics = _quality(games) + (_promises(games, reference, alpha, figures) if judged else [])
    compared = None
    if columns and reference is not None and threshold is not None:
        metrics.append(DataDriftPreset(columns=columns, num_method="wasserstein", num_threshold=threshold))
        known = np.isfinite(reference[list(QUALITY_COLUMNS)].to_numpy(dtype=float)).all()
        # Evidently scores the reference too: where it was never forecast, persistence stands in. A game whose lead is
        # not known counts with no error, since Evidently refuses a column with gaps.
        persistence = reference["lead"].fillna(reference["actual"])
        scored = reference[kept] if known else reference[kept].assign(point=persistence)
        compared = Dataset.from_pandas(scored.astype(float).reset_index(drop=True), definition)
    return Report(metrics).run(Dataset.from_pandas(games[kept], definition), compared, name=name, timestamp=at)


def _quality(games: pd.DataFrame) -> list[Any]:
    # The parts of RegressionPreset that mean something for margins: a percentage error of a margin of 0 does not. Its
    # default tests ("equal to the reference within 10%") are noise for a week of games and are left out.
    bound = bias_bound(games)
    return [
        MAE(mean_tests=[], std_tests=[]),
        MeanError(mean_tests=[gte(-bound), lte(bound)], std_tests=[], error_plot=False),
        # The distribution of errors stands once, with the first of them.
        RMSE(tests=[], error_distr=False),
        AbsMaxError(tests=[]),
    ]


def _promises(
    games: pd.DataFrame, reference: pd.DataFrame | None, alpha: float, figures: dict[str, float | None]
) -> list[Any]:
    low, high = coverage_bounds(len(games), alpha)
    width = width_bound(reference, alpha)
    found: list[Any] = [
        Coverage(tests=[gte(low), lte(high)]),
        MeanWidth(tests=[] if width is None else [lte(width)]),
    ]
    skill, upper = figures["skill"], figures["skill_upper"]
    if skill is not None and upper is not None:
        # It fails when even the upper end of the skill's own 95% range is below 0, which is persistence.
        found.append(Skill(tests=[gte(skill - upper)]))
    return found
