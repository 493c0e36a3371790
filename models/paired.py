"""Two forecasters on the same games, compared after every game as long as one likes.

The gain of B over A in a game is d = |error of A| - |error of B|, in points. It cannot exceed c, the distance between
their points, and c is known before the outcome. Null hypothesis: the expected gain of no game is positive. A bettor who
stakes a share of his wealth on B has, under it, a wealth that is a supermartingale:

    wealth = product of (1 + stake * d), stake at most 0.5 / c

so whatever the games depend on and whenever one looks, the chance that it ever reaches 1/alpha is at most alpha (Ville
1939). It is the e-process of Choe and Ramdas (2024, "Comparing sequential forecasters") with the bets of Waudby-Smith
and Ramdas (2024). The stake that grows fastest is the mean gain over its mean square; a gain of 0.05 to 0.5 points
between forecasters that differ by 0.9 to 2 points asks for 0.0125 to 0.4 a point, so the e-value is the mean wealth of
six stakes between these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STAKES = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)
MOST_STAKED = 0.5
_STAKES = np.array(STAKES)
# A stake whose product with the largest c comes near 1 says nothing of the mean: its bound is not used any more.
_MOST_BOUNDED = 0.9


class BadComparison(ValueError):
    """Games that cannot be compared; the message says why."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """After ``n`` games: ``log_wealth`` by ``STAKES``, ``best`` the largest logarithm of the e-value so far, ``total``
    gain in points, ``spread`` by stake the variance process of the confidence sequence, ``widest`` the largest c.
    Immutable; the same games in any batches give the same bits."""

    n: int = 0
    log_wealth: tuple[float, ...] = (0.0,) * len(STAKES)
    best: float = 0.0
    total: float = 0.0
    spread: tuple[float, ...] = (0.0,) * len(STAKES)
    widest: float = 0.0

    def after(self, points_a: Floats, points_b: Floats, actual: Floats) -> Comparison:
        """After further games in order, each float64[k] in points. Raises BadComparison."""
        return self.after_gains(*gains_of(points_a, points_b, actual))

    def after_gains(self, gains: Floats, bounds: Floats) -> Comparison:
        """After further games in which B gained so much of at most so much, float64[k] each in points."""
        if not len(gains):
            return self
        wealths = log_wealths(gains, bounds, np.array(self.log_wealth))
        widest = max(self.widest, float(bounds.max()))
        scaled = _STAKES[:, None] * bounds
        shrunk = np.minimum(scaled, _MOST_BOUNDED)
        # psi(stake) for variables bounded below by -c; where the points are the same there is no gain.
        psi = np.divide(-np.log1p(-shrunk) - shrunk, bounds**2, out=np.zeros_like(shrunk), where=bounds > 1e-9)
        spread = np.cumsum(np.column_stack([self.spread, psi * gains**2]), axis=1)[:, -1]
        return Comparison(
            n=self.n + len(gains),
            log_wealth=tuple(wealths[:, -1].tolist()),
            best=max(self.best, float(log_mean(wealths).max())),
            total=float(np.cumsum(np.concatenate([[self.total], gains]))[-1]),
            spread=tuple(spread.tolist()),
            widest=widest,
        )

    @property
    def e_value(self) -> float:
        """Evidence now that B errs less: its expected value is at most 1 if it does not."""
        return math.exp(min(float(log_mean(np.array(self.log_wealth)[:, None])[0]), 700.0))

    @property
    def best_e_value(self) -> float:
        """The largest evidence so far; the chance that it reaches 1/alpha under the null is at most alpha."""
        return math.exp(min(self.best, 700.0))

    @property
    def mean_gain(self) -> float:
        """Points of mean absolute error that B gains, 0 before the first game."""
        return self.total / self.n if self.n else 0.0

    def gain_interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """Where the mean of the games' expected gains lies, in points: right at all times together with probability at
        least 1 - alpha, whatever the dependence (empirical Bernstein: Howard et al. 2021; the union over the stakes and
        both sides costs ln 12). Infinite before it can say anything."""
        if not self.n:
            return -math.inf, math.inf
        reach = math.inf
        for stake, spread in zip(STAKES, self.spread, strict=True):
            if stake * self.widest <= _MOST_BOUNDED:
                reach = min(reach, (math.log(2 * len(STAKES) / alpha) + spread) / stake / self.n)
        return self.mean_gain - reach, self.mean_gain + reach

    def summary(self) -> dict[str, float | int]:
        """What is told of it."""
        lower, upper = self.gain_interval()
        told: dict[str, float | int] = {
            "n": self.n, "mean_gain": self.mean_gain, "e_value": self.e_value, "best_e_value": self.best_e_value,
        }  # fmt: skip
        return told | ({"gain_lower": lower, "gain_upper": upper} if math.isfinite(lower) else {})


NOTHING_YET = Comparison()


def gains_of(points_a: Floats, points_b: Floats, actual: Floats) -> tuple[Floats, Floats]:
    """(what B gains, the most it can gain or lose), float64[...] each in points. Raises BadComparison."""
    if not points_a.shape == points_b.shape == actual.shape:
        raise BadComparison(f"points of shapes {points_a.shape}, {points_b.shape}, outcomes {actual.shape}")
    if not (np.isfinite(points_a).all() and np.isfinite(points_b).all() and np.isfinite(actual).all()):
        raise BadComparison("a point or an outcome is not a finite number: leave out games that are not settled")
    bounds = np.abs(points_a - points_b)
    gains = np.abs(actual - points_a) - np.abs(actual - points_b)
    # The triangle inequality, but for rounding.
    return np.clip(gains, -bounds, bounds), bounds


def log_wealths(gains: Floats, bounds: Floats, before: Floats | float = 0.0) -> Floats:
    """Logarithms of wealth after each game by stake, float64[stakes, ..., games], of ``gains`` float64[..., games];
    ``before`` float64[stakes] is the wealth to begin with."""
    most = np.divide(MOST_STAKED, bounds, out=np.full_like(bounds, np.inf), where=bounds > 0)
    stakes = np.minimum(_STAKES.reshape(-1, *[1] * gains.ndim), most)
    steps = np.log1p(stakes * gains)
    start = np.broadcast_to(np.reshape(before, (-1, *[1] * gains.ndim)), (*steps.shape[:-1], 1))
    grown: Floats = np.cumsum(np.concatenate([start, steps], axis=-1), axis=-1)[..., 1:]
    return grown


def log_mean(log_wealth: Floats) -> Floats:
    """The logarithm of the mean wealth over the stakes, float64[...] of float64[stakes, ...]."""
    meaned: Floats = np.logaddexp.reduce(log_wealth, axis=0) - math.log(len(log_wealth))
    return meaned
