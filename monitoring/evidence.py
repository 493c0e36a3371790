"""Statistics that say how much a small number of games can tell.

A night has at most 15 games, so no figure travels alone: coverage comes with its exact interval, skill with a
paired bootstrap interval. The alarms are in ``models.alarms``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

BOOTSTRAP_DRAWS = 2000
BOOTSTRAP_SEED = 20230203
MIN_PAIRED_GAMES = 5
# A gauge that rests on fewer settled games is absent, not 0: an alert on it cannot fire at a cold start.
MIN_GAMES = 20


class EvidenceError(ValueError):
    """Numbers no statistic can be made of; the message names them."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure between ``lower`` and ``upper`` at confidence ``level``, from ``n`` games."""

    value: float
    lower: float
    upper: float
    level: float
    n: int


def coverage_estimate(covered: int, n: int, level: float = 0.95) -> Estimate | None:
    """Share of intervals that held the outcome with its Clopper-Pearson (exact binomial) interval; None for n
    = 0.

    Raises EvidenceError unless 0 <= covered <= n and 0 < level < 1.
    """
    if not 0 <= covered <= n or not 0 < level < 1:
        raise EvidenceError(f"coverage of {covered} in {n} games at level {level}: counts must be 0 <= covered <= n")
    if n == 0:
        return None
    tail = (1 - level) / 2
    lower = 0.0 if covered == 0 else float(beta.ppf(tail, covered, n - covered + 1))
    upper = 1.0 if covered == n else float(beta.ppf(1 - tail, covered + 1, n - covered))
    return Estimate(covered / n, lower, upper, level, n)


def skill_estimate(
    errors: Sequence[float],
    baseline_errors: Sequence[float],
    level: float = 0.95,
    draws: int = BOOTSTRAP_DRAWS,
) -> Estimate | None:
    """Squared-error skill 1 - MSE / MSE of the baseline, games resampled in pairs; the same input gives the
    same bits.

    None when the baseline made no error at all or fewer than MIN_PAIRED_GAMES games are there: too few to
    resample. Raises EvidenceError when the two sequences differ in length or hold a number that is not
    finite.
    """
    ours, theirs = np.asarray(errors, dtype=float) ** 2, np.asarray(baseline_errors, dtype=float) ** 2
    if ours.shape != theirs.shape:
        raise EvidenceError(f"{ours.size} errors against {theirs.size} of the baseline: they must be paired by game")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise EvidenceError("an error is not finite: leave out games that are not settled")
    n = int(ours.size)
    if n < MIN_PAIRED_GAMES or float(theirs.sum()) == 0.0:
        return None
    games = np.random.default_rng(BOOTSTRAP_SEED).integers(0, n, size=(draws, n))
    drawn = theirs[games].sum(axis=1)
    skills = 1.0 - ours[games].sum(axis=1)[drawn > 0] / drawn[drawn > 0]
    lower, upper = np.quantile(skills, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(1.0 - ours.sum() / theirs.sum()), float(lower), float(upper), level, n)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Percentile by linear interpolation between order statistics; None without values, never a made-up zero."""
    return float(np.quantile(np.asarray(values, dtype=float), share)) if len(values) else None
