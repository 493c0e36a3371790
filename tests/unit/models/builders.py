"""Small histories and ensembles for the tests of the forecast; no training, no files."""

from __future__ import annotations

import datetime as dt

import numpy as np

from models.clock import HALFTIME_MINUTE
from models.dejavu import Dejavu
from models.ensemble import Ensemble
from models.forecast import Weights
from models.history import MINUTES_RECORDED, History
from models.lstm import FEATURES, Lstm
from models.mixture import Games, Mixture
from models.ratings import rate_history
from models.training import calibrate

TEAMS = ("ATL", "BOS", "CHI", "DEN", "LAL", "MIA", "NYK", "POR")


def make_history(
    games: int = 120, seed: int = 0, first: dt.date = dt.date(2018, 10, 20), season: int = 2018
) -> History:
    """``games`` random games, four a league date, each team at most once a date."""
    generator = np.random.default_rng(seed)
    strength = np.linspace(-6.0, 6.0, len(TEAMS))
    pairs = np.concatenate([generator.permutation(len(TEAMS)).reshape(-1, 2) for _ in range(-(-games // 4))])[:games]
    drift = (strength[pairs[:, 0]] - strength[pairs[:, 1]] + 2.3) / 48
    steps = np.rint(generator.normal(drift[:, None], 1.7, (games, MINUTES_RECORDED - 1)))
    margins = np.concatenate([np.zeros((games, 1)), np.cumsum(steps, axis=1)], axis=1).astype(np.int16)
    final = margins[:, -1].copy()
    final[final == 0] = 3
    days = np.datetime64(first, "D") + np.arange(games) // 4
    possession = np.random.default_rng([seed, 1]).integers(-1, 2, (games, HALFTIME_MINUTE)).astype(np.int8)
    possession[:, 0] = 0
    return History(
        game_id=np.array([f"002{season % 100:02d}{number:05d}" for number in range(1, games + 1)]),
        season=np.full(games, season, dtype=np.int16),
        season_type=np.full(games, "regular"),
        date=days,
        home=np.array(TEAMS)[pairs[:, 0]],
        away=np.array(TEAMS)[pairs[:, 1]],
        margins=margins,
        final_margin=final,
        possession=possession,
        source="simulated",
    )


def random_lstm(hidden: int = 8, seed: int = 0) -> Lstm:
    """A network that was never trained."""
    generator = np.random.default_rng(seed)
    return Lstm(
        input_weights=generator.normal(0.0, 0.4, (FEATURES, 4 * hidden)),
        hidden_weights=generator.normal(0.0, 0.3, (hidden, 4 * hidden)),
        gate_bias=generator.normal(0.0, 0.3, 4 * hidden),
        head_weights=generator.normal(0.0, 0.3, hidden),
        head_bias=np.array([0.05]),
        scale=np.linspace(11.0, 2.7, 24),
        rule=generator.normal(0.0, 0.05, (24, 5)),
    )


def make_ensemble(minutes: tuple[int, ...] = (0, 6, 18), calibration_games: int = 60, seed: int = 0) -> Ensemble:
    """An ensemble over 120 remembered and ``calibration_games`` later games."""
    history = make_history(120 + calibration_games, seed)
    before, ratings = rate_history(history)
    late = history.take(slice(120, None))
    mixture = Mixture(
        Dejavu.from_history(history.take(slice(0, 120)), before[:120], neighbours=20),
        random_lstm(seed=seed),
        {True: Weights(0.4, 0.5), False: Weights(0.3, 0.4)},
        possession_value=0.4,
    )
    return Ensemble(
        mixture=mixture,
        ratings=ratings,
        calibration=calibrate(mixture, Games(late, before[120:]), minutes),
        source="simulated",
        trained_through=late.last_date,
    )
