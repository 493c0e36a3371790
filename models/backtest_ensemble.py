"""The ensemble walked through a season: its calibration sets roll forward date by date, as the product's do.

A request that knows who has the ball is answered from other calibration games than one that does not, so the season is
walked once for each: as if every game had been asked so, which is what the product settles too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.adaptive import Adaptive, by_date, replay
from models.backtest_walk import LEVELS, Floats, Predictions, dates_of
from models.batch import Batch
from models.calibration import Case
from models.ensemble import Ensemble
from models.mixture import Games
from models.shape import LARGEST_CHANGE, corrected, correction, pit_ends


def walk_ensemble(
    ensemble: Ensemble, seen: Games, happened: NDArray[np.int16], minute: int, window: int
) -> Predictions:
    """``seen`` are the season's games as they look after ``minute``, ``happened`` int[n] their changes until the half;
    of a game's own date none is used. Calibration keeps the newest ``window`` games."""
    n = len(seen)
    points, shapes = ensemble.points(seen, minute), np.empty((n, 2 * LARGEST_CHANGE + 1))
    half_widths = np.empty((n, len(LEVELS)))
    for rows, case in ensemble.cases(seen, minute):
        asked = seen.history.possession[:, minute] != 0 if case.possession else np.ones(n, dtype=np.bool_)
        widths, calibrated = _walk_case(ensemble, case, seen.take(asked), happened[asked], window)
        half_widths[rows], shapes[rows] = widths[rows[asked]], calibrated[rows[asked]]
    first = seen.history.margins[:, minute].astype(np.int64) - LARGEST_CHANGE
    return Predictions(points, points[:, None] - half_widths, points[:, None] + half_widths, first, shapes)


def _walk_case(
    ensemble: Ensemble, case: Case, games: Games, happened: NDArray[np.int16], window: int
) -> tuple[Floats, Floats]:
    """Half-widths float64[k, levels] and calibrated shapes float64[k, 161] of games all asked as ``case``."""
    calibration, history = ensemble.calibration[case], games.history
    batch = Batch(ensemble.mixture, games, rated=case.rated)
    means = batch.changes(case.minute, possession=case.possession)
    shapes = batch.shapes(case.minute, means)
    days = by_date(history.date, history.season, history.game_id.tolist(), happened - means)
    half_widths, _ = replay(Adaptive(calibration.errors, window=window), days, [1.0 - level for level in LEVELS])
    ends = [
        np.concatenate(pair)
        for pair in zip((calibration.below, calibration.upto), pit_ends(shapes, happened), strict=True)
    ]
    for rows in dates_of(history.date):
        known = slice(max(0, len(calibration) + rows.start - window), len(calibration) + rows.start)
        shapes[rows] = corrected(shapes[rows], correction(ends[0][known], ends[1][known]))
    return half_widths, shapes
