"""The recurrent network, run by ONNX Runtime from exported arrays: what was trained in torch, without torch.

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
from models.lstm_graph import Network

FEATURES = 5
RULE_TERMS = 5
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

STEP_UNITS = np.array([10.0, 3.0, 1.0, 10.0, 1.0])
_LEFT = (1.0 - np.arange(HALFTIME_MINUTE) / HALFTIME_MINUTE).astype(np.float32)


def steps(margins: Floats, ratings: Floats | None) -> Singles:
    """Network input yet to be divided by ``STEP_UNITS``: float32[T, n, 5] from margin(0)..margin(T-1) float64[n, T],
    T at most 24, and ratings float64[n] in points, None when they are not known."""
    n, length = margins.shape
    out = np.zeros((length, n, FEATURES), dtype=np.float32)
    by_minute = margins.T
    out[:, :, 0] = by_minute
    out[1:, :, 1] = by_minute[1:] - by_minute[:-1]
    out[:, :, 2] = _LEFT[:length, None]
    if ratings is not None:
        out[:, :, 3] = ratings
        out[:, :, 4] = 1.0
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

    def change(self, margins: Floats, rating: float | None) -> float:
        """Expected margin(24) - margin(m) in points after margin(0)..margin(m) float64[m + 1]."""
        ratings = None if rating is None else np.array([rating])
        minute, lead = len(margins) - 1, float(margins[-1])
        said = float(self._network.answer(steps(margins[None, :], ratings))[-1, 0]) + float(self.head_bias[0])
        constant, factor, strength, unrated_constant, unrated_factor = self.rule[minute].tolist()
        if rating is None:
            ruled = unrated_constant + unrated_factor * lead
        else:
            ruled = constant + factor * lead + strength * rating
        return float(said * float(self.scale[minute]) + ruled)

    def changes(self, margins: Floats, ratings: Floats | None) -> Floats:
        """Expected change at every step: float64[n, T] from margin(0)..margin(T-1) float64[n, T], T at most 24.

        ``ratings`` float64[n] or None. The same bits for one game as for many, for few steps as for all.
        """
        said = self._network.answer(steps(margins, ratings)).T + self.head_bias
        return said * self.scale[: margins.shape[1]] + apply_rule(self.rule, margins, ratings)

    @cached_property
    def _network(self) -> Network:
        inputs = self.input_weights / STEP_UNITS[:, None]
        return Network(inputs, self.hidden_weights, self.gate_bias, self.head_weights)

    def warm(self) -> None:
        """Make the network now, which the first answer would otherwise wait for."""
        _ = self._network


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
