"""A small league of several seasons, and how to walk it forward in seconds."""

from __future__ import annotations

import datetime as dt
from dataclasses import fields

import numpy as np

from models.backtest import BacktestSpec
from models.history import History
from models.lstm_training import LstmSpec
from models.training import TrainingSpec
from tests.unit.models.builders import make_history


def several_seasons(*years: int, games: int = 240) -> History:
    """``games`` games in each season."""
    parts = [make_history(games, year, dt.date(year, 10, 20), year) for year in years]
    arrays = [field.name for field in fields(History) if field.name != "source"]
    return History(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays}, source="simulated"
    )


def small_spec(*minutes: int, calibration_games: int = 120, neighbours: int = 40) -> BacktestSpec:
    """A model trained at ``minutes`` alone, which are also those walked."""
    training = TrainingSpec(
        as_of=dt.date.max,
        calibration_games=calibration_games,
        validation_games=80,
        neighbours=neighbours,
        possession_games=40,
        minutes=minutes,
        lstm=LstmSpec(hidden=4, epochs=1, batch=64),
    )
    return BacktestSpec(minutes=minutes, training=training, window=100)
