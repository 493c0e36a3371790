"""Flat figures of settled forecasts, and how far each may go before it is more than chance."""

from __future__ import annotations

import math

import pandas as pd
from scipy.stats import binom

from monitoring.evidence import coverage_estimate, skill_estimate
from monitoring.report_frames import finite_rows

FIGURES = (
    *("mae", "rmse", "bias", "mae_persistence", "rmse_persistence", "skill", "skill_lower", "skill_upper"),
    *("coverage", "coverage_lower", "coverage_upper", "mean_width"),
)
# A shift below a quarter of a standard deviation is not worth a person's time at any sample size.
MIN_EFFECT = 0.25
# Two samples of one distribution are, at the 99.9th percentile, 3.1 times the root of the summed 1 / n apart;
# games of a week share teams, which adds to it. Eight columns then flag about one clean week in a hundred.
NOISE = 3.6
# Each test of a figure may fail by chance in so many windows of a model that keeps its promises.
TEST_RISK = 0.005
# A forecast whose intervals are wider than those persistence would need, by this factor, says nothing.
WIDTH_FACTOR = 1.25


def drift_threshold(n: int, n_reference: int) -> float:
    """Distance in reference standard deviations above which a column counts as drifted, for these sample sizes."""
    return max(MIN_EFFECT, NOISE * math.sqrt(1 / n + 1 / n_reference))


def coverage_bounds(n: int, alpha: float) -> tuple[float, float]:
    """Between which shares the coverage of ``n`` intervals at 1 - ``alpha`` lies, but for TEST_RISK on each side."""
    low, high = binom.ppf([TEST_RISK, 1 - TEST_RISK], n, 1 - alpha)
    return float(low) / n, float(high) / n


def bias_bound(games: pd.DataFrame) -> float:
    """How far from 0 the mean error may be, in points: a quarter of the errors' standard deviation, more for few."""
    errors = games["actual"] - games["point"]
    return float(errors.std(ddof=0)) * max(MIN_EFFECT, 2.81 / math.sqrt(len(errors)))


def width_bound(reference: pd.DataFrame | None, alpha: float) -> float | None:
    """WIDTH_FACTOR times the width that intervals around the margin at the forecast would have needed in the reference
    (points); None without one."""
    if reference is None or reference.empty:
        return None
    changes = (reference["actual"] - reference["lead"]).abs().dropna()
    return WIDTH_FACTOR * 2 * float(changes.quantile(1 - alpha)) if len(changes) else None


def flat_figures(games: pd.DataFrame) -> dict[str, float | None]:
    """FIGURES of settled forecasts (COLUMNS): points, shares from 0 to 1; None where too few games carry it."""
    figures: dict[str, float | None] = dict.fromkeys(FIGURES)
    if games.empty:
        return figures
    errors = games["actual"] - games["point"]
    figures |= {"mae": errors.abs().mean(), "rmse": math.sqrt((errors**2).mean()), "bias": errors.mean()}
    paired = finite_rows(games, ("persistence",))
    if not paired.empty:
        baseline = paired["actual"] - paired["persistence"]
        figures |= {"mae_persistence": baseline.abs().mean(), "rmse_persistence": math.sqrt((baseline**2).mean())}
        skill = skill_estimate((paired["actual"] - paired["point"]).tolist(), baseline.tolist())
        if skill:
            figures |= {"skill": skill.value, "skill_lower": skill.lower, "skill_upper": skill.upper}
    judged = finite_rows(games, ("covered", "lower", "upper"))
    coverage = coverage_estimate(int(judged["covered"].sum()), len(judged))
    if coverage:
        figures |= {"coverage": coverage.value, "coverage_lower": coverage.lower, "coverage_upper": coverage.upper}
        figures["mean_width"] = (judged["upper"] - judged["lower"]).mean()
    return {name: None if value is None else float(value) for name, value in figures.items()}
