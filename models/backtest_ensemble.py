"""The ensemble walked through a season: calibration sets and ledger follow it date by date, as the product's do.

A request that knows who has the ball is answered from another calibration set than one that does not, and every game
settles in each state of knowledge that is a part of what was known of it; the ledger counts it once, as it was asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.adaptive import ALPHAS, Adaptive
from models.backtest_walk import LEVELS, Floats, Predictions, dates_of
from models.batch import Batch
from models.calibration import Case, Miss
from models.conformal import nonconformity
from models.ensemble import Ensemble
from models.mixture import Games
from models.shape import LARGEST_CHANGE, corrected, pit_ends


@dataclass(frozen=True, eq=False)
class _Known:
    """A state of knowledge: ``settles`` and ``answered`` bool[n] which games settle so and which were asked so; the
    shapes float64[n, 161] before calibration, their PIT ends and the errors float64[n] of asking every game so."""

    settles: NDArray[np.bool_]
    answered: NDArray[np.bool_]
    shapes: Floats
    below: Floats
    upto: Floats
    errors: Floats


def walk_ensemble(
    ensemble: Ensemble, batch: Batch, seen: Games, happened: NDArray[np.int16], minute: int, window: int
) -> Predictions:
    """``seen`` are the season's games as they look after ``minute``, ``batch`` what is said of them with their ratings,
    ``happened`` int[n] their changes until the half. Of a date's own games none is used before all are forecast;
    calibration keeps the newest ``window`` games."""
    known = _states(ensemble, batch, seen, happened, minute)
    calibration, ledger = {case: ensemble.calibration[case] for case in known}, ensemble.ledgers[minute]
    ids, seasons = seen.history.game_id.tolist(), seen.history.season.tolist()
    half_widths, pmf = np.empty((len(seen), len(LEVELS))), np.empty((len(seen), 2 * LARGEST_CHANGE + 1))
    for day in dates_of(seen.history.date):
        stray = np.zeros(len(ALPHAS))
        for case, state in known.items():
            rows = day.start + np.flatnonzero(state.answered[day])
            adaptive = Adaptive(calibration[case].errors, ledger)
            half_widths[rows] = [adaptive.half_width(1.0 - level) for level in LEVELS]
            pmf[rows] = corrected(state.shapes[rows], calibration[case].correction)
            stray += adaptive.strays(nonconformity(state.errors[rows]))
        ledger = ledger.after(seasons[day.start], day.stop - day.start, stray)
        for case, state in known.items():
            settled = (day.start + np.flatnonzero(state.settles[day])).tolist()
            misses = [
                Miss(ids[row], float(state.errors[row]), float(state.below[row]), float(state.upto[row]))
                for row in settled
            ]
            calibration[case] = calibration[case].rolled(misses, window)
    margins = seen.history.margins[:, minute].astype(np.int64)
    points = margins + batch.changes(minute, possession=True)
    lower, upper = points[:, None] - half_widths, points[:, None] + half_widths
    return Predictions(points, lower, upper, margins - LARGEST_CHANGE, pmf)


def _states(
    ensemble: Ensemble, batch: Batch, seen: Games, happened: NDArray[np.int16], minute: int
) -> dict[Case, _Known]:
    ball = seen.history.possession[:, minute] != 0
    answered = np.array([ensemble.case(minute, True, int(held)).possession for held in ball], dtype=np.bool_)
    states: dict[Case, _Known] = {}
    for possession in (False, True):
        case = Case(minute, True, possession)
        if case in ensemble.calibration:
            means = batch.changes(minute, possession=possession)
            shapes = batch.shapes(minute, means)
            settles = ball if possession else np.ones_like(ball)
            ends = pit_ends(shapes, happened)
            states[case] = _Known(settles, answered == possession, shapes, *ends, happened - means)
    return states
