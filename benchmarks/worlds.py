"""Games and models of any size: the league's own games, spliced.

A spliced game goes on after its twelfth minute as another game of its season did. It is as real as its parts, and it is
not a copy: with copies every distance would come many times.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from flows.backtest import load_history
from models.clock import HALFTIME_MINUTE
from models.dejavu import Dejavu
from models.ensemble import Ensemble
from models.forecast import Weights
from models.history import MINUTES_RECORDED, History
from models.lstm import FEATURES, RULE_TERMS, Lstm
from models.mixture import Games, Mixture
from models.ratings import rate_history
from models.training import calibrate
from services.settings import get_settings

NEIGHBOURS, HIDDEN = 500, 16
CALIBRATION_GAMES = 1300
_SPLICE = 12
# Numbers of games in a season's ids are below this, so that copies get numbers of their own.
_IDS = 1320


@cache
def league() -> Games:
    """Every game of the league in force: recorded with HALFTIME_DATA, else simulated."""
    history = load_history(get_settings())
    return Games(history, rate_history(history)[0])


def spliced(games: Games, copies: int, seed: int = 1) -> Games:
    """Each game and ``copies`` - 1 spliced ones of its date, teams and rating."""
    chance = np.random.default_rng(seed)
    parts = [games.history] + [_splice(games.history, copy, chance) for copy in range(1, copies)]
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (
            "game_id",
            "season",
            "season_type",
            "date",
            "home",
            "away",
            "margins",
            "final_margin",
            "possession",
        )
    }
    # A history orders its rows; the ratings must follow.
    order = np.lexsort((arrays["game_id"], arrays["date"]))
    return Games(History(**arrays, source=games.history.source), np.tile(games.ratings, copies)[order])


def _splice(history: History, copy: int, chance: np.random.Generator) -> History:
    other = np.empty(len(history), dtype=np.int64)
    for season in np.unique(history.season):
        rows = np.flatnonzero(history.season == season)
        other[rows] = chance.choice(rows, len(rows))
    margins = history.margins.copy()
    margins[:, _SPLICE + 1 :] = (
        history.margins[other, _SPLICE + 1 :] - history.margins[other, _SPLICE, None] + margins[:, _SPLICE, None]
    )
    possession = history.possession.copy()
    possession[:, _SPLICE + 1 :] = history.possession[other, _SPLICE + 1 :]
    final = (
        margins[:, MINUTES_RECORDED - 1] + history.final_margin[other] - history.margins[other, MINUTES_RECORDED - 1]
    )
    numbers = ((game_id[1:5], divmod(int(game_id[5:]) + copy * _IDS, 100_000)) for game_id in history.game_id.tolist())
    ids = [f"{over}{season}{number:05d}" for season, (over, number) in numbers]
    return replace(history, game_id=np.array(ids), margins=margins, possession=possession, final_margin=final)


def network(seed: int = 1) -> Lstm:
    """A network of the trained one's size; how fast it answers does not depend on its weights."""
    chance = np.random.default_rng(seed)
    return Lstm(
        input_weights=chance.normal(0.0, 0.4, (FEATURES, 4 * HIDDEN)),
        hidden_weights=chance.normal(0.0, 0.3, (HIDDEN, 4 * HIDDEN)),
        gate_bias=chance.normal(0.0, 0.3, 4 * HIDDEN),
        head_weights=chance.normal(0.0, 0.1, HIDDEN),
        head_bias=np.zeros(1),
        scale=np.linspace(11.0, 2.7, HALFTIME_MINUTE),
        rule=np.zeros((HALFTIME_MINUTE, RULE_TERMS)),
    )


def ensemble(
    games: int, minutes: tuple[int, ...] = tuple(range(HALFTIME_MINUTE)), calibration_games: int = CALIBRATION_GAMES
) -> tuple[Ensemble, Games]:
    """(an ensemble that remembers ``games``, the league's newest games, which calibrate it and can be asked about)."""
    whole = league()
    newest = slice(len(whole) - calibration_games, None)
    older, late = whole.take(slice(0, len(whole) - calibration_games)), whole.take(newest)
    many = spliced(older, -(-games // len(older)))
    kept = many.take(np.sort(np.random.default_rng(2).choice(len(many), games, replace=False)))
    memory = Dejavu.from_history(kept.history, kept.ratings, NEIGHBOURS)
    mixture = Mixture(memory, network(), dict.fromkeys((False, True), Weights(0.25, 0.75)), possession_value=0.4)
    made = Ensemble(
        mixture=mixture,
        ratings=rate_history(whole.history)[1],
        calibration=calibrate(mixture, late, minutes),
        source=whole.history.source,
        trained_through=late.history.last_date,
    )
    made.warm()
    return made, late
