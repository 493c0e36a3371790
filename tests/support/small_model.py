"""A small but complete ensemble, made in milliseconds from random walks: well-formed answers, no clever ones."""

from __future__ import annotations

from datetime import date

import numpy as np

from models.clock import HALFTIME_MINUTE
from models.dejavu import Dejavu
from models.ensemble import Ensemble
from models.forecast import Weights
from models.history import MINUTES_RECORDED, History
from models.lstm import FEATURES, RULE_TERMS, Lstm
from models.mixture import Games, Mixture
from models.ratings import rate_history
from models.training import calibrate

TEAMS = ("BOS", "CHI", "DEN", "LAL", "MIA", "NYK")


def small_history(games: int = 300, seed: int = 1) -> History:
    """``games`` random walks between six teams, three a day from 2021-10-20, source simulated."""
    chance = np.random.default_rng(seed)
    steps = chance.integers(-4, 5, size=(games, MINUTES_RECORDED)).astype(np.int16)
    steps[:, 0] = 0
    margins = np.cumsum(steps, axis=1).astype(np.int16)
    home = np.array([TEAMS[i % 6] for i in range(games)])
    away = np.array([TEAMS[(i + 1 + i // 6 % 5) % 6] for i in range(games)])
    return History(
        game_id=np.array([f"002{2_190_000 + i}" for i in range(games)]),
        season=np.full(games, 2021, dtype=np.int16),
        season_type=np.full(games, "regular"),
        date=np.datetime64("2021-10-20") + np.arange(games) // 3,
        home=home,
        away=away,
        margins=margins,
        final_margin=margins[:, -1],
        possession=np.zeros((games, 24), dtype=np.int8),
        source="simulated",
    )


def small_ensemble(
    minutes: tuple[int, ...] = (0, 12, 18, 23), calibration_games: int = 60, games: int = 300, seed: int = 1
) -> Ensemble:
    """Dejavu on the older games, an untrained network, the newest games for calibration."""
    history = small_history(games, seed)
    chance = np.random.default_rng(seed + 1)
    hidden = 4
    lstm = Lstm(
        input_weights=chance.normal(size=(FEATURES, 4 * hidden)) / 4,
        hidden_weights=chance.normal(size=(hidden, 4 * hidden)) / 4,
        gate_bias=np.zeros(4 * hidden),
        head_weights=chance.normal(size=hidden) / 4,
        head_bias=np.zeros(1),
        scale=np.full(HALFTIME_MINUTE, 3.0),
        rule=np.zeros((HALFTIME_MINUTE, RULE_TERMS)),
    )
    older = history.take(slice(0, games - calibration_games))
    newer = slice(games - calibration_games, None)
    before, ratings = rate_history(history)
    mixture = Mixture(
        Dejavu.from_history(older, before[: games - calibration_games], neighbours=40),
        lstm,
        {rated: Weights(dejavu=0.3, lstm=0.5) for rated in (True, False)},
        possession_value=0.4,
    )
    return Ensemble(
        mixture=mixture,
        ratings=ratings,
        calibration=calibrate(mixture, Games(history.take(newer), before[newer]), minutes),
        source="simulated",
        trained_through=date.fromisoformat(str(history.last_date)),
    )
