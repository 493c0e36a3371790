"""What a rehearsal plants: games stay sound, and only what is planted changes."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from models.history import MARGIN_COLUMNS, History
from models.history_frame import check_games
from models.mixture import Games
from models.planting import harder, leaning
from models.ratings import rate_history
from services.history import simulated_games
from tests.support.small_model import small_ensemble, small_history

SINCE = date(2023, 1, 1)


def test_a_harder_league_has_sound_games_and_wider_second_quarters_from_its_date_on() -> None:
    games = simulated_games(3, [2022])
    made = harder(games, SINCE, 1.5)
    check_games(made, "planted")
    late = (games["date"] >= SINCE).to_numpy()
    assert made[~late].equals(games[~late])
    before, after = (frame[list(MARGIN_COLUMNS)].to_numpy(dtype=float)[late] for frame in (games, made))
    assert np.array_equal(before[:, :13], after[:, :13])
    ratio = (after[:, 24] - after[:, 18]).std() / (before[:, 24] - before[:, 18]).std()
    assert ratio == pytest.approx(1.5, abs=0.05)
    assert np.array_equal(np.diff(before[:, 24:48]), np.diff(after[:, 24:48])), "the second half goes on as it did"


def test_a_leaning_model_says_so_many_points_more_and_nothing_else_of_it_changes() -> None:
    honest, history = small_ensemble(), small_history().take(slice(240, None))
    leant = leaning(honest, 2.0, Games(history, rate_history(history)[0]), honest.minutes)
    pattern = [float(minute % 5) for minute in range(18)]
    for rating in (None, 3.0):
        a, b = (model.forecast(pattern, 18, 0.1, rating) for model in (honest, leant))
        assert b.point - a.point == pytest.approx(2.0, abs=1e-9)
        assert a.similar == b.similar
    assert leant.lineage != honest.lineage
    assert isinstance(history, History)
