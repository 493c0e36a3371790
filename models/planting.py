"""What a rehearsal plants: a league that gets harder, a model that leans to one side. Pure; nothing else uses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from models.clock import HALFTIME_MINUTE
from models.ensemble import Ensemble
from models.history import MARGIN_COLUMNS
from models.mixture import Games
from models.training import calibrate

DRIFT_FROM_MINUTE = 12


def harder(games: pd.DataFrame, since: date, factor: float) -> pd.DataFrame:
    """``games`` (as games.parquet has them) of league dates from ``since`` on with every change of the margin in the
    second quarter ``factor`` times as large, in whole points; scores follow."""
    out = games.copy()
    rows = games["date"] >= since
    margins = games.loc[rows, list(MARGIN_COLUMNS)].to_numpy(dtype=np.int64)
    start = margins[:, DRIFT_FROM_MINUTE, None]
    quarter = slice(DRIFT_FROM_MINUTE + 1, HALFTIME_MINUTE + 1)
    stretched = start + np.rint(factor * (margins[:, quarter] - start)).astype(np.int64)
    moved = stretched[:, -1] - margins[:, HALFTIME_MINUTE]
    margins[:, quarter] = stretched
    margins[:, HALFTIME_MINUTE + 1 :] += moved[:, None]
    for minute, column in enumerate(MARGIN_COLUMNS):
        out.loc[rows, column] = margins[:, minute].astype(np.int16)
    out.loc[rows, "diff_final"] = games.loc[rows, "diff_final"].to_numpy() + moved
    for half, final, points in (
        ("home_score_24", "home_score_final", np.maximum(moved, 0)),
        ("away_score_24", "away_score_final", np.maximum(-moved, 0)),
    ):
        out.loc[rows, half] = games.loc[rows, half].to_numpy() + points
        out.loc[rows, final] = games.loc[rows, final].to_numpy() + points
    # A stretched game may end level, which no game does: it is won by a point.
    level = (out["diff_final"] == 0) & rows
    out.loc[level, ["diff_final", "diff_48"]] = 1
    out.loc[level, "home_score_final"] += 1
    return out


def leaning(ensemble: Ensemble, points: float, games: Games, minutes: Sequence[int]) -> Ensemble:
    """``ensemble`` with every point moved by ``points``, calibrated on ``games`` as if it knew no better."""
    mixture = ensemble.mixture
    rule = mixture.lstm.rule.copy()
    for rated, column in ((True, 0), (False, 3)):
        rule[:, column] += points / mixture.weights[rated].lstm
    moved = replace(mixture, lstm=replace(mixture.lstm, rule=rule))
    return replace(ensemble, mixture=moved, calibration=calibrate(moved, games, tuple(minutes)))
