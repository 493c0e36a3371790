"""The ensemble as it was first published before the gate that every challenger must pass."""

from __future__ import annotations

import numpy as np

from models import baselines
from models.history import History
from models.mixture import Games
from models.promotion import WEIGHTS, Rules, Shadowed, Trial, decide
from models.ratings import rate_history
from services.history import simulated_games

MINUTES = tuple(WEIGHTS)


def test_the_published_ensemble_is_rejected_within_its_first_hundred_games() -> None:
    """0.4 of Dejavu as published and 0.6 of a second forecaster, here one better than the network it came with."""
    history = History.from_frame(simulated_games(5, range(2019, 2023)), "simulated")
    games = Games(history, rate_history(history)[0])
    fit, season = games.take(history.season < 2022), games.take(history.season == 2022)
    champion, published = baselines.linear(fit, MINUTES), baselines.published_dejavu(fit)
    seen = []
    for minute in MINUTES:
        mixed = 0.4 * published.points(season, minute) + 0.6 * champion.points(season, minute)
        columns = (mixed, champion.points(season, minute), baselines.leads(season, minute), baselines.halves(season))
        rows = zip(season.history.game_id.tolist(), *(column.tolist() for column in columns), strict=True)
        seen.append([Shadowed(game_id, minute, *row) for game_id, *row in rows])
    in_order = [one for game in zip(*seen, strict=True) for one in game]
    done = decide(Trial().after(in_order[: 100 * len(MINUTES)]), {}, Rules())
    assert done.action == "reject"
    assert "persistence errs less" in done.reasons[0]
    whole = Trial().after(in_order)
    assert whole.official.mean_gain < -0.2, "points of mean absolute error, over the season"
    assert decide(whole, {"skill_squared_lower": 0.5}, Rules()).action == "reject", "whatever is claimed for it"
    assert np.isfinite([one.challenger for one in in_order]).all()
