import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conformal import (
    CalibrationSet,
    conformal_quantile,
    conformal_rank,
    games_needed,
    nonconformity,
    online_p_values,
    p_values,
    prediction_set,
)
from models.forecast import BadAlpha, CalibrationTooSmall, Interval

SCORES = st.lists(st.floats(0, 40), min_size=1, max_size=200).map(lambda scores: np.sort(np.array(scores)))
ALPHAS = st.floats(0.001, 0.999)


def calibration(n: int, seed: int = 0) -> CalibrationSet:
    residuals = np.random.default_rng(seed).normal(0.0, 6.0, n)
    return CalibrationSet(tuple(f"00222{number:05d}" for number in range(n)), residuals)


@pytest.mark.parametrize(("alpha", "needed"), [(0.05, 19), (0.1, 9), (0.2, 4), (0.5, 1), (0.01, 99), (0.9, 1)])
def test_the_smallest_set_that_supports_an_alpha(alpha: float, needed: int) -> None:
    assert games_needed(alpha) == needed
    assert conformal_rank(needed, alpha) <= needed
    with pytest.raises(CalibrationTooSmall):
        conformal_rank(needed - 1, alpha)


def test_the_refusal_names_both_numbers_and_the_remedy() -> None:
    with pytest.raises(CalibrationTooSmall, match=r"at least 19 games, this one has 12.*larger alpha") as refused:
        calibration(12).quantile(0.05)
    assert (refused.value.n, refused.value.needed) == (12, 19)
    with pytest.raises(CalibrationTooSmall, match="it is empty"):
        calibration(0).quantile(0.5)


@pytest.mark.parametrize("alpha", [5e-324, 1e-300, 1e-15])
def test_a_vanishing_alpha_is_refused_not_a_crash(alpha: float) -> None:
    with pytest.raises(CalibrationTooSmall):
        calibration(1000).quantile(alpha)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -5.0, float("nan")])
def test_an_alpha_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(BadAlpha):
        calibration(100).quantile(alpha)


@given(n=st.integers(1, 3000), hundredths=st.integers(1, 99))
def test_the_rank_is_the_exact_ceiling(n: int, hundredths: int) -> None:
    exact = -(-(n + 1) * (100 - hundredths) // 100)
    if exact > n:
        with pytest.raises(CalibrationTooSmall):
            conformal_rank(n, hundredths / 100)
    else:
        assert conformal_rank(n, hundredths / 100) == exact


@given(scores=SCORES, alpha=ALPHAS)
def test_the_quantile_is_one_of_the_scores_and_enough_lie_below(scores: np.ndarray, alpha: float) -> None:
    if games_needed(alpha) > len(scores):
        with pytest.raises(CalibrationTooSmall):
            conformal_quantile(scores, alpha)
        return
    quantile = conformal_quantile(scores, alpha)
    assert quantile in scores
    assert np.sum(scores <= quantile) >= math.ceil((len(scores) + 1) * (1 - alpha) - 1e-6)


@given(alphas=st.tuples(ALPHAS, ALPHAS), point=st.floats(-60, 60))
def test_a_smaller_alpha_gives_an_interval_that_holds_the_other(alphas: tuple[float, float], point: float) -> None:
    games = calibration(1200)
    narrow, wide = (prediction_set(point, games.quantile(alpha)) for alpha in (max(alphas), min(alphas)))
    assert wide.lower <= narrow.lower <= point <= narrow.upper <= wide.upper


def test_the_score_is_the_size_of_the_residual() -> None:
    assert nonconformity(np.array([-3.0, 2.0])).tolist() == [3.0, 2.0]


def test_the_set_reaches_the_quantile_far_on_either_side_of_the_point() -> None:
    assert prediction_set(2.0, 3.0) == Interval(-1.0, 5.0)


def test_the_spread_of_a_set_is_the_root_mean_square_residual() -> None:
    assert CalibrationSet(("0022200001", "0022200002"), np.array([1.0, -7.0])).sd == 5.0
    assert calibration(0).sd == 0.0


def test_the_order_of_the_games_changes_no_quantile() -> None:
    games = calibration(99)
    backwards = CalibrationSet(games.game_ids[::-1], games.residuals[::-1])
    assert backwards.quantile(0.05) == games.quantile(0.05)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([0.05, 0.1, 0.2, 0.5]))
def test_exchangeable_games_are_covered_as_promised(seed: int, alpha: float) -> None:
    # Heavy-tailed errors, n = 39: average coverage over many sets lies in [1 - alpha, 1 - alpha + 1/40].
    draws = np.abs(np.random.default_rng(seed).standard_t(3, size=(20_000, 40)))
    quantiles = np.sort(draws[:, :39], axis=1)[:, conformal_rank(39, alpha) - 1]
    covered = float(np.mean(draws[:, 39] <= quantiles))
    slack = 5 * math.sqrt(alpha * (1 - alpha) / len(draws))
    assert 1 - alpha - slack <= covered <= 1 - alpha + 1 / 40 + slack


def test_rolling_appends_the_new_and_keeps_the_newest() -> None:
    games = calibration(5).rolled(["0022299998", "0022299999"], [1.0, -2.0], window=4)
    assert games.game_ids == ("0022200003", "0022200004", "0022299998", "0022299999")
    assert games.residuals.tolist()[-2:] == [1.0, -2.0]


def test_a_game_counts_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        CalibrationSet(("0022200001", "0022200001"), np.zeros(2))
    with pytest.raises(ValueError, match="twice"):
        calibration(5).rolled(["0022200003"], [1.0], window=9)


def test_every_game_has_one_residual() -> None:
    with pytest.raises(ValueError, match=r"2 games but residuals of shape \(3,\)"):
        CalibrationSet(("0022200001", "0022200002"), np.zeros(3))


def test_a_residual_that_is_not_finite_names_its_game() -> None:
    with pytest.raises(ValueError, match="0022200002 has no finite residual"):
        CalibrationSet(("0022200001", "0022200002"), np.array([1.0, np.nan]))


def test_content_tells_sets_apart() -> None:
    assert calibration(30).content() == calibration(30).content()
    assert calibration(30).content() != calibration(30, seed=1).content()


@given(scores=SCORES, score=st.floats(0, 60), alpha=ALPHAS)
def test_a_p_value_above_alpha_is_an_outcome_inside_the_set(scores: np.ndarray, score: float, alpha: float) -> None:
    if games_needed(alpha) > len(scores) or abs((len(scores) + 1) * alpha % 1 - 0.5) > 0.4999:
        return
    inside = score <= conformal_quantile(scores, alpha)
    assert inside == (float(p_values(scores, np.array([score]), 1.0)[0]) > alpha)


def test_randomised_p_values_of_whole_errors_are_uniform_and_mid_p_right_on_average() -> None:
    chance = np.random.default_rng(12)
    errors = np.abs(np.round(chance.normal(0.0, 2.0, (4000, 60))))  # few distinct values: ties everywhere
    drawn = chance.random(4000)
    found = np.array([p_values(np.sort(row[:59]), row[59:], one)[0] for row, one in zip(errors, drawn, strict=True)])
    shares = np.histogram(found, bins=10, range=(0, 1))[0] / 4000
    assert np.abs(shares - 0.1).max() < 0.02
    mid = np.array([p_values(np.sort(row[:59]), row[59:])[0] for row in errors])
    assert np.mean(mid) == pytest.approx(0.5, abs=0.02)


def test_online_p_values_bet_nothing_on_exchangeable_games_and_win_on_growing_errors() -> None:
    chance = np.random.default_rng(2)
    errors = np.abs(np.round(chance.normal(0.0, 6.0, 1500)))
    drifting = errors * np.linspace(1.0, 2.0, 1500)

    def wealth(scores: np.ndarray) -> float:
        found = online_p_values(scores, np.random.default_rng(3).random(len(scores)))
        return float(np.sum(np.log(0.7) - 0.3 * np.log(found)))  # the power martingale at 0.7

    assert wealth(errors) < math.log(20)
    assert wealth(drifting) > math.log(1000)
