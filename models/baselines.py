"""The forecasters an ensemble has to stand beside, each fitted on the same past games.

A forecaster gets games whose margins after the minute asked are hidden, and says a point for each. Whatever it knows
of the past it was given when it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.clock import HALFTIME_MINUTE
from models.mixture import Games

Floats = NDArray[np.float64]

# In units of games: shrinks a coefficient that a handful of games suggests, and nothing that a season does.
RIDGE = 10.0
PUBLISHED_NEIGHBOURS = 500
_BATCH_ROWS = 64


class MissingLibrary(ImportError):
    """A baseline whose library is not installed here."""


@dataclass(frozen=True)
class Forecaster:
    """``points(games, minute)``: the forecast margin at the half of n games, float64[n], seen after ``minute``."""

    name: str
    points: Callable[[Games, int], Floats]


def leads(games: Games, minute: int) -> Floats:
    """margin(minute), float64[n]."""
    return games.history.margins[:, minute].astype(np.float64)


def halves(games: Games) -> Floats:
    """margin(24), float64[n]: what is forecast."""
    return games.history.margins[:, HALFTIME_MINUTE].astype(np.float64)


def persistence() -> Forecaster:
    """The margin stays as it is."""
    return Forecaster("persistence", leads)


def linear(fit: Games, minutes: Sequence[int]) -> Forecaster:
    """Ridge regression of the change on lead and rating, one for each minute."""
    coefficients = {
        minute: _ridge(_lead_and_rating(fit, minute), halves(fit) - leads(fit, minute)) for minute in minutes
    }

    def points(games: Games, minute: int) -> Floats:
        said: Floats = leads(games, minute) + _lead_and_rating(games, minute) @ coefficients[minute]
        return said

    return Forecaster("linear", points)


def published_dejavu(fit: Games, neighbours: int = PUBLISHED_NEIGHBOURS) -> Forecaster:
    """Dejavu as first published: neighbours by the z-scored pattern margin(0)..margin(minute - 1), and the median of
    their outcomes. Every game as near as the last neighbour counts."""
    outcomes = halves(fit)

    def points(games: Games, minute: int) -> Floats:
        paths, wanted = _z_scored(fit, minute), _z_scored(games, minute)
        norms = (paths**2).sum(axis=1)
        said = np.empty(len(games))
        for start in range(0, len(games), _BATCH_ROWS):
            squared = norms - 2.0 * (wanted[start : start + _BATCH_ROWS] @ paths.T)
            last = np.partition(squared, min(neighbours, len(fit)) - 1, axis=1)[:, min(neighbours, len(fit)) - 1]
            for row, (distances, limit) in enumerate(zip(squared, last, strict=True)):
                # Equal paths differ in the last bit of a sum of products.
                said[start + row] = np.median(outcomes[distances <= limit + 1e-9])
        return said

    return Forecaster("dejavu-published", points)


def gradient_boosting(fit: Games, minutes: Sequence[int]) -> Forecaster:
    """Gradient-boosted trees for the change on all the ensemble knows, one model for each minute: pattern, rating and
    who has the ball.

    Raises MissingLibrary when scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError as error:
        raise MissingLibrary("scikit-learn is not installed") from error
    models = {}
    for minute in minutes:
        trees = HistGradientBoostingRegressor(
            max_iter=80,
            learning_rate=0.05,
            max_leaf_nodes=8,
            min_samples_leaf=100,
            early_stopping=False,
            random_state=0,
        )
        models[minute] = trees.fit(_all_known(fit, minute), halves(fit) - leads(fit, minute))

    def points(games: Games, minute: int) -> Floats:
        said: Floats = leads(games, minute) + models[minute].predict(_all_known(games, minute))
        return said

    return Forecaster("gradient-boosting", points)


def _lead_and_rating(games: Games, minute: int) -> Floats:
    """float64[n, 3]: 1, lead, rating."""
    return np.stack([np.ones(len(games)), leads(games, minute), games.ratings], axis=1)


def _all_known(games: Games, minute: int) -> Floats:
    """float64[n, minute + 2]."""
    pattern = games.history.margins[:, 1 : minute + 1].astype(np.float64)
    return np.concatenate([pattern, games.ratings[:, None], games.history.possession[:, minute, None]], axis=1)


def _ridge(features: Floats, targets: Floats) -> Floats:
    """Coefficients of the columns of ``features``, the first of which is 1 and not shrunk."""
    spread = np.maximum(features.std(axis=0), 1e-9)
    spread[0] = 1.0
    scaled = features / spread
    penalty = np.diag([0.0, *[RIDGE] * (features.shape[1] - 1)])
    solved: Floats = np.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ targets) / spread
    return solved


def _z_scored(games: Games, minute: int) -> Floats:
    """float64[n, minute]: each path less its own mean, in units of its own spread; a level path is all zeros."""
    paths = games.history.margins[:, :minute].astype(np.float64)
    if not minute:
        return paths
    centred = paths - paths.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    scored: Floats = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    return scored
