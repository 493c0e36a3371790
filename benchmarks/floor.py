"""What a forecast costs at the least in plain numpy and ONNX Runtime: one matrix-vector product for the distances to
all games, a partition for the nearest, the mean of what came next, and the network. No interval, no distribution, no
explanation, no check.
"""

from __future__ import annotations

import numpy as np

from models.dejavu import RATING_WEIGHT, Dejavu
from models.lstm import STEP_UNITS, Lstm, steps
from models.lstm_graph import Network


class Floor:
    """``in_columns`` lays the games out in columns, which makes the product faster, as Dejavu does it; else there is a
    row of coordinates for each game."""

    def __init__(self, dejavu: Dejavu, lstm: Lstm, minute: int, *, in_columns: bool) -> None:
        weighed = RATING_WEIGHT * dejavu.ratings[:, None]
        rows = np.concatenate([weighed, dejavu.margins[:, 1 : minute + 1]], axis=1).astype(np.float32)
        self._rows = np.ascontiguousarray(rows.T) if in_columns else rows
        self._in_columns = in_columns
        self._norms = (rows**2).sum(axis=1)
        self._changes = (dejavu.margins[:, 24] - dejavu.margins[:, minute]).astype(np.float32)
        self._neighbours = dejavu.neighbours
        self._network = Network(
            lstm.input_weights / STEP_UNITS[:, None], lstm.hidden_weights, lstm.gate_bias, lstm.head_weights
        )

    def answer(self, pattern: list[float], rating: float) -> tuple[float, float]:
        """What Dejavu and the network say."""
        wanted = np.array([RATING_WEIGHT * round(rating), *pattern], dtype=np.float32)
        products = wanted @ self._rows if self._in_columns else self._rows @ wanted
        nearest = np.argpartition(self._norms - 2.0 * products, self._neighbours)[: self._neighbours]
        margins = np.array([[0.0, *pattern]])
        learned = self._network.answer(steps(margins, np.array([rating])))
        return float(self._changes[nearest].mean()), float(learned[-1, 0])
