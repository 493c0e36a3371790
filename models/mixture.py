"""What the point is mixed from.

    point = margin(m) + w_dejavu * change(Dejavu) + w_lstm * change(LSTM) + value * possession

What the weights leave of 1 is persistence: the answer shrinks towards "the margin stays as it is" where the components
know little. Requests with and without a rating have their own weights; minutes have not: fitted minute by minute they
follow the noise of one validation set. The team that has the ball is ahead of what the score says by a part of a
basket, the same at every minute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.dejavu import Dejavu, Neighbours
from models.forecast import Weights
from models.history import History
from models.lstm import Lstm
from models.shape import tilted, tilted_rows

Floats = NDArray[np.float64]

MAX_POSSESSION_VALUE = 3.0
USUAL_WEIGHTS = Weights(dejavu=0.25, lstm=0.75)
USUAL_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class Games:
    """A history with the rating each game had before tip-off, float64[n] in points."""

    history: History
    ratings: Floats

    def __len__(self) -> int:
        return len(self.history)

    def take(self, rows: NDArray[Any] | slice) -> Games:
        return Games(self.history.take(rows), self.ratings[rows])


@dataclass(frozen=True, eq=False)
class Mixture:
    """``weights`` by whether a rating is known, ``possession_value`` points, 0 when training saw no possession."""

    dejavu: Dejavu
    lstm: Lstm
    weights: Mapping[bool, Weights]
    possession_value: float

    def __post_init__(self) -> None:
        if set(self.weights) != {False, True}:
            raise ValueError("weights are needed with and without a rating")
        if not abs(self.possession_value) <= MAX_POSSESSION_VALUE:
            raise ValueError(f"possession_value is {self.possession_value}: no ball is worth that many points")
        object.__setattr__(self, "weights", MappingProxyType(dict(sorted(self.weights.items()))))

    @cached_property
    def lineage(self) -> str:
        """Names what points are made of, which recalibration keeps: 16 hex digits."""
        digest = hashlib.sha256(repr((dict(self.weights), self.possession_value, self.dejavu.neighbours)).encode())
        for part in (self.dejavu, self.lstm):
            for name in sorted(one.name for one in fields(part)):
                value = getattr(part, name)
                if isinstance(value, np.ndarray):
                    digest.update(f"{name} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()[:16]

    def change(self, near: Neighbours, learned: float, rated: bool, possession: int) -> float:
        """The mixed change in points, from the neighbours, the LSTM's change and who has the ball (1, 0, -1)."""
        weights = self.weights[rated]
        return weights.dejavu * near.change + weights.lstm * learned + self.possession_value * possession

    def shape(self, near: Neighbours, minute: int, mean: float) -> Floats:
        """The shape of the change, float64[161], before calibration."""
        return tilted(self.dejavu.prior(minute), near.shares, mean)

    def shapes(self, nearest: Sequence[Neighbours], means: Floats) -> Floats:
        """``shape`` of the minutes 0, 1, .. of one game, float64[len(nearest), 161], with ``means`` float64[n]."""
        priors = np.array([self.dejavu.prior(minute) for minute in range(len(nearest))])
        return tilted_rows(priors, np.array([near.shares for near in nearest]), means)


def mix(weights: Weights, dejavu_changes: Floats, lstm_changes: Floats) -> Floats:
    """The change without possession for many games at once, float64[n]."""
    mixed: Floats = weights.dejavu * dejavu_changes + weights.lstm * lstm_changes
    return mixed


def fit_possession(residuals: Floats, possession: NDArray[np.int8], spreads: Floats) -> float:
    """What the ball is worth in points, by least squares over all minutes together.

    ``residuals`` float64[n, minutes]: actual change minus the one forecast without possession, on games that fitted
    nothing; ``possession`` int8[n, minutes], ``spreads`` float64[minutes] the residuals' scale at each minute.
    """
    weighed = possession / spreads
    total = float((weighed**2).sum())
    return float((weighed * residuals / spreads).sum()) / total if total > 0.0 else 0.0


def fit_weights(dejavu_changes: Floats, lstm_changes: Floats, changes: Floats) -> Weights:
    """The weights, each at least 0 and together at most 1, with the least squared error on games neither component was
    fitted on, drawn a little towards ``USUAL_WEIGHTS``. All three float64[n], in points.

    The two components say nearly the same, so a few hundred games move weight from one to the other at will; walked
    forward over 2016-2021 nothing beats the usual weights at any minute. The optimum of a quadratic over a triangle
    lies inside it, on an edge or in a corner: each is tried.
    """
    dd, ll, dl = (
        float(dejavu_changes @ dejavu_changes),
        float(lstm_changes @ lstm_changes),
        float(dejavu_changes @ lstm_changes),
    )
    dy, ly = float(dejavu_changes @ changes), float(lstm_changes @ changes)
    dy, ly = dy + USUAL_SHARE * USUAL_WEIGHTS.dejavu * dd, ly + USUAL_SHARE * USUAL_WEIGHTS.lstm * ll
    dd, ll = dd * (1.0 + USUAL_SHARE), ll * (1.0 + USUAL_SHARE)
    candidates = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
    determinant = dd * ll - dl * dl
    if determinant > 1e-9 * dd * ll:
        candidates.append(((dy * ll - ly * dl) / determinant, (ly * dd - dy * dl) / determinant))
    if dd > 0:
        candidates.append((dy / dd, 0.0))
    if ll > 0:
        candidates.append((0.0, ly / ll))
    spread = dd - 2 * dl + ll
    if spread > 0:
        share = (dy - ly - dl + ll) / spread
        candidates.append((share, 1.0 - share))
    inside = [(d, w) for d, w in candidates if d >= 0 and w >= 0 and d + w <= 1.0]
    best = min(
        inside, key=lambda w: w[0] ** 2 * dd + 2 * w[0] * w[1] * dl + w[1] ** 2 * ll - 2 * (w[0] * dy + w[1] * ly)
    )
    return Weights(dejavu=best[0], lstm=best[1])
