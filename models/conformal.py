"""Split conformal prediction, its four parts kept apart: score, calibration set, quantile, set.

The promise (Vovk, Gammerman and Shafer 2005; Lei et al. 2018): when the new game and the n calibration games are
exchangeable and none was used to fit the model, the set holds the outcome with probability at least 1 - alpha, and at
most 1/(n+1) more when no two scores are equal. The unit of a calibration set is the game: one residual each, whose
size is its score.
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
    scores: Floats = np.abs(residuals)
    return scores


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


def p_values(sorted_scores: Floats, scores: Floats, chance: Floats | float = 0.5) -> Floats:
    """Conformal p-values float64[k] of new ``scores`` [k] among n calibration scores in ascending order.

    Each is the share of scores that are larger, its own counted in, where ``chance`` in 0..1 says how much of a tie
    (the score itself included) counts as larger. Margins are whole numbers, so ties do come: with ``chance`` drawn
    uniformly the p-values of exchangeable games are exactly uniform, as a PIT or a test martingale needs them (Vovk,
    Gammerman and Shafer 2005, "smoothed" p-values); 0.5 gives the mid-p, deterministic and right on average. A set at
    alpha holds the outcome whenever the p-value with ``chance`` 1 is above alpha.
    """
    n = len(sorted_scores)
    larger = n - np.searchsorted(sorted_scores, scores, side="right")
    ties = n - np.searchsorted(sorted_scores, scores, side="left") - larger
    values: Floats = (larger + chance * (ties + 1)) / (n + 1)
    return values


def online_p_values(scores: Floats, chance: Floats | float = 0.5) -> Floats:
    """The p-value float64[n] of each score among those before it, oldest first: what a test of exchangeability bets
    against. With uniform ``chance`` they are uniform and independent of each other."""
    values = np.empty(len(scores))
    drawn = np.broadcast_to(chance, len(scores))
    for place in range(len(scores)):
        before = np.sort(scores[:place])
        values[place] = p_values(before, scores[place : place + 1], drawn[place : place + 1])[0]
    return values


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
        sound = np.isfinite(self.residuals)
        if not sound.all():
            raise ValueError(f"game {self.game_ids[int(np.argmin(sound))]} has no finite residual")

    def __len__(self) -> int:
        return len(self.game_ids)

    @cached_property
    def scores(self) -> Floats:
        """Nonconformity scores in ascending order."""
        return np.sort(nonconformity(self.residuals))

    @cached_property
    def sd(self) -> float:
        """Root mean square residual, in points; 0 for an empty set."""
        return float(np.sqrt(np.mean(self.residuals**2))) if len(self) else 0.0

    def quantile(self, alpha: float) -> float:
        """Half-width of the interval at ``alpha``. Raises CalibrationTooSmall, BadAlpha."""
        return conformal_quantile(self.scores, alpha)

    def rolled(self, game_ids: Iterable[str], residuals: Iterable[float], window: int) -> CalibrationSet:
        """With newer games appended and only the newest ``window`` kept."""
        new = np.fromiter(residuals, dtype=np.float64)
        return CalibrationSet((*self.game_ids, *game_ids)[-window:], np.concatenate([self.residuals, new])[-window:])

    def content(self) -> bytes:
        """The set's games and residuals as bytes, for a digest."""
        return "\n".join(self.game_ids).encode() + b"\0" + self.residuals.astype("<f8").tobytes()
