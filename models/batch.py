"""Many games asked at once: the same answers as one by one, for training, calibration and the backtest."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.clock import HALFTIME_MINUTE
from models.mixture import Games, Mixture, mix
from models.shape import CHANGES, tilted

Floats = NDArray[np.float64]


class Batch:
    """What ``mixture`` says of ``games``, asked with their ratings or without."""

    def __init__(self, mixture: Mixture, games: Games, *, rated: bool) -> None:
        self._mixture, self._games, self._rated = mixture, games, rated
        self._counted: tuple[int, Floats] | None = None

    def components(self, minute: int) -> tuple[Floats, Floats]:
        """What Dejavu and the LSTM say the change will be, float64[n] each."""
        counts = self._counts(minute)
        # Whole numbers: both sums are exact.
        return (counts @ CHANGES) / counts.sum(axis=1), self._learned[:, minute]

    def changes(self, minute: int, *, possession: bool) -> Floats:
        """The mixed change, float64[n]; ``possession`` False leaves out who has the ball."""
        mixed = mix(self._mixture.weights[self._rated], *self.components(minute))
        if not possession:
            return mixed
        held: Floats = mixed + self._mixture.possession_value * self._games.history.possession[:, minute]
        return held

    def shapes(self, minute: int, means: Floats) -> Floats:
        """Shapes float64[n, 161] with these means, before calibration."""
        prior = self._mixture.dejavu.prior(minute)
        shapes = np.empty((len(means), len(CHANGES)))
        for row, (counts, mean) in enumerate(zip(self._counts(minute), means.tolist(), strict=True)):
            shapes[row] = tilted(prior, counts, mean)
        return shapes

    @cached_property
    def _margins(self) -> Floats:
        return self._games.history.margins[:, :HALFTIME_MINUTE].astype(np.float64)

    @property
    def _ratings(self) -> Floats | None:
        return self._games.ratings if self._rated else None

    @cached_property
    def _learned(self) -> Floats:
        return self._mixture.lstm.changes(self._margins, self._ratings)

    def _counts(self, minute: int) -> Floats:
        """The neighbours' changes counted, float64[n, 161]; those of the minute asked last are kept."""
        if self._counted is None or self._counted[0] != minute:
            counts = self._mixture.dejavu.counts(self._margins[:, 1 : minute + 1], self._ratings)
            self._counted = minute, counts
        return self._counted[1]
