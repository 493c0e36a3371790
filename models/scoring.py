"""Scores of whole distributions over margins, many games at once.

n games are given as ``first`` int[n] and ``pmf`` float64[n, k]: P(margin = first[g] + i) = pmf[g, i]; ``stacked`` makes
both. ``actual`` int[n] are the margins that happened. Smaller is better. CRPS, Brier and log score are proper (Gneiting
and Raftery 2007, "Strictly proper scoring rules, prediction, and estimation").

On whole numbers a distribution that is right has no uniform PIT: the mid-p one has the right mean, the randomised one
is uniform (Czado, Gneiting and Held 2009, "Predictive model assessment for count data").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.distribution import MarginDistribution

Floats = NDArray[np.float64]
Wholes = NDArray[np.int64]

# An outcome called impossible costs infinitely much; a distribution of ours leaves out no more than this a tail.
LEAST_PROBABILITY = 1e-6


def stacked(distributions: Sequence[MarginDistribution]) -> tuple[Wholes, Floats]:
    """(first int[n], pmf float64[n, k]) of n >= 1 distributions; a shorter one has zeros at its end."""
    pmf = np.zeros((len(distributions), max(len(one.probabilities) for one in distributions)))
    for row, one in zip(pmf, distributions, strict=True):
        row[: len(one.probabilities)] = one.probabilities
    return np.array([one.first for one in distributions], dtype=np.int64), pmf


def crps_discrete(first: ArrayLike, pmf: ArrayLike, actual: ArrayLike) -> Floats:
    """CRPS [n] in points: the sum over whole x of (P(margin <= x) - 1{actual <= x})^2. Raises ValueError."""
    begin, chances, seen = _checked(first, pmf, actual)
    margins = begin[:, None] + np.arange(chances.shape[1])
    inside = ((chances.cumsum(axis=1) - (seen[:, None] <= margins)) ** 2).sum(axis=1)
    # Beyond the support the two differ by 1 at every margin between it and the outcome.
    scores: Floats = inside + np.maximum(begin - seen, 0) + np.maximum(seen - margins[:, -1] - 1, 0)
    return scores


def who_leads(first: ArrayLike, pmf: ArrayLike) -> Floats:
    """P(home leads), P(tied), P(away leads) at the half: float64[n, 3]. Raises ValueError."""
    begin, chances, _ = _checked(first, pmf, np.zeros(len(np.atleast_1d(first)), dtype=np.int64))
    margins = begin[:, None] + np.arange(chances.shape[1])
    return np.stack([(chances * where).sum(axis=1) for where in (margins > 0, margins == 0, margins < 0)], axis=1)


def brier_who_leads(leads: ArrayLike, actual: ArrayLike) -> Floats:
    """Brier score [n], 0..2, of ``leads`` float64[n, 3] as of ``who_leads``: squared differences over all outcomes."""
    scores: Floats = ((np.asarray(leads, dtype=np.float64) - _happened(actual)) ** 2).sum(axis=1)
    return scores


def log_score_who_leads(leads: ArrayLike, actual: ArrayLike) -> Floats:
    """-ln P(what happened) [n] of ``leads`` float64[n, 3]; a probability below 1e-6 counts as 1e-6."""
    chances = (np.asarray(leads, dtype=np.float64) * _happened(actual)).sum(axis=1)
    scores: Floats = -np.log(np.maximum(chances, LEAST_PROBABILITY))
    return scores


def brier_home_leads(home_leads: ArrayLike, actual: ArrayLike) -> Floats:
    """Brier score [n], 0..1, of P(home leads at the half), float64[n], against the rest: tied or away leads."""
    scores: Floats = (np.asarray(home_leads, dtype=np.float64) - (np.asarray(actual) > 0)) ** 2
    return scores


def pit_mid(first: ArrayLike, pmf: ArrayLike, actual: ArrayLike) -> Floats:
    """P(margin < actual) + P(margin = actual) / 2, float64[n] in 0..1. Raises ValueError."""
    below, at = _below_and_at(first, pmf, actual)
    pit: Floats = below + 0.5 * at
    return pit


def pit_randomised(first: ArrayLike, pmf: ArrayLike, actual: ArrayLike, seed: int) -> Floats:
    """P(margin < actual) + u P(margin = actual) with u uniform, float64[n] in 0..1; same seed, same bits."""
    below, at = _below_and_at(first, pmf, actual)
    pit: Floats = below + np.random.default_rng(seed).random(len(below)) * at
    return pit


def _below_and_at(first: ArrayLike, pmf: ArrayLike, actual: ArrayLike) -> tuple[Floats, Floats]:
    begin, chances, seen = _checked(first, pmf, actual)
    margins = begin[:, None] + np.arange(chances.shape[1])
    gap = seen[:, None] - margins
    return (chances * (gap > 0)).sum(axis=1), (chances * (gap == 0)).sum(axis=1)


def _happened(actual: ArrayLike) -> Floats:
    seen = np.atleast_1d(np.asarray(actual))
    return np.stack([seen > 0, seen == 0, seen < 0], axis=1).astype(np.float64)


def _checked(first: ArrayLike, pmf: ArrayLike, actual: ArrayLike) -> tuple[Wholes, Floats, Wholes]:
    begin, chances, seen = np.atleast_1d(first), np.asarray(pmf, dtype=np.float64), np.atleast_1d(actual)
    n = len(begin)
    if not n or chances.ndim != 2 or not chances.shape[1] or len(chances) != n or len(seen) != n:
        raise ValueError(
            f"first {begin.shape}, pmf {chances.shape}, actual {seen.shape}: must be n, n x k, n; n, k > 0"
        )
    if not (np.issubdtype(begin.dtype, np.integer) and np.issubdtype(seen.dtype, np.integer)):
        raise ValueError(f"first is {begin.dtype}, actual {seen.dtype}: margins are whole numbers")
    if not (chances.min() >= 0.0 and (np.abs(chances.sum(axis=1) - 1.0) <= 1e-9).all()):
        raise ValueError("a row of pmf is no distribution: its numbers must be at least 0 and add up to 1 within 1e-9")
    return begin.astype(np.int64), chances, seen.astype(np.int64)
