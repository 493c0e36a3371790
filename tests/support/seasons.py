"""A small league of several seasons, and how to walk it forward in seconds."""

from __future__ import annotations

import datetime as dt
from dataclasses import fields

import numpy as np

from models.backtest import BacktestSpec, SeasonResult, answered_by
from models.backtest_scores import Scores, score, skills
from models.backtest_walk import Predictions, fixed
from models.history import History
from models.lstm_training import LstmSpec
from models.mixture import Games
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


def made_season(
    season: int, minutes: tuple[int, ...] = (6, 18), games: int = 120, notes: tuple[str, ...] = ()
) -> SeasonResult:
    """A season nobody trained for: the ensemble errs by 4 points, persistence by 6, Dejavu as published by 9."""
    generator = np.random.default_rng(season)
    history = make_history(games, season, dt.date(season, 10, 20), season)
    actual = history.margins[:, 24].astype(np.float64)
    scores: dict[tuple[int, str], Scores] = {}
    answered = []
    for minute in minutes:
        said: dict[str, Predictions] = {}
        for name, error in (("persistence", 6.0), ("linear", 4.5), ("dejavu-published", 9.0), ("ensemble", 4.0)):
            errors = generator.normal(0.0, error, games + 200)
            said[name] = fixed(errors[:200], actual - errors[200:], history.date)
        said["split-conformal"] = said["ensemble"]
        found = {name: score(name, minute, season, one, actual) for name, one in said.items()}
        beside = skills(list(found.values()), [found["persistence"]] * len(found), history.date)
        for (name, scored), row in zip(found.items(), beside, strict=True):
            scored.row.update(row)
            scores[minute, name] = scored
        answered.append(answered_by(Games(history, np.zeros(games)), minute, said["ensemble"]))
    return SeasonResult(season, history.date, scores, tuple(answered), notes)
