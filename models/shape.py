"""The shape of what may still happen: how likely each whole change of the margin is until the half.

Changes of past games say it best: half the weight goes to all remembered games, half to the neighbours of this one.
The shape is then tilted exponentially until its mean is the forecast change: among all distributions with that mean the
nearest one in relative entropy (Csiszar 1975, "I-divergence geometry of probability distributions"). Tilting moves no
probability between whole margins that the game makes unlike, as an even and an odd change with a minute to go.

Last the shape is calibrated on games that took no part in fitting: the mean of their conditional PITs (Czado, Gneiting
and Held 2009) says how often outcomes fell below each probability. Half of that correction is applied: the whole of it
brings in more of the calibration set's own noise than it repairs (CRPS of 2016-2021, every minute).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Wholes = NDArray[np.int64]

LARGEST_CHANGE = 80
CHANGES = np.arange(-LARGEST_CHANGE, LARGEST_CHANGE + 1)
CORRECTION_SHARE = 0.5
# Games' worth of a normal distribution, so that no change is impossible.
_PSEUDO_GAMES = 20.0
# A mean this far out is reached by no tilt that leaves a shape; the point then differs from the mean.
_LARGEST_MEAN = 40.0
_LEAST_VARIANCE = 1e-3
_MOST_STEPS = 40
_LONGEST_STEP = 0.1
_LAST_STEP = 3e-4
_POWERS = np.stack([CHANGES**power for power in range(4)]).astype(np.float64)
_ONES, _CHANGES = _POWERS[:2]
_PIT_GRID = np.linspace(0.0, 1.0, 201)


def places(changes: NDArray[np.integer]) -> Wholes:
    """Where among ``CHANGES`` each of ``changes`` int[n] is; further ones count as the furthest."""
    return np.clip(changes.astype(np.int64), -LARGEST_CHANGE, LARGEST_CHANGE) + LARGEST_CHANGE


def prior(changes: NDArray[np.integer]) -> Floats:
    """The shape all remembered games give, float64[161]; ``changes`` int[n], n > 0."""
    counts = np.bincount(places(changes), minlength=len(CHANGES))
    mean = float(changes.mean())
    normal = np.exp(-0.5 * ((CHANGES - mean) / max(float(changes.std()), 1.0)) ** 2)
    mixed = counts + _PSEUDO_GAMES * normal / normal.sum()
    shape: Floats = mixed / mixed.sum()
    return shape


def tilted(prior_shape: Floats, neighbours: Floats, mean: float) -> Floats:
    """The shape float64[161] with the ``mean`` asked for, in points, from that of all games and the neighbours' shares,
    float64[161] each."""
    shape = prior_shape + neighbours
    wanted = min(max(mean, -_LARGEST_MEAN), _LARGEST_MEAN)
    tilt, tried = 0.0, shape
    for _ in range(_MOST_STEPS):
        total, *sums = (_POWERS @ tried).tolist()
        first, second, third = (value / total for value in sums)
        variance = max(second - first * first, _LEAST_VARIANCE)
        skew = third - first * (3.0 * variance + first * first)
        newton = (wanted - first) / variance
        # Halley's step: what is left is the cube of what was, and two rounds are enough for usual means.
        step = newton / max(1.0 + 0.5 * newton * skew / variance, 0.5)
        tilt += min(max(step, -_LONGEST_STEP), _LONGEST_STEP)
        tried = np.exp(tilt * _CHANGES)
        tried *= shape
        if abs(step) < _LAST_STEP:
            break
    tried /= tried @ _ONES
    return tried


def tilted_rows(prior_shapes: Floats, neighbours: Floats, means: Floats) -> Floats:
    """``tilted`` of each row, bit by bit: float64[q, 161] from ``prior_shapes`` float64[q, 161] or [161],
    ``neighbours`` float64[q, 161] and ``means`` float64[q]. Rows that are done wait for the others unchanged."""
    shapes = prior_shapes + neighbours
    wanted = np.clip(means, -_LARGEST_MEAN, _LARGEST_MEAN)
    tilts, tried, rows = np.zeros(len(means)), shapes.copy(), np.arange(len(means))
    for _ in range(_MOST_STEPS):
        # One product for each row, as ``tilted`` does it: a product of matrices adds up in another order.
        sums = np.matmul(_POWERS, tried[rows, :, None])[..., 0]
        first, second, third = sums[:, 1:].T / sums[:, 0]
        variance = np.maximum(second - first * first, _LEAST_VARIANCE)
        skew = third - first * (3.0 * variance + first * first)
        newton = (wanted[rows] - first) / variance
        step = newton / np.maximum(1.0 + 0.5 * newton * skew / variance, 0.5)
        tilts[rows] += np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        tried[rows] = np.exp(tilts[rows, None] * _CHANGES) * shapes[rows]
        rows = rows[np.abs(step) >= _LAST_STEP]
        if not len(rows):
            break
    tried /= np.matmul(tried[:, None, :], _ONES[:, None])[:, 0]
    return tried


def pit_ends(shapes: Floats, changes: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """P(change < what happened) and P(change <= what happened), float64[q] each."""
    cells = np.arange(len(changes)), places(changes)
    upto = np.minimum(shapes.cumsum(axis=1)[cells], 1.0)
    return np.clip(upto - shapes[cells], 0.0, upto), upto


def correction(below: Floats, upto: Floats) -> Floats:
    """The map of probabilities that calibrates a shape, float64[201] on an even grid of 0..1, from the ``pit_ends`` of
    n > 0 calibration games."""
    inside = (_PIT_GRID[None, :] - below[:, None]) / np.maximum(upto - below, 1e-12)[:, None]
    observed = np.clip(inside, 0.0, 1.0).mean(axis=0)
    mapped: Floats = CORRECTION_SHARE * observed + (1.0 - CORRECTION_SHARE) * _PIT_GRID
    mapped[0], mapped[-1] = 0.0, 1.0
    return mapped


def corrected(shapes: Floats, mapped: Floats) -> Floats:
    """Shapes float64[..., 161] with their cumulative probabilities taken through ``correction``."""
    cumulative = corrected_cumulative(shapes, mapped)
    out = cumulative.copy()
    out[..., 1:] -= cumulative[..., :-1]
    return out


def corrected_cumulative(shapes: Floats, mapped: Floats) -> Floats:
    """Cumulative probabilities float64[..., 161] of shapes, taken through ``correction``: ascending, the last one 1."""
    return _settled(np.interp(shapes.cumsum(axis=-1), _PIT_GRID, mapped))


def corrected_rows(shapes: Floats, mapped: Sequence[Floats]) -> Floats:
    """``corrected_cumulative`` of each row of ``shapes`` float64[q, 161] through a ``correction`` of its own."""
    cumulative = shapes.cumsum(axis=-1)
    for row, through in zip(cumulative, mapped, strict=True):
        row[:] = np.interp(row, _PIT_GRID, through)
    return _settled(cumulative)


def _settled(cumulative: Floats) -> Floats:
    cumulative[..., -1] = 1.0
    # Where two pieces of the map meet rounding may go down.
    return np.maximum.accumulate(cumulative, axis=-1, out=cumulative)
