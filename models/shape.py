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

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Wholes = NDArray[np.int64]

LARGEST_CHANGE = 80
CHANGES = np.arange(-LARGEST_CHANGE, LARGEST_CHANGE + 1, dtype=np.float64)
NEIGHBOUR_SHARE = 0.5
CORRECTION_SHARE = 0.5
# Games' worth of a normal distribution, so that no change is impossible.
_PSEUDO_GAMES = 20.0
# A mean this far out is reached by no tilt that leaves a shape; the point then differs from the mean.
_LARGEST_MEAN = 40.0
_NEWTON_STEPS = 40
_LONGEST_STEP = 0.1
_PIT_GRID = np.linspace(0.0, 1.0, 201)


def counts_of(changes: NDArray[np.integer]) -> Floats:
    """How often each of ``CHANGES`` occurs in ``changes`` int[n]: float64[161]; further ones count as the furthest."""
    places = np.clip(changes.astype(np.int64), -LARGEST_CHANGE, LARGEST_CHANGE) + LARGEST_CHANGE
    counts: Floats = np.bincount(places, minlength=len(CHANGES)).astype(np.float64)
    return counts


def prior(changes: NDArray[np.integer]) -> Floats:
    """The shape all remembered games give, float64[161]; ``changes`` int[n], n > 0."""
    counts = counts_of(changes)
    mean = float(changes.mean())
    normal = np.exp(-0.5 * ((CHANGES - mean) / max(float(changes.std()), 1.0)) ** 2)
    mixed = counts + _PSEUDO_GAMES * normal / normal.sum()
    shape: Floats = mixed / mixed.sum()
    return shape


def tilted(prior_shape: Floats, neighbours: Floats, means: Floats) -> Floats:
    """Shapes float64[q, 161] with the means asked for, float64[q] in points.

    ``neighbours`` float64[q, 161] counts the changes of each question's neighbours. The same bits one by one or many
    at a time.
    """
    shares = NEIGHBOUR_SHARE / neighbours.sum(axis=1, keepdims=True)
    shapes = (1.0 - NEIGHBOUR_SHARE) * prior_shape + neighbours * shares
    wanted = np.clip(means, -_LARGEST_MEAN, _LARGEST_MEAN)
    tilt = np.zeros(len(means))
    for _ in range(_NEWTON_STEPS):
        tried = shapes * np.exp(tilt[:, None] * CHANGES)
        total = tried.sum(axis=1)
        mean = (tried * CHANGES).sum(axis=1) / total
        variance = (tried * CHANGES**2).sum(axis=1) / total - mean**2
        step = (wanted - mean) / np.maximum(variance, 1e-3)
        # A row that has arrived stays, so its bits do not depend on the rows it is computed with.
        moving = np.abs(step) > 1e-12
        if not moving.any():
            break
        tilt += np.where(moving, np.clip(step, -_LONGEST_STEP, _LONGEST_STEP), 0.0)
    tried = shapes * np.exp(tilt[:, None] * CHANGES)
    final: Floats = tried / tried.sum(axis=1, keepdims=True)
    return final


def pit_ends(shapes: Floats, changes: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """P(change < what happened) and P(change <= what happened), float64[q] each."""
    places = np.clip(changes.astype(np.int64), -LARGEST_CHANGE, LARGEST_CHANGE) + LARGEST_CHANGE
    cumulative = shapes.cumsum(axis=1)
    rows = np.arange(len(places))
    upto = np.minimum(cumulative[rows, places], 1.0)
    return np.clip(upto - shapes[rows, places], 0.0, upto), upto


def correction(below: Floats, upto: Floats) -> Floats:
    """The map of probabilities that calibrates a shape, float64[201] on an even grid of 0..1, from the ``pit_ends`` of
    n > 0 calibration games."""
    inside = (_PIT_GRID[None, :] - below[:, None]) / np.maximum(upto - below, 1e-12)[:, None]
    observed = np.clip(inside, 0.0, 1.0).mean(axis=0)
    mapped: Floats = CORRECTION_SHARE * observed + (1.0 - CORRECTION_SHARE) * _PIT_GRID
    mapped[0], mapped[-1] = 0.0, 1.0
    return mapped


def corrected(shapes: Floats, mapped: Floats) -> Floats:
    """Shapes float64[q, 161] with their cumulative probabilities taken through ``correction``."""
    cumulative = np.interp(np.minimum(shapes.cumsum(axis=1), 1.0), _PIT_GRID, mapped)
    cumulative[:, -1] = 1.0
    out = cumulative.copy()
    out[:, 1:] -= cumulative[:, :-1]
    shapes_again: Floats = np.maximum(out, 0.0)
    return shapes_again
