"""Figures and plot columns of a trained model, always beside persistence on the same games."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import metrics
from models.conformal import conformal_quantile, games_needed, nonconformity
from models.scoring import crps_discrete
from models.shape import LARGEST_CHANGE, corrected, correction, pit_ends

Floats = NDArray[np.float64]
Figures = dict[str, float]
Plots = dict[str, dict[str, list[float]]]

_LEVELS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """n answered forecasts: ``points``, ``persistence`` and ``actual`` float64[n] in points, league ``dates`` [n], and
    ``shapes`` float64[n, 161] of the change before calibration, where the distribution is to be scored."""

    points: Floats
    persistence: Floats
    actual: Floats
    dates: NDArray[np.datetime64]
    shapes: Floats | None = None

    @property
    def changes(self) -> NDArray[np.int64]:
        """What happened after the forecast, whole points."""
        return np.rint(self.actual - self.persistence).astype(np.int64)

    @property
    def residuals(self) -> Floats:
        """actual - point."""
        return self.actual - self.points

    @property
    def persistence_residuals(self) -> Floats:
        """actual - persistence."""
        return self.actual - self.persistence

    def take(self, rows: NDArray[Any] | slice) -> Outcomes:
        """The forecasts at ``rows``."""
        shapes = None if self.shapes is None else self.shapes[rows]
        return Outcomes(self.points[rows], self.persistence[rows], self.actual[rows], self.dates[rows], shapes)


def figures_of(
    pool: Mapping[tuple[int, bool], Outcomes],
    scored: Mapping[tuple[int, bool], Outcomes],
    alpha: float,
    minute: int,
) -> Figures:
    """Figures of ``scored`` at ``minute``, calibrated on ``pool``: with a rating under plain names, without one under
    names ending in ``_unrated``; empty when the model does not answer at ``minute``."""
    figures: Figures = {}
    for rated, suffix in ((True, ""), (False, "_unrated")):
        case = (minute, rated)
        if case in scored:
            found = _case_figures(pool[case], scored[case], alpha)
            figures |= {f"{name}{suffix}": value for name, value in found.items()}
    return figures


def _case_figures(pool: Outcomes, seen: Outcomes, alpha: float) -> Figures:
    ours, theirs = seen.residuals, seen.persistence_residuals
    half_width = conformal_quantile(np.sort(nonconformity(pool.residuals)), alpha)
    lower, upper = seen.points - half_width, seen.points + half_width
    covered = metrics.coverage(lower, upper, seen.actual)
    crps = _crps(pool, seen)
    crps_persistence = metrics.crps_shifted(pool.persistence_residuals, theirs)
    squared = metrics.skill(ours**2, theirs**2, seen.dates)
    graded = metrics.skill(crps, crps_persistence, seen.dates)
    return {
        "games_test": float(len(ours)),
        "rmse": metrics.rmse(ours),
        "rmse_persistence": metrics.rmse(theirs),
        "mae": metrics.mae(ours),
        "mae_persistence": metrics.mae(theirs),
        "bias": float(np.mean(ours)),
        "crps": float(np.mean(crps)),
        "crps_persistence": float(np.mean(crps_persistence)),
        "alpha": alpha,
        "coverage": covered.rate,
        "mean_width": covered.mean_width,
        "interval_score": float(np.mean(metrics.interval_score(lower, upper, seen.actual, alpha))),
        "skill_squared": squared.value,
        "skill_squared_lower": squared.lower,
        "skill_squared_upper": squared.upper,
        "skill_crps": graded.value,
        "skill_crps_lower": graded.lower,
        "skill_crps_upper": graded.upper,
    }


def _crps(pool: Outcomes, seen: Outcomes) -> Floats:
    """CRPS of the distributions of ``seen``, calibrated on ``pool``."""
    if pool.shapes is None or seen.shapes is None:
        raise ValueError("distributions are scored where both pool and scored outcomes have shapes")
    shapes = corrected(seen.shapes, correction(*pit_ends(pool.shapes, pool.changes)))
    first = np.full(len(shapes), -LARGEST_CHANGE, dtype=np.int64)
    return crps_discrete(first, shapes / shapes.sum(axis=1, keepdims=True), seen.changes)


def plots_of(
    pool: Mapping[tuple[int, bool], Outcomes], scored: Mapping[tuple[int, bool], Outcomes], minute: int
) -> Plots:
    """Columns to plot: ``reliability`` (nominal against observed coverage, mean width), ``errors`` (residual histogram
    beside persistence), ``by_minute`` (RMSE of each minute beside persistence)."""
    plots: Plots = {}
    if (minute, True) in scored:
        plots["reliability"] = _reliability(pool[minute, True], scored[minute, True])
        plots["errors"] = _histogram(scored[minute, True])
    minutes = sorted(at for at, rated in scored if rated)
    plots["by_minute"] = {
        "minute": [float(at) for at in minutes],
        "rmse": [metrics.rmse(scored[at, True].residuals) for at in minutes],
        "rmse_unrated": [metrics.rmse(scored[at, False].residuals) for at in minutes],
        "rmse_persistence": [metrics.rmse(scored[at, True].persistence_residuals) for at in minutes],
    }
    return plots


def _reliability(pool: Outcomes, seen: Outcomes) -> dict[str, list[float]]:
    scores = np.sort(nonconformity(pool.residuals))
    levels = [level for level in _LEVELS if games_needed(1.0 - level) <= len(scores)]
    half_widths = [conformal_quantile(scores, 1.0 - level) for level in levels]
    sizes = nonconformity(seen.residuals)
    return {
        "nominal": levels,
        "observed": [float(np.mean(sizes <= half_width)) for half_width in half_widths],
        "width": [2.0 * half_width for half_width in half_widths],
    }


def _histogram(seen: Outcomes) -> dict[str, list[float]]:
    edges = np.arange(-30.5, 31.5, 1.0)
    ours, _ = np.histogram(np.clip(seen.residuals, -30.0, 30.0), bins=edges)
    theirs, _ = np.histogram(np.clip(seen.persistence_residuals, -30.0, 30.0), bins=edges)
    centres = (edges[:-1] + edges[1:]) / 2.0
    return {
        "error": centres.tolist(),
        "games": ours.astype(float).tolist(),
        "persistence": theirs.astype(float).tolist(),
    }
