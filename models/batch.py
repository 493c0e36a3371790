"""Many games asked at once: the same answers as one by one, for training, calibration and the backtest."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.clock import HALFTIME_MINUTE
from models.mixture import Games, Mixture, mix
from models.shape import tilted_rows

Floats = NDArray[np.float64]


class Batch:
    """What ``mixture`` says of ``games``, asked with their ratings or without."""

    def __init__(self, mixture: Mixture, games: Games, *, rated: bool) -> None:
        self._mixture, self._games, self._rated = mixture, games, rated
        self._last: tuple[int, tuple[Floats, Floats]] | None = None

    def components(self, minute: int) -> tuple[Floats, Floats]:
        """What Dejavu and the LSTM say the change will be, float64[n] each."""
        return self._looked(minute)[0], self._learned[:, minute]

    def changes(self, minute: int, *, possession: bool) -> Floats:
        """The mixed change, float64[n]; ``possession`` False leaves out who has the ball."""
        mixed = mix(self._mixture.weights[self._rated], *self.components(minute))
        if not possession:
            return mixed
        held: Floats = mixed + self._mixture.possession_value * self._games.history.possession[:, minute]
        return held

    def shapes(self, minute: int, means: Floats) -> Floats:
        """Shapes float64[n, 161] with these means, before calibration."""
        return tilted_rows(self._mixture.dejavu.prior(minute), self._looked(minute)[1], means)

    @cached_property
    def _margins(self) -> Floats:
        return self._games.history.margins[:, :HALFTIME_MINUTE].astype(np.float64)

    @property
    def _ratings(self) -> Floats | None:
        return self._games.ratings if self._rated else None

    @cached_property
    def _learned(self) -> Floats:
        return self._mixture.lstm.changes(self._margins, self._ratings)

    def _looked(self, minute: int) -> tuple[Floats, Floats]:
        """The neighbours' changes and shares; those of the minute asked last are kept."""
        if self._last is None or self._last[0] != minute:
            self._last = minute, self._mixture.dejavu.looks(self._margins[:, 1 : minute + 1], self._ratings)
        return self._last[1]
