"""The mixture the service answers with.

    point = margin(m) + w_dejavu * change(Dejavu) + w_lstm * change(LSTM)

What the weights leave of 1 is persistence: the answer shrinks towards "the margin stays as it is" where the components
know little. Requests with and without a rating have their own weights and calibration, since an answer without a
rating errs more; calibration is kept for each minute too. Weights are not: fitted minute by minute they follow the
noise of one validation set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from models.conformal import CalibrationSet, prediction_set
from models.dejavu import Dejavu
from models.distribution import conformal_distribution
from models.forecast import (
    Components,
    Forecast,
    UnsupportedMinute,
    Weights,
    checked_alpha,
    checked_pattern,
    checked_rating,
    persistence,
)
from models.history import SOURCES
from models.lstm import Lstm
from models.ratings import Ratings

SIMILAR_GAMES = 5

Floats = NDArray[np.float64]
Case = tuple[int, bool]
"""(minute, whether a rating is known): what a calibration set is kept for."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Everything a forecast is computed from. Immutable; ``dataclasses.replace`` makes a changed one.

    ``source`` says what kind of games it learned, ``trained_through`` the date of the newest of them, calibration
    included. ``weights`` are by whether a rating is known. Raises ValueError when a part is missing or a calibration
    game is also a game Dejavu remembers.
    """

    dejavu: Dejavu
    lstm: Lstm
    ratings: Ratings
    weights: Mapping[bool, Weights]
    calibration: Mapping[Case, CalibrationSet]
    source: str
    trained_through: date

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"source is {self.source!r}: it must be one of {', '.join(SOURCES)}")
        minutes = {minute for minute, _ in self.calibration}
        if not minutes or set(self.calibration) != {(minute, rated) for minute in minutes for rated in (False, True)}:
            raise ValueError("each minute needs a calibration set with and one without a rating")
        if set(self.weights) != {False, True}:
            raise ValueError("weights are needed with and without a rating")
        remembered = set(self.dejavu.game_id.tolist())
        for case, games in self.calibration.items():
            seen = remembered.intersection(games.game_ids)
            if seen:
                raise ValueError(f"game {min(seen)} calibrates {case} but was also used to fit: leave it out of one")
        object.__setattr__(self, "weights", MappingProxyType(dict(sorted(self.weights.items()))))
        object.__setattr__(self, "calibration", MappingProxyType(dict(sorted(self.calibration.items()))))

    @property
    def minutes(self) -> tuple[int, ...]:
        """Minutes a forecast can be asked for, with or without a rating."""
        return tuple(minute for minute, rated in self.calibration if not rated)

    @property
    def ratings_as_of(self) -> date | None:
        """The newest league date the ratings have seen."""
        return self.ratings.as_of

    @cached_property
    def calibration_id(self) -> str:
        """Names the calibration games and their residuals, whatever alpha is asked: 16 hex digits."""
        digest = hashlib.sha256()
        for (minute, rated), games in self.calibration.items():
            digest.update(f"{minute} {rated} ".encode())
            digest.update(hashlib.sha256(games.content()).digest())
        return digest.hexdigest()[:16]

    def rate(self, home: str | None, away: str | None) -> float | None:
        """Expected final margin in points, or None when either team is not named. Raises UnknownTeam."""
        for team in (home, away):
            if team and not self.ratings.knows(team):
                self.ratings.expected(team, team)
        if not home or not away:
            return None
        return self.ratings.expected(home, away)

    def forecast(self, pattern: Sequence[float], minute: int, alpha: float, rating: float | None) -> Forecast:
        """The margin at the half, seen after ``minute`` minutes. Pure: same input, same bits.

        ``pattern`` is margin(1)..margin(minute), home minus away; ``rating`` the expected final margin in points or
        None. Raises BadPattern, UnsupportedMinute, BadAlpha, BadRating, CalibrationTooSmall.
        """
        margins = checked_pattern(pattern, minute)
        level, known = checked_alpha(alpha), checked_rating(rating)
        case = self._case(minute, known is not None)
        half_width = self.calibration[case].quantile(level)
        now = persistence(margins)
        path = np.array([0.0, *margins])
        dejavu_change, similar = self.dejavu.look(path[1:], known, SIMILAR_GAMES)
        lstm_change = self.lstm.change(path, known)
        weights = self.weights[known is not None]
        point = now + weights.dejavu * dejavu_change + weights.lstm * lstm_change
        return Forecast(
            point=point,
            interval=prediction_set(point, half_width),
            alpha=level,
            minute=minute,
            components=Components(now + dejavu_change, now + lstm_change, now),
            weights=weights,
            similar=similar,
            rating=known,
            half_width=half_width,
            sd=self.calibration[case].sd,
            n_calibration=len(self.calibration[case]),
            distribution=conformal_distribution(point, 1.0, self.calibration[case].ordered),
        )

    def point(self, pattern: Sequence[float], minute: int, rating: float | None) -> float:
        """The point alone, the same bits as ``forecast(...).point``. Raises as ``forecast`` does."""
        margins = checked_pattern(pattern, minute)
        known = checked_rating(rating)
        weights = self.weights[self._case(minute, known is not None)[1]]
        path = np.array([0.0, *margins])
        dejavu_change, _ = self.dejavu.look(path[1:], known, 1)
        return persistence(margins) + weights.dejavu * dejavu_change + weights.lstm * self.lstm.change(path, known)

    def _case(self, minute: int, rated: bool) -> Case:
        if (minute, rated) not in self.calibration:
            known = ", ".join(str(known) for known in self.minutes)
            raise UnsupportedMinute(f"minute {minute}: this model answers at minute {known}")
        return minute, rated

    def warm(self) -> None:
        """Compute now what the first forecast would otherwise wait for."""
        self.dejavu.warm()
        for games in self.calibration.values():
            _ = games.scores, games.ordered, games.sd


def mix(weights: Weights, dejavu_changes: Floats, lstm_changes: Floats) -> Floats:
    """The ensemble's change for many games at once, float64[n]."""
    mixed: Floats = weights.dejavu * dejavu_changes + weights.lstm * lstm_changes
    return mixed


def fit_weights(dejavu_changes: Floats, lstm_changes: Floats, changes: Floats) -> Weights:
    """The weights, each at least 0 and together at most 1, with the least squared error on games neither component was
    fitted on. All three float64[n], in points.

    The optimum of a quadratic over a triangle lies inside it, on an edge or in a corner: each is tried.
    """
    dd, ll, dl = (
        float(dejavu_changes @ dejavu_changes),
        float(lstm_changes @ lstm_changes),
        float(dejavu_changes @ lstm_changes),
    )
    dy, ly = float(dejavu_changes @ changes), float(lstm_changes @ changes)
    candidates = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
    determinant = dd * ll - dl * dl
    if determinant > 1e-9 * dd * ll:
        candidates.append(((dy * ll - ly * dl) / determinant, (ly * dd - dy * dl) / determinant))
    if dd > 0:
        candidates.append((dy / dd, 0.0))
    if ll > 0:
        candidates.append((0.0, ly / ll))
    spread = dd - 2 * dl + ll
    if spread > 0:
        share = (dy - ly - dl + ll) / spread
        candidates.append((share, 1.0 - share))
    inside = [(d, w) for d, w in candidates if d >= 0 and w >= 0 and d + w <= 1.0]
    best = min(
        inside, key=lambda w: w[0] ** 2 * dd + 2 * w[0] * w[1] * dl + w[1] ** 2 * ll - 2 * (w[0] * dy + w[1] * ly)
    )
    return Weights(dejavu=best[0], lstm=best[1])
