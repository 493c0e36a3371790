import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.distribution import BadDistribution, MarginDistribution, conformal_distribution, conformal_pmfs

Floats = NDArray[np.float64]

WEIGHTS = st.lists(st.floats(0, 1), min_size=1, max_size=90).filter(lambda weights: sum(weights) > 0.01)
DISTRIBUTIONS = st.builds(
    lambda first, weights: MarginDistribution(first, np.array(weights) / sum(weights)), st.integers(-80, 60), WEIGHTS
)
RESIDUALS = st.lists(st.floats(-40, 40), min_size=1, max_size=120).map(lambda values: np.sort(np.array(values)))
POINTS = st.floats(-60, 60)
EIGHTHS = st.lists(st.integers(-320, 320), min_size=1, max_size=120).map(lambda many: np.sort(np.array(many) / 8))


@settings(max_examples=200)
@given(DISTRIBUTIONS)
def test_the_three_ways_a_half_can_end_add_up_to_exactly_one(distribution: MarginDistribution) -> None:
    home, tied, away = distribution.home_leads, distribution.tied, distribution.away_leads
    assert home + tied + away == 1.0
    assert away + tied + home == 1.0
    margins = range(distribution.first, distribution.last + 1)
    by_margin = dict(zip(margins, distribution.probabilities.tolist(), strict=True))
    assert home == sum(p for margin, p in by_margin.items() if margin > 0)
    assert tied == by_margin.get(0, 0.0)
    assert away == sum(p for margin, p in by_margin.items() if margin < 0)
    assert sum(reversed(by_margin.values())) == 1.0


@settings(max_examples=200)
@given(DISTRIBUTIONS, st.floats(-120, 120), st.floats(-120, 120))
def test_the_cdf_is_the_sum_up_to_x_and_never_falls(distribution: MarginDistribution, x: float, y: float) -> None:
    margins = np.arange(distribution.first, distribution.last + 1)
    assert distribution.cdf(x) == float(distribution.probabilities[margins <= x].sum())
    assert distribution.above(x) == float(distribution.probabilities[margins > x].sum())
    assert distribution.cdf(min(x, y)) <= distribution.cdf(max(x, y))
    assert distribution.cdf(math.inf) == 1.0 == distribution.above(-math.inf)


@settings(max_examples=200)
@given(DISTRIBUTIONS, st.floats(1e-9, 1.0))
def test_a_quantile_is_the_first_margin_whose_cdf_reaches_the_level(
    distribution: MarginDistribution, level: float
) -> None:
    margin = distribution.quantile(level)
    assert distribution.cdf(margin) >= level > distribution.cdf(margin - 1)


@settings(max_examples=100)
@given(DISTRIBUTIONS)
def test_mean_and_spread_are_those_of_the_probabilities(distribution: MarginDistribution) -> None:
    margins = np.arange(distribution.first, distribution.last + 1)
    mean = float(np.average(margins, weights=distribution.probabilities))
    spread = math.sqrt(float(np.average((margins - mean) ** 2, weights=distribution.probabilities)))
    assert distribution.mean == pytest.approx(mean, abs=1e-9)
    assert distribution.sd == pytest.approx(spread, abs=1e-6)


@settings(max_examples=100)
@given(DISTRIBUTIONS)
def test_made_again_from_its_json_it_has_the_same_bits(distribution: MarginDistribution) -> None:
    again = MarginDistribution(**json.loads(json.dumps(distribution.as_dict(), allow_nan=False)))
    assert again == distribution
    assert hash(again) == hash(distribution)
    assert {type(probability) for probability in distribution.as_dict()["probabilities"]} == {float}


def test_probabilities_move_by_less_than_anyone_can_see_and_cannot_be_changed() -> None:
    given_ones = np.array([0.1, 0.2, 0.3, 0.4 + 9e-10])
    distribution = MarginDistribution(-1, given_ones)
    assert np.abs(distribution.probabilities - given_ones).max() < 1e-9
    given_ones[0] = 5.0
    assert distribution.probabilities[0] == pytest.approx(0.1)
    with pytest.raises(ValueError, match="read-only"):
        distribution.probabilities[0] = 1.0


@pytest.mark.parametrize(
    ("probabilities", "said"),
    [
        ([], r"shape \(0,\)"),
        ([[1.0]], r"shape \(1, 1\)"),
        ([0.5, -1e-12, 0.5], r"P\(margin = 4\) is -1e-12"),
        ([0.5, float("nan"), 0.5], r"P\(margin = 4\) is nan"),
        ([0.5, float("inf")], "add up to inf"),
        ([0.5, 0.5 + 2e-9], "add up to 1.000000002"),
        ([0.5, 0.4], "add up to 0.9"),
    ],
)
def test_what_is_no_distribution_is_refused(probabilities: Any, said: str) -> None:
    with pytest.raises(BadDistribution, match=said):
        MarginDistribution(3, np.array(probabilities, dtype=np.float64))


@pytest.mark.parametrize(
    "ask",
    [
        lambda certain: certain.quantile(0.0),
        lambda certain: certain.quantile(1.01),
        lambda certain: certain.quantile(math.nan),
        lambda certain: certain.cdf(math.nan),
        lambda certain: certain.above(math.nan),
    ],
)
def test_questions_without_an_answer_are_refused(ask: Callable[[MarginDistribution], object]) -> None:
    with pytest.raises(BadDistribution):
        ask(MarginDistribution(0, np.ones(1)))


def test_an_answer_is_a_plain_number() -> None:
    distribution = MarginDistribution(np.int64(-1), np.array([0.25, 0.5, 0.25]))  # type: ignore[arg-type]
    numbers = [distribution.cdf(0), distribution.above(0), distribution.mean, distribution.sd, distribution.tied]
    assert {type(number) for number in numbers} == {float}
    assert {type(number) for number in (distribution.first, distribution.last, distribution.quantile(0.5))} == {int}


def by_hand(point: float, residuals: Floats, margin: int) -> float:
    """P(margin <= ``margin``) between the outermost errors: where margin + 1/2 falls among them."""
    values = point + residuals
    edge, n = margin + 0.5, len(values)
    left = int(np.searchsorted(values, edge, side="right"))
    between = (edge - values[left - 1]) / (values[left] - values[left - 1])
    return float((left + between) / (n + 1))


@settings(max_examples=200)
@given(EIGHTHS, st.integers(-240, 240).map(lambda quarters: quarters / 4))
def test_between_the_errors_the_cdf_is_their_interpolated_ranks(residuals: Floats, point: float) -> None:
    # Eighths and quarters are exact, so that errors may well lie on the edge between two margins.
    distribution = conformal_distribution(point, residuals)
    values = point + residuals
    for margin in range(math.ceil(values[0] + 0.5), math.floor(values[-1] - 0.5)):
        assert distribution.cdf(margin) == pytest.approx(by_hand(point, residuals, margin), abs=1e-6)


@settings(max_examples=200)
@given(RESIDUALS, POINTS)
def test_no_margin_of_the_support_is_impossible_and_little_is_beyond_the_errors(
    residuals: Floats, point: float
) -> None:
    distribution = conformal_distribution(point, residuals)
    assert distribution.probabilities.min() > 0.0
    share = 1.0 / (len(residuals) + 1)
    low, high = point + residuals[0], point + residuals[-1]
    # An error on the edge between two margins counts to the lower one.
    assert distribution.cdf(math.ceil(low - 0.5) - 1) <= share + 1e-9
    assert distribution.above(math.ceil(high + 0.5)) <= share + 1e-9


@settings(max_examples=100)
@given(RESIDUALS, POINTS, st.integers(-30, 30))
def test_a_point_moved_by_whole_points_moves_the_distribution(residuals: Floats, point: float, moved: int) -> None:
    assume(float(point + moved) - moved == point)
    here = conformal_distribution(point, residuals)
    there = conformal_distribution(point + moved, residuals)
    for margin in range(here.first - 1, here.last + 2):
        assert there.cdf(margin + moved) == pytest.approx(here.cdf(margin), abs=1e-6)


@settings(max_examples=100)
@given(EIGHTHS, st.integers(-480, 479).map(lambda eighths: (2 * eighths + 1) / 16))
def test_errors_turned_around_turn_the_distribution_around(residuals: Floats, point: float) -> None:
    # At odd sixteenths no error lies on the edge between two margins, where equal ones all count to the lower margin.
    here = conformal_distribution(point, residuals)
    there = conformal_distribution(-point, -residuals[::-1])
    for margin in range(here.first - 1, here.last + 2):
        assert there.above(-margin - 1) == pytest.approx(here.cdf(margin), abs=1e-6)


def test_on_many_gaussian_errors_it_is_the_gaussian_put_on_the_integers() -> None:
    from scipy.stats import norm

    errors = norm.ppf((np.arange(1, 20_001)) / 20_001) * 6.0
    distribution = conformal_distribution(2.3, errors)
    margins = np.arange(distribution.first, distribution.last + 1)
    exact = norm.cdf(margins + 0.5, 2.3, 6.0) - norm.cdf(margins - 0.5, 2.3, 6.0)
    assert np.abs(distribution.probabilities - exact).max() < 1e-4
    assert distribution.mean == pytest.approx(2.3, abs=0.01)
    assert distribution.sd == pytest.approx(math.sqrt(36 + 1 / 12), abs=0.02)


def test_same_input_same_bits() -> None:
    errors = np.sort(np.random.default_rng(4).normal(0, 6, 1300))
    first = conformal_distribution(1.7, errors)
    assert conformal_distribution(1.7, errors.copy()) == first
    assert conformal_distribution(1.7, errors + 1e-6) != first


def test_one_error_is_enough_and_none_is_refused() -> None:
    one = conformal_distribution(0.0, np.zeros(1))
    assert one.home_leads == pytest.approx(one.away_leads, abs=1e-9)
    with pytest.raises(BadDistribution, match="no calibration errors"):
        conformal_distribution(0.0, np.zeros(0))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(BadDistribution, match="finite"):
        conformal_distribution(bad, np.zeros(3))
    with pytest.raises(BadDistribution, match="finite"):
        conformal_distribution(0.0, np.array([0.0, 0.0, bad] if bad > 0 else [bad, 0.0, 0.0]))


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_many_points_at_once_are_the_distributions_one_by_one(n: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    errors, points = np.sort(chance.normal(0.0, 6.0, n).round(1)), chance.normal(0.0, 9.0, 5)
    first, pmf = conformal_pmfs(points, errors)
    assert pmf.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    for point, row in zip(points, pmf, strict=True):
        alone = conformal_distribution(float(point), errors)
        assert first <= alone.first
        inside = row[alone.first - first :][: len(alone.probabilities)]
        assert inside == pytest.approx(alone.probabilities, abs=3e-6)


def test_many_points_without_errors_are_refused() -> None:
    with pytest.raises(BadDistribution, match="no calibration errors"):
        conformal_pmfs(np.zeros(2), np.zeros(0))
