"""Paired comparisons: what a bettor's wealth is, and how often it misleads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.paired import STAKES, BadComparison, Comparison, gains_of, log_mean, log_wealths

Floats = NDArray[np.float64]
POINTS = st.floats(-40.0, 40.0)
GAMES = st.lists(st.tuples(POINTS, POINTS, st.integers(-60, 60)), min_size=1, max_size=40)
SEASONS, GAMES_A_SEASON = 1000, 1230


def columns(games: list[tuple[float, float, int]]) -> tuple[Floats, Floats, Floats]:
    a, b, actual = np.array(games, dtype=np.float64).T
    return a, b, actual


@given(games=GAMES)
def test_no_gain_exceeds_the_distance_of_the_points(games: list[tuple[float, float, int]]) -> None:
    a, b, actual = columns(games)
    gains, bounds = gains_of(a, b, actual)
    assert (np.abs(gains) <= bounds).all()
    assert gains == pytest.approx(np.abs(actual - a) - np.abs(actual - b), abs=1e-12)


@given(games=GAMES)
def test_wealth_stays_positive_whatever_happens(games: list[tuple[float, float, int]]) -> None:
    done = Comparison().after(*columns(games))
    assert all(math.isfinite(log) for log in done.log_wealth)
    assert done.e_value > 0.0
    assert done.best_e_value >= 1.0


@given(games=GAMES, cut=st.integers(0, 40))
def test_games_in_two_batches_have_the_bits_of_one(games: list[tuple[float, float, int]], cut: int) -> None:
    a, b, actual = columns(games)
    whole = Comparison().after(a, b, actual)
    parts = Comparison().after(a[:cut], b[:cut], actual[:cut]).after(a[cut:], b[cut:], actual[cut:])
    assert parts == whole


@given(games=GAMES)
def test_the_same_forecaster_twice_is_no_evidence_at_all(games: list[tuple[float, float, int]]) -> None:
    a, _, actual = columns(games)
    done = Comparison().after(a, a, actual)
    assert (done.e_value, done.best_e_value, done.mean_gain) == (1.0, 1.0, 0.0)


@given(games=GAMES)
def test_what_one_gains_the_other_loses(games: list[tuple[float, float, int]]) -> None:
    a, b, actual = columns(games)
    over, under = Comparison().after(a, b, actual), Comparison().after(b, a, actual)
    assert over.mean_gain == pytest.approx(-under.mean_gain, abs=1e-12)
    low, high = over.gain_interval()
    assert (-high, -low) == pytest.approx(under.gain_interval(), abs=1e-9)


def test_wealth_is_the_product_of_what_each_bet_returns() -> None:
    a, b, actual = np.array([3.0, 0.0]), np.array([1.0, 4.0]), np.array([0.0, 3.0])
    done = Comparison().after(a, b, actual)
    # B gains 2 of at most 2 points, then 2 of at most 4; no stake exceeds half the wealth over that.
    by_hand = [(1 + min(stake, 0.25) * 2.0) * (1 + min(stake, 0.125) * 2.0) for stake in STAKES]
    assert np.exp(done.log_wealth) == pytest.approx(by_hand)
    assert done.e_value == pytest.approx(np.mean(by_hand))


def test_one_odd_game_does_not_spoil_the_interval_of_the_gain() -> None:
    a, b = np.zeros(100), np.full(100, 1.0)
    usual = Comparison().after(a, b, np.tile([3.0, -3.0], 50))
    odd = usual.after(np.zeros(1), np.array([80.0]), np.array([5.0]))
    assert usual.gain_interval()[1] - usual.mean_gain < 0.5
    assert math.isfinite(odd.gain_interval()[1])


def test_a_gain_beyond_its_bound_is_refused() -> None:
    with pytest.raises(BadComparison, match="same game"):
        Comparison().after_gains(np.array([3.0]), np.array([2.0]))


def test_games_that_are_not_settled_cannot_be_compared() -> None:
    one = np.array([1.0])
    with pytest.raises(BadComparison, match="settled"):
        Comparison().after(one, one, np.array([np.nan]))
    with pytest.raises(BadComparison, match="shapes"):
        Comparison().after(one, np.array([1.0, 2.0]), one)


def simulated(seed: int, lean: float, spread: float, heavy: bool = False) -> tuple[Floats, Floats, Floats]:
    """Points of A and B and outcomes, float64[seasons, games]: B is ``lean`` points off, both ``spread`` noisy."""
    chance = np.random.default_rng(seed)
    shape = (SEASONS, GAMES_A_SEASON)
    noise = chance.standard_t(3, shape) * 3.5 if heavy else chance.normal(0.0, 6.0, shape)
    a, b = (chance.normal(0.0, spread / math.sqrt(2), shape) for _ in range(2))
    return a, b + lean, noise


@pytest.mark.parametrize("heavy", [False, True])
def test_an_equal_forecaster_is_called_better_in_at_most_one_season_of_twenty(heavy: bool) -> None:
    """Of 1,000 seasons looked at after every game; Ville's bound is 50, and chance alone adds 14 in a thousand."""
    gains, bounds = gains_of(*simulated(5, 0.0, 1.4, heavy))
    fooled = (log_mean(log_wealths(gains, bounds)).max(axis=-1) >= math.log(20.0)).sum()
    assert 0 < fooled <= 50 + 14


def test_the_interval_of_the_gain_holds_the_truth_at_all_times() -> None:
    """Of 1,000 seasons looked at after every hundredth game; at most 50 may ever miss."""
    a, b, actual = (column[:200] for column in simulated(6, 1.5, 1.0))
    truth = float(np.mean(np.abs(actual - a) - np.abs(actual - b)))
    missed = 0
    for season in range(len(a)):
        state, wrong = Comparison(), False
        for start in range(0, GAMES_A_SEASON, 123):
            games = slice(start, start + 123)
            state = state.after(a[season, games], b[season, games], actual[season, games])
            low, high = state.gain_interval()
            wrong |= not low <= truth <= high
        missed += wrong
    assert missed <= 10
    assert high - low < 1.2, "after a season it must say something"
