"""The forecast as a whole distribution: a probability for every whole margin.

``conformal_distribution`` makes one out of signed calibration errors: the split conformal predictive distribution of
Vovk, Shen, Manokhin and Xie (2019, "Nonparametric predictive distributions based on conformal prediction") and Vovk,
Nouretdinov, Manokhin and Gammerman (2018, "Cross-conformal predictive distributions"). Under exchangeability its
probabilities are right on average whatever the shape of the errors, up to 1/(n+1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SUM_TOLERANCE = 1e-9
# Probabilities are whole multiples of this, so that sums of them are exact in any order and on any machine: the three
# ways a half can end add up to 1, not to nearly 1. Differences in the last bit of an exponential vanish in it too.
GRAIN = 2.0**-40
# What a tail may leave out on either side; at this size it changes no figure anyone reads.
TAIL_LEFT_OUT = 1e-6
# The tail falls as steeply as the errors of this outer share do on average, and by no less than one point a step.
TAIL_SHARE = 0.1
LEAST_TAIL_POINTS = 1.0


class BadDistribution(ValueError):
    """Probabilities that are no distribution, or a question one cannot answer."""


@dataclass(frozen=True, eq=False)
class MarginDistribution:
    """P(margin = first + i) = probabilities[i], float64[k]; margins are whole points, home minus away.

    The probabilities given must be finite, at least 0 and add up to 1 within 1e-9; those kept add up to exactly 1
    (each moved by at most 1e-9 onto multiples of 2^-40) and are read-only. Made again from its own ``first`` and
    ``probabilities`` it has the same bits. Raises BadDistribution.
    """

    first: int
    probabilities: Floats
    _cumulative: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given = np.array(self.probabilities, dtype=np.float64)
        if given.ndim != 1 or not given.size:
            raise BadDistribution(f"probabilities have shape {given.shape}: they must be k >= 1 numbers in one row")
        if not given.min() >= 0.0:
            worst = int(np.argmin(np.where(np.isnan(given), -math.inf, given)))
            raise BadDistribution(f"P(margin = {self.first + worst}) is {given[worst]}: it must be at least 0")
        cumulative = given.cumsum()
        total = float(cumulative[-1])
        if not abs(total - 1.0) <= SUM_TOLERANCE:
            raise BadDistribution(f"probabilities add up to {total}: they must add up to 1 within {SUM_TOLERANCE:g}")
        self._keep(int(self.first), cumulative)

    @classmethod
    def of_cumulative(cls, first: int, cumulative: Floats) -> MarginDistribution:
        """From P(margin <= first + i) float64[k], which must ascend from 0 or above and is taken over; it is scaled to
        end at 1."""
        made = object.__new__(cls)
        made._keep(first, cumulative)
        return made

    def _keep(self, first: int, cumulative: Floats) -> None:
        cumulative *= 1.0 / GRAIN / float(cumulative[-1])
        np.rint(cumulative, out=cumulative)
        cumulative *= GRAIN
        probabilities = cumulative.copy()
        probabilities[1:] -= cumulative[:-1]
        cumulative.setflags(write=False)
        probabilities.setflags(write=False)
        object.__setattr__(self, "first", first)
        object.__setattr__(self, "probabilities", probabilities)
        object.__setattr__(self, "_cumulative", cumulative)

    @property
    def last(self) -> int:
        """The largest margin of the support."""
        return self.first + len(self.probabilities) - 1

    def cdf(self, x: float) -> float:
        """P(margin <= x) for any real x, infinities included. Raises BadDistribution for NaN."""
        if math.isnan(x):
            raise BadDistribution("P(margin <= NaN) is not a question: ask about a number")
        if x < self.first:
            return 0.0
        return 1.0 if x >= self.last else float(self._cumulative[math.floor(x) - self.first])

    def above(self, x: float) -> float:
        """P(margin > x); exactly 1 - cdf(x). Raises BadDistribution for NaN."""
        return 1.0 - self.cdf(x)

    def quantile(self, level: float) -> int:
        """The smallest whole margin with cdf >= level, 0 < level <= 1. Raises BadDistribution."""
        if not 0.0 < level <= 1.0:
            raise BadDistribution(f"quantile level is {level}: it must lie above 0 and at most at 1")
        return self.first + int(self._cumulative.searchsorted(level))

    @property
    def home_leads(self) -> float:
        """P(margin > 0)."""
        return self.above(0)

    @property
    def tied(self) -> float:
        """P(margin = 0)."""
        return self.cdf(0) - self.cdf(-1)

    @property
    def away_leads(self) -> float:
        """P(margin < 0); exactly 1 - home_leads - tied."""
        return self.cdf(-1)

    @property
    def mean(self) -> float:
        """Expected margin, points."""
        return self.first + float((self.probabilities * np.arange(len(self.probabilities))).sum())

    @property
    def sd(self) -> float:
        """Standard deviation, points."""
        gaps = self.first - self.mean + np.arange(len(self.probabilities))
        return math.sqrt(float((self.probabilities * gaps**2).sum()))

    def as_dict(self) -> dict[str, Any]:
        """Plain values fit for JSON, from which the same distribution can be made again."""
        return {"first": self.first, "probabilities": self.probabilities.tolist()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MarginDistribution):
            return NotImplemented
        return self.first == other.first and np.array_equal(self.probabilities, other.probabilities)

    def __hash__(self) -> int:
        return hash((self.first, self.probabilities.tobytes()))


def conformal_distribution(point: float, residuals_sorted: Floats) -> MarginDistribution:
    """The distribution of ``point + residual`` over whole margins.

    ``residuals_sorted`` float64[n] are the signed errors (actual minus point) of n calibration games, ascending. They
    cut the line into n + 1 gaps of probability 1/(n+1) each: spread evenly between two errors, falling exponentially
    outside the outermost. A whole margin gets what lies within half a point of it, and none in between gets 0.
    Deterministic; the tails end where less than 1e-6 is left of each.
    Raises BadDistribution for no residuals or numbers that are not finite.
    """
    n = len(residuals_sorted)
    if not n:
        raise BadDistribution("no calibration errors: a distribution needs at least one")
    low, high = float(residuals_sorted[0]), float(residuals_sorted[-1])
    if not (math.isfinite(point) and math.isfinite(low) and math.isfinite(high)):
        raise BadDistribution(f"point {point}, errors {low}..{high}: all must be finite")
    low_fall, high_fall, reach = _tails(residuals_sorted)
    first = math.floor(point + (low - reach * low_fall) + 0.5)
    last = math.ceil(point + (high + reach * high_fall) - 0.5)
    edges = np.arange(first, last + 1, dtype=np.float64) + (0.5 - point)
    cumulative = _below(edges, residuals_sorted, low_fall, high_fall)
    cumulative[-1] = 1.0
    probabilities = cumulative.copy()
    probabilities[1:] -= cumulative[:-1]
    return MarginDistribution(first, probabilities)


def conformal_pmfs(points: Floats, residuals_sorted: Floats) -> tuple[int, Floats]:
    """``conformal_distribution`` of many ``points`` float64[q] at once, q > 0: (first, pmf float64[q, k]),
    P(margin = first + i) = pmf[g, i]. Equal up to 2^-40 but for the tails, which end where those of the outermost
    points do. Raises BadDistribution for no residuals."""
    if not len(residuals_sorted):
        raise BadDistribution("no calibration errors: a distribution needs at least one")
    low_fall, high_fall, reach = _tails(residuals_sorted)
    first = math.floor(float(points.min()) + float(residuals_sorted[0]) - reach * low_fall + 0.5)
    last = math.ceil(float(points.max()) + float(residuals_sorted[-1]) + reach * high_fall - 0.5)
    edges = np.arange(first, last + 1) + (0.5 - points[:, None])
    cumulative = _below(edges.ravel(), residuals_sorted, low_fall, high_fall).reshape(edges.shape)
    cumulative[:, -1] = 1.0
    pmf: Floats = cumulative.copy()
    pmf[:, 1:] -= cumulative[:, :-1]
    np.maximum(pmf, 0.0, out=pmf)
    return first, pmf


def _below(edges: Floats, residuals_sorted: Floats, low_fall: float, high_fall: float) -> Floats:
    """P(residual <= edge), float64[k], of edges float64[k]."""
    gap = 1.0 / (len(residuals_sorted) + 1)
    low, high = residuals_sorted[0], residuals_sorted[-1]
    cumulative: Floats = np.interp(edges, residuals_sorted, np.arange(1, len(residuals_sorted) + 1) * gap)
    under, over = edges < low, edges >= high
    cumulative[under] = gap * np.exp((edges[under] - low) / low_fall)
    cumulative[over] = 1.0 - gap * np.exp((high - edges[over]) / high_fall)
    return cumulative


def _tails(residuals_sorted: Floats) -> tuple[float, float, float]:
    """How steeply either tail falls, in points, and how many times that it reaches."""
    low_fall, high_fall = _tail_falls(residuals_sorted)
    return low_fall, high_fall, max(0.0, -math.log((len(residuals_sorted) + 1) * TAIL_LEFT_OUT))


def _tail_falls(residuals_sorted: Floats) -> tuple[float, float]:
    """Mean excess of the outer tenth over its own inner end, at either side, in points."""
    outer = max(1, int(len(residuals_sorted) * TAIL_SHARE))
    low_end, high_end = residuals_sorted[: outer + 1], residuals_sorted[-outer - 1 :]
    low_fall = float(low_end[-1]) - float(low_end.sum()) / len(low_end)
    high_fall = float(high_end.sum()) / len(high_end) - float(high_end[0])
    return max(low_fall, LEAST_TAIL_POINTS), max(high_fall, LEAST_TAIL_POINTS)
