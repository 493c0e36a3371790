"""The recurrent network in plain numpy: what was trained in torch, run from exported arrays.

For each minute a linear rule on lead and rating says how much the margin will change until the half, and one LSTM layer
(Hochreiter and Schmidhuber 1997), reading one step a minute, margin(0) first, corrects it. The rule knows most of what
there is to know, so the network starts from it instead of having to find it; a network alone loses to the rule in the
first and the last minutes. One network serves every minute 0..23, with and without a rating.

A step has five numbers: margin / 10, its change over the minute / 3, the share of the half still to play, the expected
final margin before tip-off / 10, and 1 when that rating is known, else both are 0.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.clock import HALFTIME_MINUTE

FEATURES = 5
RULE_TERMS = 5
Floats = NDArray[np.float64]


def steps(margins: Floats, ratings: Floats, known: Floats) -> Floats:
    """Network input float64[n, T, 5] from margin(0)..margin(T-1) float64[n, T], ratings in points and known 0/1 [n]."""
    n, length = margins.shape
    out = np.zeros((n, length, FEATURES), dtype=np.float64)
    out[:, :, 0] = margins / 10.0
    out[:, 1:, 1] = (margins[:, 1:] - margins[:, :-1]) / 3.0
    out[:, :, 2] = 1.0 - np.arange(length) / HALFTIME_MINUTE
    out[:, :, 3] = (ratings * known / 10.0)[:, None]
    out[:, :, 4] = known[:, None]
    return out


@dataclass(frozen=True, eq=False)
class Lstm:
    """Weights with gates in the order input, forget, output, cell; H hidden units.

    ``input_weights`` [5, 4H], ``hidden_weights`` [H, 4H], ``gate_bias`` [4H], ``head_weights`` [H], ``head_bias`` [1],
    ``scale`` [24] points: the spread of the change at each minute, the unit of the head's answer. ``rule`` [24, 5]: the
    linear rule's constant, lead and rating factors when the rating is known, then constant and lead when it is not.
    Raises ValueError when the shapes do not fit together.
    """

    input_weights: Floats
    hidden_weights: Floats
    gate_bias: Floats
    head_weights: Floats
    head_bias: Floats
    scale: Floats
    rule: Floats

    def __post_init__(self) -> None:
        hidden = self.hidden_weights.shape[0]
        wanted = {
            "input_weights": (FEATURES, 4 * hidden),
            "hidden_weights": (hidden, 4 * hidden),
            "gate_bias": (4 * hidden,),
            "head_weights": (hidden,),
            "head_bias": (1,),
            "scale": (HALFTIME_MINUTE,),
            "rule": (HALFTIME_MINUTE, RULE_TERMS),
        }
        for name, shape in wanted.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"lstm {name} has shape {found}, {hidden} hidden units need {shape}")

    @property
    def hidden(self) -> int:
        """H."""
        return int(self.hidden_weights.shape[0])

    @cached_property
    def _halved(self) -> tuple[Floats, Floats, Floats]:
        # sigmoid(z) = tanh(z / 2) / 2 + 1/2: with the halving folded into the weights one tanh serves all four gates.
        fold = np.ones(4 * self.hidden)
        fold[: 3 * self.hidden] = 0.5
        return self.input_weights * fold, self.hidden_weights * fold, self.gate_bias * fold

    def change(self, margins: Floats, rating: float | None) -> float:
        """Expected margin(24) - margin(m) in points after margin(0)..margin(m) float64[m + 1]."""
        known = np.array([0.0 if rating is None else 1.0])
        ratings = np.array([0.0 if rating is None else rating])
        inputs = steps(margins[None, :], ratings, known)[0]
        input_weights, hidden_weights, gate_bias = self._halved
        pre = inputs @ input_weights + gate_bias
        # One buffer holds input, forget, output, candidate and cell in that order: (input, forget) times
        # (candidate, cell) is then one product, and every step writes in place.
        size = self.hidden
        buffer, hidden, kept = np.zeros(5 * size), np.zeros(size), np.empty(2 * size)
        gates, sigmoids, cell = buffer[: 4 * size], buffer[: 3 * size], buffer[4 * size :]
        opening, written, output = buffer[: 2 * size], buffer[3 * size :], buffer[2 * size : 3 * size]
        fresh, held = kept[:size], kept[size:]
        for ready in pre:
            np.dot(hidden, hidden_weights, gates)
            np.add(gates, ready, gates)
            np.tanh(gates, gates)
            np.multiply(sigmoids, 0.5, sigmoids)
            np.add(sigmoids, 0.5, sigmoids)
            np.multiply(opening, written, kept)
            np.add(fresh, held, cell)
            np.tanh(cell, hidden)
            np.multiply(hidden, output, hidden)
        minute = len(margins) - 1
        head = float(hidden @ self.head_weights) + float(self.head_bias[0])
        constant, lead, strength, unrated_constant, unrated_lead = self.rule[minute].tolist()
        if rating is None:
            ruled = unrated_constant + unrated_lead * float(margins[-1])
        else:
            ruled = constant + lead * float(margins[-1]) + strength * rating
        return float(ruled + head * float(self.scale[minute]))

    def changes(self, margins: Floats, ratings: Floats | None) -> Floats:
        """Expected change at every step: float64[n, T] from margin(0)..margin(T-1) float64[n, T], T at most 24.

        ``ratings`` float64[n] or None. Equal to ``change`` up to rounding.
        """
        n, length = margins.shape
        known = np.zeros(n) if ratings is None else np.ones(n)
        inputs = steps(margins.astype(np.float64), np.zeros(n) if ratings is None else ratings, known)
        input_weights, hidden_weights, gate_bias = self._halved
        size = self.hidden
        hidden, cell = np.zeros((n, size)), np.zeros((n, size))
        out = np.empty((n, length))
        for step in range(length):
            gates = np.tanh(hidden @ hidden_weights + (inputs[:, step] @ input_weights + gate_bias))
            sigmoids = 0.5 * gates[:, : 3 * size] + 0.5
            cell = cell * sigmoids[:, size : 2 * size] + sigmoids[:, :size] * gates[:, 3 * size :]
            hidden = np.tanh(cell) * sigmoids[:, 2 * size :]
            out[:, step] = (hidden @ self.head_weights + self.head_bias[0]) * self.scale[step]
        return out + apply_rule(self.rule, margins, ratings)


def apply_rule(rule: Floats, margins: Floats, ratings: Floats | None) -> Floats:
    """What the linear rule [24, 5] says of the change at every step, float64[n, T]; arguments as of ``changes``."""
    factors = rule[: margins.shape[1]].T
    if ratings is None:
        ruled: Floats = factors[3] + factors[4] * margins
    else:
        ruled = factors[0] + factors[1] * margins + factors[2] * ratings[:, None]
    return ruled


def fit_rule(margins: Floats, changes: Floats, ratings: Floats) -> Floats:
    """The linear rule [24, 5] by least squares, each minute for itself.

    ``margins`` and ``changes`` float64[n, 24], ``ratings`` float64[n]. A hint of a ridge keeps it defined where the
    lead is always 0, at tip-off.
    """
    n, minutes = margins.shape
    rule = np.zeros((minutes, RULE_TERMS))
    for minute in range(minutes):
        known = np.column_stack([np.ones(n), margins[:, minute], ratings])
        for columns, place in ((known, slice(0, 3)), (known[:, :2], slice(3, 5))):
            normal = columns.T @ columns + 1e-3 * np.eye(columns.shape[1])
            rule[minute, place] = np.linalg.solve(normal, columns.T @ changes[:, minute])
    return rule


LSTM_ARRAYS = tuple(field.name for field in fields(Lstm))
