"""Split conformal prediction, its four parts kept apart: score, calibration set, quantile, set.

The promise (Vovk, Gammerman and Shafer 2005; Lei et al. 2018): when the new game and the n calibration games are
exchangeable and none was used to fit the model, the set holds the outcome with probability at least 1 - alpha, and at
most 1/(n+1) more when no two scores are equal. The unit of a calibration set is the game: one residual each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.forecast import CalibrationTooSmall, Interval, checked_alpha

Floats = NDArray[np.float64]

# alpha reaches us as the nearest double: 0.05 * 20 must count as 1, not as a hair less.
_ROUNDING = 1e-9
# Below this the number of games needed is only said to be at least this large.
_SMALLEST_ALPHA = 1e-12


def nonconformity(residuals: Floats) -> Floats:
    """How strange each game was to its forecast: the size of actual minus point, in points."""
    return np.abs(residuals)


def games_needed(alpha: float) -> int:
    """Smallest calibration set that supports ``alpha``: ceil((n + 1)(1 - alpha)) <= n. Raises BadAlpha."""
    return math.ceil(1.0 / max(checked_alpha(alpha), _SMALLEST_ALPHA) - _ROUNDING) - 1


def conformal_rank(n: int, alpha: float) -> int:
    """ceil((n + 1)(1 - alpha)): which of n sorted scores, counted from 1, is the conformal quantile.

    Raises CalibrationTooSmall when that is past the last one, BadAlpha.
    """
    rank = n + 1 - math.floor((n + 1) * checked_alpha(alpha) + _ROUNDING)
    if rank > n:
        raise CalibrationTooSmall(n, games_needed(alpha), alpha)
    # alpha close to 1 asks for the smallest set there is; rank 0 would be the empty one, which holds no point.
    return max(rank, 1)


def conformal_quantile(sorted_scores: Floats, alpha: float) -> float:
    """The conformal quantile of scores in ascending order. Raises CalibrationTooSmall, BadAlpha."""
    return float(sorted_scores[conformal_rank(len(sorted_scores), alpha) - 1])


def prediction_set(point: float, quantile: float) -> Interval:
    """Every outcome whose score does not exceed ``quantile``: a closed interval around ``point``."""
    return Interval(point - quantile, point + quantile)


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """One residual (actual minus point, points) for each of n games, oldest first.

    The residuals keep their sign: the interval needs their size alone, a full distribution needs both.
    Raises ValueError for a game that comes twice or a residual that is not finite.
    """

    game_ids: tuple[str, ...]
    residuals: Floats

    def __post_init__(self) -> None:
        if self.residuals.shape != (len(self.game_ids),):
            raise ValueError(f"{len(self.game_ids)} games but residuals of shape {self.residuals.shape}")
        if len(set(self.game_ids)) != len(self.game_ids):
            raise ValueError("a game comes twice in the calibration set: its unit is the game")
        if not np.isfinite(self.residuals).all():
            raise ValueError(
                f"game {self.game_ids[int(np.argmin(np.isfinite(self.residuals)))]} has no finite residual"
            )

    def __len__(self) -> int:
        return len(self.game_ids)

    @cached_property
    def scores(self) -> Floats:
        """Nonconformity scores in ascending order."""
        return np.sort(nonconformity(self.residuals))

    @cached_property
    def ordered(self) -> Floats:
        """The signed residuals in ascending order."""
        return np.sort(self.residuals)

    @cached_property
    def sd(self) -> float:
        """Root mean square residual, in points; 0 for an empty set."""
        return float(np.sqrt(np.mean(self.residuals**2))) if len(self) else 0.0

    def quantile(self, alpha: float) -> float:
        """Half-width of the interval at ``alpha``. Raises CalibrationTooSmall, BadAlpha."""
        return conformal_quantile(self.scores, alpha)

    def rolled(self, game_ids: Iterable[str], residuals: Iterable[float], window: int) -> CalibrationSet:
        """With newer games appended and only the newest ``window`` kept."""
        ids = (*self.game_ids, *game_ids)
        values = np.concatenate([self.residuals, np.fromiter(residuals, dtype=np.float64)])
        return CalibrationSet(ids[-window:], values[-window:])

    def content(self) -> bytes:
        """The set's games and residuals as bytes, for a digest."""
        return "\n".join(self.game_ids).encode() + b"\0" + self.residuals.astype("<f8").tobytes()
