"""How good forecasts were. Arrays of n forecasts in, plain floats out; smaller is better except skill and coverage.

CRPS, interval score and pinball are proper: no forecaster gains by saying other than it believes (Gneiting and
Raftery 2007). Coverage is given together with width, because either alone is easy to make look good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Share of ``n`` outcomes inside their closed interval, and the intervals' mean width in points."""

    rate: float
    mean_width: float
    n: int


@dataclass(frozen=True, slots=True)
class Skill:
    """1 - loss / loss of the baseline: 0 is no better, 1 is perfect. ``lower``..``upper`` is a bootstrap range."""

    value: float
    lower: float
    upper: float
    level: float


def mae(errors: ArrayLike) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(_some(errors))))


def rmse(errors: ArrayLike) -> float:
    """Root mean square error."""
    return float(np.sqrt(np.mean(_some(errors) ** 2)))


def crps_sample(sample: ArrayLike, actual: float) -> float:
    """CRPS of the empirical distribution of ``sample`` [m] at ``actual``: E|X - y| - E|X - X'| / 2."""
    values = np.sort(_some(sample))
    return float(np.mean(np.abs(values - actual)) - _half_mean_difference(values))


def crps_shifted(pool: ArrayLike, errors: ArrayLike) -> Floats:
    """CRPS [n] of forecasts "point plus a residual out of ``pool`` [m]"; ``errors`` [n] are actual minus point."""
    values, gaps = np.sort(_some(pool)), _some(errors)
    below = np.searchsorted(values, gaps)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    absolute = (2 * below - len(values)) * gaps + sums[-1] - 2 * sums[below]
    scores: Floats = absolute / len(values) - _half_mean_difference(values)
    return scores


def crps_gaussian(mean: ArrayLike, sd: ArrayLike, actual: ArrayLike) -> Floats:
    """CRPS [n] of normal forecasts, closed form of Gneiting et al. 2005. Raises ValueError unless every sd > 0."""
    spread = np.asarray(sd, dtype=np.float64)
    if not (spread > 0).all():
        raise ValueError(f"sd {spread.min()}: a normal forecast needs a positive spread")
    z = np.atleast_1d((np.asarray(actual, dtype=np.float64) - np.asarray(mean, dtype=np.float64)) / spread)
    below = 0.5 * (1.0 + np.array([math.erf(value / math.sqrt(2.0)) for value in z]))
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    scores: Floats = spread * (z * (2.0 * below - 1.0) + 2.0 * density - 1.0 / math.sqrt(math.pi))
    return scores


def coverage(lower: ArrayLike, upper: ArrayLike, actual: ArrayLike) -> Coverage:
    """Coverage with mean width of closed intervals."""
    low, high, seen = _some(lower), _some(upper), _some(actual)
    return Coverage(float(np.mean((low <= seen) & (seen <= high))), float(np.mean(high - low)), len(seen))


def interval_score(lower: ArrayLike, upper: ArrayLike, actual: ArrayLike, alpha: float) -> Floats:
    """Winkler's interval score [n] (1972): width plus 2 / alpha for each point by which the outcome lies outside."""
    low, high, seen = _some(lower), _some(upper), _some(actual)
    outside = np.maximum(low - seen, 0.0) + np.maximum(seen - high, 0.0)
    scores: Floats = high - low + (2.0 / alpha) * outside
    return scores


def pinball(quantile: ArrayLike, actual: ArrayLike, level: float) -> Floats:
    """Pinball loss [n] of a forecast ``level`` quantile."""
    gap = _some(actual) - _some(quantile)
    loss: Floats = np.maximum(level * gap, (level - 1.0) * gap)
    return loss


def skill(
    losses: ArrayLike, baseline: ArrayLike, clusters: ArrayLike, level: float = 0.95, draws: int = 2000, seed: int = 1
) -> Skill:
    """Paired skill against ``baseline`` on the same n games, with a bootstrap range over clusters.

    ``clusters`` [n] is usually the league date: games of a night are drawn together, since they share what made the
    night unusual. Same input, same bits. Raises ValueError when lengths differ or the baseline never errs.
    """
    ours, theirs = _some(losses), _some(baseline)
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} losses, {len(theirs)} of the baseline: must be equal")
    (found,) = skills(ours[:, None], theirs[:, None], clusters, level, draws, seed)
    if found is None:
        raise ValueError("the baseline's losses add up to 0: skill against it is not defined")
    return found


def skills(
    losses: ArrayLike, baselines: ArrayLike, clusters: ArrayLike, level: float = 0.95, draws: int = 2000, seed: int = 1
) -> list[Skill | None]:
    """``skill`` of each column of ``losses`` [n, m] against the same column of ``baselines`` [n, m], None where that
    never errs: the clusters are drawn once for all of them. Raises ValueError when shapes differ."""
    ours, theirs = np.asarray(losses, dtype=np.float64), np.asarray(baselines, dtype=np.float64)
    groups = np.asarray(clusters)
    if not (ours.shape == theirs.shape and ours.ndim == 2 and len(ours) == len(groups) > 0):
        raise ValueError(f"losses {ours.shape}, baselines {theirs.shape}, {len(groups)} clusters: must be n x m, n > 0")
    names, place = np.unique(groups, return_inverse=True)
    k = len(names)
    drawn = np.random.default_rng(seed).integers(0, k, size=(draws, k))
    times = np.bincount((drawn + k * np.arange(draws)[:, None]).ravel(), minlength=draws * k).reshape(draws, k)
    sums = [
        times @ np.stack([np.bincount(place, weights=column) for column in matrix.T], axis=1)
        for matrix in (ours, theirs)
    ]
    total = theirs.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # draws in which the baseline never errs
        samples = np.where(sums[0] == sums[1], 0.0, 1.0 - sums[0] / sums[1])
        lower, upper = np.quantile(samples, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
        values = 1.0 - ours.sum(axis=0) / total
    return [
        Skill(float(value), float(low), float(high), level) if loss > 0 else None
        for value, low, high, loss in zip(values, lower, upper, total, strict=True)
    ]


def _some(values: ArrayLike) -> Floats:
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if not array.size:
        raise ValueError("no forecasts to score: a figure needs at least one")
    return array


def _half_mean_difference(ordered: Floats) -> float:
    """E|X - X'| / 2 of an ascending sample."""
    m = len(ordered)
    return float(np.sum((2 * np.arange(1, m + 1) - m - 1) * ordered)) / m**2
