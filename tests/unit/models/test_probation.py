"""Probation: how soon a bad champion shows, and how rarely a right one is accused."""

from __future__ import annotations

import numpy as np
import pytest

from models.probation import MOST_A_GAME, Probation, ratio

SPREADS = {18: 6.0, 21: 4.3, 23: 2.7}


def alarm_after(seed: int, games: int, lean_of_new: float) -> int | None:
    chance, state = np.random.default_rng(seed), Probation()
    for game in range(1, games + 1):
        ratios = {}
        for minute, sd in SPREADS.items():
            actual = round(chance.normal(0.0, sd))
            ratios[minute] = ratio(0.0, lean_of_new, actual, sd)
        state = state.after(ratios)
        if state.evidence >= 100.0:
            return game
    return None


def test_a_champion_that_leans_two_points_shows_within_sixty_games() -> None:
    found = [alarm_after(seed, 60, 2.0) for seed in range(60)]
    assert None not in found


def test_a_champion_that_is_right_is_rolled_back_in_at_most_one_of_a_hundred() -> None:
    """Its rival leans: under the null the bound is 1%, of 150 at most 1.5; chance allows for 5."""

    def wrongly(seed: int) -> bool:
        chance, state = np.random.default_rng(1000 + seed), Probation()
        for _ in range(100):
            ratios = {}
            for minute, sd in SPREADS.items():
                actual = round(chance.normal(0.0, sd))
                ratios[minute] = ratio(1.0, 0.0, actual, sd)
            state = state.after(ratios)
        return state.best >= 100.0

    assert sum(wrongly(seed) for seed in range(150)) <= 5


def test_two_champions_that_say_the_same_are_no_evidence() -> None:
    state = Probation()
    for actual in range(-20, 20):
        state = state.after({18: ratio(3.0, 3.0, actual, 6.0)})
    assert (state.games, state.evidence, state.best) == (40, 1.0, 1.0)


def test_one_game_says_only_so_much() -> None:
    assert ratio(0.0, 30.0, -40.0, 3.0) == pytest.approx(MOST_A_GAME)
    assert ratio(2.0, 0.0, 1.0, 6.0) == 1.0, "midway between the points both agree as well"


def test_a_game_seen_at_one_minute_alone_moves_that_minute_alone() -> None:
    state = Probation().after({18: 2.0, 23: 4.0}).after({18: 2.0})
    assert (state.games, state.evidence) == (2, pytest.approx((4.0 + 1.0 + 4.0) / 3))
    late = Probation()
    for _ in range(50):
        late = late.after({18: 0.9, 21: 0.9})
    assert late.after({18: 0.9, 21: 0.9, 23: 1.0}).evidence < 0.35, "a minute that joins late brings no fresh wealth"
