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
# Where the interval of the mean gain is narrowest: about 50 games of points one apart.
_MIXED_AT = 50.0


class BadComparison(ValueError):
    """Games that cannot be compared; the message says why."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """After ``n`` games: ``log_wealth`` by ``STAKES``, ``best`` the largest logarithm of the e-value so far, ``total``
    gain in points, ``room`` the sum of c squared. Immutable; the same games in any batches give the same bits."""

    n: int = 0
    log_wealth: tuple[float, ...] = (0.0,) * len(STAKES)
    best: float = 0.0
    total: float = 0.0
    room: float = 0.0

    def after(self, points_a: Floats, points_b: Floats, actual: Floats) -> Comparison:
        """After further games in order, each float64[k] in points. Raises BadComparison."""
        return self.after_gains(*gains_of(points_a, points_b, actual))

    def after_gains(self, gains: Floats, bounds: Floats) -> Comparison:
        """After further games in which B gained so much of at most so much, float64[k] each in points.

        Raises BadComparison for a gain beyond its bound by more than rounding.
        """
        if not len(gains):
            return self
        if (np.abs(gains) > bounds * (1.0 + 1e-9) + 1e-12).any():
            raise BadComparison("a gain exceeds the distance of the points: both must be of the same game")
        wealths = log_wealths(np.clip(gains, -bounds, bounds), bounds, np.array(self.log_wealth))
        return Comparison(
            n=self.n + len(gains),
            log_wealth=tuple(wealths[:, -1].tolist()),
            best=max(self.best, float(log_mean(wealths).max())),
            total=_added(self.total, gains),
            room=_added(self.room, bounds**2),
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
        least 1 - alpha, whatever the dependence (a gain within -c..c is c-sub-Gaussian; normal mixture of Robbins 1970,
        Howard et al. 2021). Infinite before the first game."""
        if not self.n:
            return -math.inf, math.inf
        room = self.room + _MIXED_AT
        reach = math.sqrt(room * (2.0 * math.log(1.0 / alpha) + math.log(room / _MIXED_AT))) / self.n
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


def _added(total: float, values: Floats) -> float:
    """The sum one by one, so that batches do not matter."""
    return float(np.cumsum(np.concatenate([[total], values]))[-1])


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
