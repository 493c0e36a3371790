"""Figures over rolling windows as metric families: of every minute, by line of models and by version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from monitoring.alarm_families import level_of
from monitoring.evidence import MIN_GAMES, coverage_estimate
from monitoring.rows import WindowRow

WINDOW_LABELS = ("source", "by", "model", "level", "minute", "window")
_TEXTS = {
    "settled_games": "Settled forecasts of one minute, by window",
    "coverage": "Share of intervals that held the outcome, by minute and window",
    "coverage_lower": "Lower end of its exact 95% interval",
    "coverage_upper": "Upper end of its exact 95% interval",
    "interval_mean_width_points": "Mean width of the intervals, by minute and window",
    "mae_points": "Mean absolute error, by minute and window",
    "mae_persistence_points": "The same of persistence on the same games",
    "rmse_points": "Root of the mean squared error, by minute and window",
    "rmse_persistence_points": "The same of persistence on the same games",
    "skill": "1 - MSE / MSE of persistence on the same games, by minute and window",
}


def window_families(rows: Sequence[WindowRow]) -> Iterator[Metric]:
    """How the forecasts of each minute did over each window; figures of MIN_GAMES settled games and more."""
    families = {
        name: GaugeMetricFamily(f"halftime_window_{name}", text, labels=WINDOW_LABELS) for name, text in _TEXTS.items()
    }
    for row in rows:
        labels = (row.source, row.by, row.model, level_of(row.alpha), str(row.minute), row.window)
        for name, value in _values(row).items():
            families[name].add_metric(labels, value)
    yield from families.values()


def _values(row: WindowRow) -> dict[str, float]:
    values = {"settled_games": float(row.games)}
    coverage = coverage_estimate(row.covered, row.games)
    if row.games < MIN_GAMES or coverage is None:
        return values
    values |= {
        "coverage": coverage.value,
        "coverage_lower": coverage.lower,
        "coverage_upper": coverage.upper,
        "interval_mean_width_points": row.mean_width,
        "mae_points": row.mae,
        "mae_persistence_points": row.mae_persistence,
        "rmse_points": row.rmse,
        "rmse_persistence_points": row.rmse_persistence,
    }
    if row.skill is not None:
        values["skill"] = row.skill
    return values
