"""Split conformal prediction, its four parts kept apart: score, calibration set, quantile, set.

The promise (Vovk, Gammerman and Shafer 2005; Lei et al. 2018): when the new game and the n calibration games are
exchangeable and none was used to fit the model, the set holds the outcome with probability at least 1 - alpha, and at
most 1/(n+1) more when no two scores are equal. The unit of a calibration set is the game: one residual each.

A score is the size of the error in units of how hard the forecast was (normalised residuals: Papadopoulos, Gammerman
and Vovk 2008), so a forecast that says it is hard gets a wider interval. With every scale 1 it is the plain score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.forecast import CalibrationTooSmall, Interval, checked_alpha

Floats = NDArray[np.float64]

# alpha reaches us as the nearest double: 0.05 * 20 must count as 1, not as a hair less.
_ROUNDING = 1e-9
# Below this the number of games needed is only said to be at least this large.
_SMALLEST_ALPHA = 1e-12


def nonconformity(residuals: Floats, scales: Floats | float = 1.0) -> Floats:
    """How strange each game was to its forecast: the size of actual minus point (points) over ``scales`` > 0."""
    scores: Floats = np.abs(residuals) / scales
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


def prediction_set(point: float, quantile: float, scale: float = 1.0) -> Interval:
    """Every outcome whose score does not exceed ``quantile``: a closed interval around ``point``."""
    return Interval(point - quantile * scale, point + quantile * scale)


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
    """One residual (actual minus point, points) and one scale (how hard the forecast was, above 0) for each of n games,
    oldest first. Without scales every one is 1.

    The residuals keep their sign: the interval needs their size alone, a full distribution needs both.
    Raises ValueError for a game that comes twice, a residual that is not finite or a scale that is not positive.
    """

    game_ids: tuple[str, ...]
    residuals: Floats
    scales: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if not self.scales.size:
            object.__setattr__(self, "scales", np.ones(len(self.game_ids)))
        for name in ("residuals", "scales"):
            if getattr(self, name).shape != (len(self.game_ids),):
                raise ValueError(f"{len(self.game_ids)} games but {name} of shape {getattr(self, name).shape}")
        if len(set(self.game_ids)) != len(self.game_ids):
            raise ValueError("a game comes twice in the calibration set: its unit is the game")
        sound = np.isfinite(self.residuals)
        if not sound.all():
            raise ValueError(f"game {self.game_ids[int(np.argmin(sound))]} has no finite residual")
        sound = np.isfinite(self.scales) & (self.scales > 0)
        if not sound.all():
            worst = int(np.argmin(sound))
            raise ValueError(f"game {self.game_ids[worst]} has scale {self.scales[worst]}: it must be above 0")

    def __len__(self) -> int:
        return len(self.game_ids)

    @cached_property
    def scores(self) -> Floats:
        """Nonconformity scores in ascending order."""
        return np.sort(nonconformity(self.residuals, self.scales))

    @cached_property
    def ordered(self) -> Floats:
        """The signed residuals, each over its own scale, in ascending order."""
        return np.sort(self.residuals / self.scales)

    @cached_property
    def sd(self) -> float:
        """Root mean square residual, in points; 0 for an empty set."""
        return float(np.sqrt(np.mean(self.residuals**2))) if len(self) else 0.0

    def quantile(self, alpha: float) -> float:
        """Half-width of the interval at ``alpha`` for a forecast of scale 1. Raises CalibrationTooSmall, BadAlpha."""
        return conformal_quantile(self.scores, alpha)

    def rolled(
        self,
        game_ids: Iterable[str],
        residuals: Iterable[float],
        window: int,
        scales: Iterable[float] | None = None,
    ) -> CalibrationSet:
        """With newer games appended and only the newest ``window`` kept."""
        new = np.fromiter(residuals, dtype=np.float64)
        hard = np.ones(len(new)) if scales is None else np.fromiter(scales, dtype=np.float64)
        return CalibrationSet(
            (*self.game_ids, *game_ids)[-window:],
            np.concatenate([self.residuals, new])[-window:],
            np.concatenate([self.scales, hard])[-window:],
        )

    def content(self) -> bytes:
        """The set's games, residuals and scales as bytes, for a digest."""
        numbers = np.concatenate([self.residuals, self.scales]).astype("<f8")
        return "\n".join(self.game_ids).encode() + b"\0" + numbers.tobytes()
