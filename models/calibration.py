"""What the model got wrong on games that fitted nothing: a calibration set for every kind of request.

A request may know the rating and who has the ball, or not; an answer that knows less errs more. So errors are kept for
each minute and each state of knowledge, and with every error where the outcome fell in the shape that was forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.adaptive import ALPHAS, WINDOW, Adaptive, Ledger
from models.conformal import CalibrationSet, nonconformity
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
    """``errors`` of n games, oldest first; ``below`` and ``upto`` float64[n], the ends of their PITs, in 0..1.

    Raises ValueError when they do not belong together.
    """

    errors: CalibrationSet
    below: Floats
    upto: Floats

    def __post_init__(self) -> None:
        if not self.below.shape == self.upto.shape == self.errors.residuals.shape:
            raise ValueError(f"{len(self.errors)} errors, PIT ends of shapes {self.below.shape}, {self.upto.shape}")
        if not ((self.below >= 0.0) & (self.below <= self.upto) & (self.upto <= 1.0 + 1e-9)).all():
            raise ValueError("the ends of a PIT must lie in 0..1, the lower one first")

    def __len__(self) -> int:
        return len(self.errors)

    @cached_property
    def correction(self) -> Floats:
        """The map that calibrates a shape."""
        return correction(self.below, self.upto)

    def rolled(self, day: Sequence[Miss], window: int = WINDOW) -> Calibration:
        """With the games of one settled league date; only the newest ``window`` games are kept."""
        ids, residuals = [miss.game_id for miss in day], [miss.residual for miss in day]
        return Calibration(
            self.errors.rolled(ids, residuals, window),
            np.concatenate([self.below, [miss.below for miss in day]])[-window:],
            np.concatenate([self.upto, [miss.upto for miss in day]])[-window:],
        )

    def content(self) -> bytes:
        """Games, errors and PITs as bytes, for a digest."""
        return self.errors.content() + np.concatenate([self.below, self.upto]).astype("<f8").tobytes()


def after_date(
    sets: Mapping[Case, Calibration],
    ledger: Ledger,
    season: int,
    asked: Mapping[str, Case],
    misses: Mapping[Case, Sequence[Miss]],
    window: int = WINDOW,
) -> tuple[dict[Case, Calibration], Ledger]:
    """One minute's calibration after a league date: (the sets of ``misses`` with the date's games, the ledger).

    ``asked`` says in which case each game was forecast; the ledger counts it there, with the interval it had in the
    evening. ``misses`` has the errors in every case, asked or not: all sets learn from all games they may. Raises
    ValueError for a game a set already holds.
    """
    stray = np.zeros(len(ALPHAS))
    for case in sorted(set(asked.values())):
        residuals = np.array([miss.residual for miss in misses[case] if asked[miss.game_id] == case])
        stray += Adaptive(sets[case].errors, ledger).strays(nonconformity(residuals))
    rolled = {case: sets[case].rolled(day, window) for case, day in misses.items()}
    return rolled, ledger.after(season, len(asked), stray)
