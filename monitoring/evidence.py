"""Statistics that say how much a small number of games can tell.

A night has at most 15 games, so no figure travels alone: coverage comes with its exact interval, skill with a
paired bootstrap interval, and the coverage alarm is an e-detector, whose false alarm rate holds at every game
without a window or a warm-up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

BOOTSTRAP_DRAWS = 2000
BOOTSTRAP_SEED = 20230203
MIN_PAIRED_GAMES = 5

# Alternatives of the mixture as multiples of the nominal miss rate: .08, .10, .14, .20 and .30 for alpha = .05.
ALTERNATIVES = (1.6, 2.0, 2.8, 4.0, 6.0)
# Average run length between false alarms, in games: ten seasons (ticket) and two seasons (note) of 1,230 games.
TICKET_RUN_LENGTH = 12_300.0
NOTE_RUN_LENGTH = 2_460.0


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


def null_miss_rate(alpha: float, calibration_games: int) -> float:
    """Miss rate the alarm tolerates: alpha plus two standard deviations of what split-conformal calibration
    leaves.

    The coverage of a split-conformal interval varies with the calibration set (SD sqrt(alpha (1 - alpha) /
    n)), so an alarm at alpha itself would report unlucky calibration draws. Raises EvidenceError for
    nonsense.
    """
    if not 0 < alpha < 1 or calibration_games < 1:
        raise EvidenceError(f"alpha {alpha} with {calibration_games} calibration games: need 0 < alpha < 1 and n >= 1")
    return alpha + 2 * math.sqrt(alpha * (1 - alpha) / calibration_games)


def coverage_log_evidence(misses: Iterable[bool], alpha: float, null_rate: float) -> float | None:
    """ln M_t of a mixture Shiryaev-Roberts e-detector after the last of ``misses`` (in order of forecast).

    Whatever the dependence between games, while the conditional miss rate stays <= ``null_rate`` the mean
    number of games before M_t first reaches A is at least A. None before the first game or when no
    alternative lies above ``null_rate``. Source: Shin, Ramdas and Rinaldo, "E-detectors" (2022).
    """
    rates = np.array([alpha * factor for factor in ALTERNATIVES])
    rates = rates[(rates > null_rate) & (rates < 1)]
    if rates.size == 0:
        return None
    on_miss, on_hit = np.log(rates / null_rate), np.log((1 - rates) / (1 - null_rate))
    # Kept as logarithms: R_t = (1 + R_{t-1}) * likelihood ratio overflows after some hundred misses.
    log_r: np.ndarray | None = None
    for missed in misses:
        step = on_miss if missed else on_hit
        log_r = step if log_r is None else np.logaddexp(0.0, log_r) + step
    if log_r is None:
        return None
    return float(np.logaddexp.reduce(log_r) - math.log(rates.size))
