import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.distribution import MarginDistribution, conformal_distribution
from models.metrics import crps_gaussian, crps_sample
from models.scoring import (
    brier_home_leads,
    brier_who_leads,
    crps_discrete,
    log_score_who_leads,
    pit_mid,
    pit_randomised,
    stacked,
    who_leads,
)

DISTRIBUTIONS = st.builds(
    lambda first, weights: MarginDistribution(first, np.array(weights) / sum(weights)),
    st.integers(-15, 10),
    st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any),
)
CASES = st.lists(st.tuples(DISTRIBUTIONS, st.integers(-30, 30)), min_size=1, max_size=6)
Case = tuple[MarginDistribution, int]


def apart(cases: list[Case]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return *stacked([one for one, _ in cases]), np.array([actual for _, actual in cases])


@settings(max_examples=150)
@given(CASES)
def test_crps_is_the_sum_of_squared_gaps_over_all_whole_margins(cases: list[Case]) -> None:
    by_hand = [sum((one.cdf(x) - (actual <= x)) ** 2 for x in range(-60, 60)) for one, actual in cases]
    assert crps_discrete(*apart(cases)) == pytest.approx(by_hand, abs=1e-9)


@settings(max_examples=80)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=20), st.integers(-30, 30))
def test_crps_is_that_of_a_sample_of_whole_margins(sample: list[int], actual: int) -> None:
    counts = np.bincount(np.array(sample) - min(sample))
    mine = crps_discrete([min(sample)], counts[None, :] / len(sample), [actual])
    assert mine == pytest.approx([crps_sample(sample, actual)], abs=1e-9)


def test_crps_of_a_wide_gaussian_put_on_the_integers_is_close_to_the_closed_form() -> None:
    from scipy.stats import norm

    margins = np.arange(-70, 71)
    actual = np.array([-20, -3, 0, 4, 17])
    pmf = norm.cdf(margins + 0.5, 1.0, 8.0) - norm.cdf(margins - 0.5, 1.0, 8.0)
    pmf = np.tile(pmf / pmf.sum(), (5, 1))
    exact = crps_gaussian(np.full(5, 1.0), np.full(5, 8.0), actual)
    assert crps_discrete(np.full(5, -70), pmf, actual) == pytest.approx(exact, abs=0.02)


@settings(max_examples=100)
@given(DISTRIBUTIONS, st.integers(-15, 21))
def test_no_other_distribution_has_a_smaller_expected_crps(truth: MarginDistribution, shift: int) -> None:
    outcomes = np.arange(truth.first, truth.last + 1)

    def expected(said: MarginDistribution) -> float:
        first, pmf = stacked([said] * len(outcomes))
        return float(crps_discrete(first, pmf, outcomes) @ truth.probabilities)

    other = MarginDistribution(truth.first + shift, truth.probabilities)
    assert expected(truth) <= expected(other) + 1e-12


@settings(max_examples=100)
@given(CASES)
def test_scores_of_who_leads_follow_their_definitions(cases: list[Case]) -> None:
    first, pmf, actual = apart(cases)
    leads = who_leads(first, pmf)
    for row, brier, log, (one, seen) in zip(
        leads, brier_who_leads(leads, actual), log_score_who_leads(leads, actual), cases, strict=True
    ):
        assert row.tolist() == [one.home_leads, one.tied, one.away_leads]
        happened = [seen > 0, seen == 0, seen < 0]
        assert brier == pytest.approx(sum((p - h) ** 2 for p, h in zip(row, happened, strict=True)))
        chance = max(row[happened.index(True)], 1e-6)
        assert log == pytest.approx(-math.log(chance))
    home = brier_home_leads(leads[:, 0], actual)
    assert home == pytest.approx([(one.home_leads - (seen > 0)) ** 2 for one, seen in cases])


def test_scores_agree_with_scikit_learn() -> None:
    from sklearn.metrics import brier_score_loss, log_loss

    chance = np.random.default_rng(3)
    distributions = [conformal_distribution(chance.normal(0, 6), np.sort(chance.normal(0, 6, 200))) for _ in range(50)]
    actual = np.rint(chance.normal(0, 8, 50)).astype(int)
    leads = who_leads(*stacked(distributions))
    assert brier_home_leads(leads[:, 0], actual).mean() == pytest.approx(brier_score_loss(actual > 0, leads[:, 0]))
    classes = np.where(actual > 0, 0, np.where(actual == 0, 1, 2))
    assert log_score_who_leads(leads, actual).mean() == pytest.approx(log_loss(classes, leads, labels=[0, 1, 2]))


def test_an_impossible_outcome_costs_much_but_not_everything() -> None:
    assert log_score_who_leads([[1.0, 0.0, 0.0]], [-3]) == pytest.approx(-math.log(1e-6))


@settings(max_examples=100)
@given(CASES, st.integers(0, 1000))
def test_pit_lies_within_the_step_of_the_outcome(cases: list[Case], seed: int) -> None:
    first, pmf, actual = apart(cases)
    low = np.array([one.cdf(seen - 1) for one, seen in cases])
    high = np.array([one.cdf(seen) for one, seen in cases])
    assert pit_mid(first, pmf, actual) == pytest.approx((low + high) / 2)
    drawn = pit_randomised(first, pmf, actual, seed)
    assert ((low - 1e-12 <= drawn) & (drawn <= high + 1e-12)).all()
    assert (drawn == pit_randomised(first, pmf, actual, seed)).all()


def test_randomised_pit_of_a_right_forecast_is_uniform_and_mid_p_has_mean_one_half() -> None:
    from scipy.stats import kstest

    chance = np.random.default_rng(8)
    one = conformal_distribution(1.4, np.sort(chance.normal(0, 5, 400)))
    margins = np.arange(one.first, one.last + 1)
    actual = chance.choice(margins, p=one.probabilities, size=4000)
    first, pmf = stacked([one] * 4000)
    assert kstest(pit_randomised(first, pmf, actual, seed=1), "uniform").pvalue > 0.01
    assert pit_mid(first, pmf, actual).mean() == pytest.approx(0.5, abs=0.015)
    assert kstest(pit_randomised(first, pmf, actual + 2, seed=1), "uniform").pvalue < 1e-6


@pytest.mark.parametrize(
    ("first", "pmf", "actual", "said"),
    [
        ([], np.zeros((0, 3)), [], "n, n x k, n"),
        ([1], [0.5, 0.5], [1], "n, n x k, n"),
        ([1], [[0.5, 0.5]], [1, 2], "n, n x k, n"),
        ([1], [[0.5, 0.4]], [1], "no distribution"),
        ([1], [[1.5, -0.5]], [1], "no distribution"),
        ([1], [[math.nan, 0.5]], [1], "no distribution"),
        ([1], [[0.5, 0.5]], [1.5], "whole numbers"),
        ([1.0], [[0.5, 0.5]], [1], "whole numbers"),
    ],
)
def test_what_cannot_be_scored_is_refused(first: list[float], pmf: object, actual: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        crps_discrete(first, np.array(pmf), actual)


def test_stacking_pads_the_shorter_with_zeros() -> None:
    short, long = MarginDistribution(3, np.ones(1)), MarginDistribution(-1, np.full(4, 0.25))
    first, pmf = stacked([short, long])
    assert first.tolist() == [3, -1]
    assert pmf.tolist() == [[1, 0, 0, 0], [0.25] * 4]
