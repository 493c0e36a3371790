"""Walking a season by date: what the errors of earlier dates say about the games of this one.

A forecast made on a league date may use the errors of the calibration games and of the season's earlier dates, never
one of its own date: all games of a night are forecast before any of them is settled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.conformal import conformal_quantile, nonconformity
from models.distribution import conformal_pmfs

LEVELS = (0.8, 0.9, 0.95)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predictions:
    """n forecasts: ``points`` float64[n]; ``lower`` and ``upper`` float64[n, 3] of the intervals at LEVELS; ``first``
    int[n] and ``pmf`` float64[n, k], P(margin = first[g] + i) = pmf[g, i]."""

    points: Floats
    lower: Floats
    upper: Floats
    first: NDArray[np.int64]
    pmf: Floats


def dates_of(dates: NDArray[np.datetime64]) -> Iterator[slice]:
    """The rows of each date of ascending ``dates``, oldest first."""
    starts = np.flatnonzero(np.concatenate([[True], dates[1:] != dates[:-1]]))
    for start, stop in zip(starts, [*starts[1:], len(dates)], strict=True):
        yield slice(int(start), int(stop))


def rolled(past: Floats, points: Floats, actual: Floats, dates: NDArray[np.datetime64], window: int) -> Predictions:
    """Point and the newest ``window`` errors, those of the season's earlier dates included.

    ``past`` float64[c] are the calibration games' errors (actual less point), oldest first; ``points``, ``actual``
    float64[n] and ``dates`` [n] those of the season, ascending. Raises CalibrationTooSmall.
    """
    errors = np.concatenate([past, actual - points])
    pools = ((rows, errors[: len(past) + rows.start][-window:]) for rows in dates_of(dates))
    return _predict(points, pools)


def fixed(past: Floats, points: Floats, dates: NDArray[np.datetime64]) -> Predictions:
    """Point and the calibration games' errors, the same all season long. Raises CalibrationTooSmall."""
    return _predict(points, ((rows, past) for rows in dates_of(dates)))


def _predict(points: Floats, pools: Iterator[tuple[slice, Floats]]) -> Predictions:
    half_widths = np.empty((len(points), len(LEVELS)))
    first, parts = np.empty(len(points), dtype=np.int64), []
    for rows, errors in pools:
        scores, ordered = np.sort(nonconformity(errors)), np.sort(errors)
        half_widths[rows] = [conformal_quantile(scores, 1.0 - level) for level in LEVELS]
        first[rows], part = conformal_pmfs(points[rows], ordered)
        parts.append(part)
    pmf = np.zeros((len(points), max(part.shape[1] for part in parts)))
    row = 0
    for part in parts:
        pmf[row : row + len(part), : part.shape[1]] = part
        row += len(part)
    return Predictions(points, points[:, None] - half_widths, points[:, None] + half_widths, first, pmf)
