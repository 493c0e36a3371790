"""What the model got wrong on games that fitted nothing: a calibration set for every kind of request.

A request may know the rating and who has the ball, or not; an answer that knows less errs more. So errors are kept for
each minute and each state of knowledge, and with every error where the outcome fell in the shape that was forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.adaptive import WINDOW, Adaptive, Ledger, Settled
from models.conformal import CalibrationSet
from models.shape import correction

Floats = NDArray[np.float64]


class Case(NamedTuple):
    """What a request knows: the minute, whether there is a rating, whether it is known who has the ball."""

    minute: int
    rated: bool
    possession: bool


class Miss(NamedTuple):
    """One game's error: actual minus point, and P(less than the outcome), P(at most the outcome) as forecast."""

    game_id: str
    residual: float
    below: float
    upto: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """``errors`` of n games, oldest first; ``below`` and ``upto`` float64[n], the ends of their PITs, in 0..1;
    ``ledger`` of the season's misses so far.

    Raises ValueError when they do not belong together.
    """

    errors: CalibrationSet
    below: Floats
    upto: Floats
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        if not self.below.shape == self.upto.shape == self.errors.residuals.shape:
            raise ValueError(f"{len(self.errors)} errors, PIT ends of shapes {self.below.shape}, {self.upto.shape}")
        if not ((self.below >= 0.0) & (self.below <= self.upto) & (self.upto <= 1.0 + 1e-9)).all():
            raise ValueError("the ends of a PIT must lie in 0..1, the lower one first")

    def __len__(self) -> int:
        return len(self.errors)

    @cached_property
    def adaptive(self) -> Adaptive:
        """The interval's part: the set of errors and the ledger of misses."""
        return Adaptive(self.errors, self.ledger)

    @cached_property
    def correction(self) -> Floats:
        """The distribution's part: the map that calibrates a shape."""
        return correction(self.below, self.upto)

    def half_width(self, alpha: float) -> float:
        """Half-width of the interval at ``alpha``, points. Raises CalibrationTooSmall, BadAlpha."""
        return self.adaptive.half_width(alpha)

    def after(self, season: int, day: Sequence[Miss], window: int = WINDOW) -> Calibration:
        """With the games of one settled league date; only the newest ``window`` games are kept."""
        residuals = np.array([miss.residual for miss in day], dtype=np.float64)
        settled = Settled(season, [miss.game_id for miss in day], residuals, np.ones(len(day)))
        learned = replace(self.adaptive, window=window).update(settled)
        return Calibration(
            learned.calibration,
            np.concatenate([self.below, [miss.below for miss in day]])[-window:],
            np.concatenate([self.upto, [miss.upto for miss in day]])[-window:],
            learned.ledger,
        )

    def content(self) -> bytes:
        """Games, errors, PITs and ledger as bytes, for a digest."""
        numbers = np.concatenate([self.below, self.upto, self.ledger.stray, [self.ledger.games]]).astype("<f8")
        return self.errors.content() + numbers.tobytes() + str(self.ledger.season).encode()
