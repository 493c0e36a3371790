"""What a rehearsal plants: a league that gets harder, a model that leans to one side. Pure; nothing else uses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.clock import HALFTIME_MINUTE
from models.ensemble import Ensemble
from models.history import MARGIN_COLUMNS
from models.mixture import Games
from models.training import calibrate

DRIFT_FROM_MINUTE = 12


def harder(games: pd.DataFrame, since: date, factor: float) -> pd.DataFrame:
    """``games`` (as games.parquet has them) of league dates from ``since`` on with every change of the margin in the
    second quarter ``factor`` times as large, in whole points; scores follow."""
    out, rows = games.copy(), (games["date"] >= since).to_numpy()

    def put(column: str, values: NDArray[np.int64]) -> None:
        whole = out[column].to_numpy(copy=True)
        whole[rows] = values
        out[column] = whole

    before = games[list(MARGIN_COLUMNS)].to_numpy(dtype=np.int64)[rows]
    margins, start = before.copy(), before[:, DRIFT_FROM_MINUTE, None]
    quarter = slice(DRIFT_FROM_MINUTE + 1, HALFTIME_MINUTE + 1)
    margins[:, quarter] = start + np.rint(factor * (before[:, quarter] - start)).astype(np.int64)
    moved = margins[:, HALFTIME_MINUTE] - before[:, HALFTIME_MINUTE]
    margins[:, HALFTIME_MINUTE + 1 :] += moved[:, None]
    final = games["diff_final"].to_numpy(dtype=np.int64)[rows] + moved
    # A stretched game may end level, which no game does: it is won by a point.
    level = (final == 0).astype(np.int64)
    margins[:, -1] += level
    for minute, column in enumerate(MARGIN_COLUMNS):
        put(column, margins[:, minute])
    put("diff_final", final + level)
    for side, points in (("home", np.maximum(moved, 0)), ("away", np.maximum(-moved, 0))):
        put(f"{side}_score_24", games[f"{side}_score_24"].to_numpy(dtype=np.int64)[rows] + points)
        more = points + level if side == "home" else points
        put(f"{side}_score_final", games[f"{side}_score_final"].to_numpy(dtype=np.int64)[rows] + more)
    return out


def leaning(ensemble: Ensemble, points: float, games: Games, minutes: Sequence[int]) -> Ensemble:
    """``ensemble`` with every point moved by ``points``, calibrated on ``games`` as if it knew no better."""
    mixture = ensemble.mixture
    rule = mixture.lstm.rule.copy()
    for rated, column in ((True, 0), (False, 3)):
        rule[:, column] += points / mixture.weights[rated].lstm
    moved = replace(mixture, lstm=replace(mixture.lstm, rule=rule))
    return replace(ensemble, mixture=moved, calibration=calibrate(moved, games, tuple(minutes)))
