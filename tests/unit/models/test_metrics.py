import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import metrics

SAMPLES = st.lists(st.floats(-40, 40), min_size=1, max_size=60)


def test_mae_and_rmse_by_hand() -> None:
    assert metrics.mae([3.0, -4.0]) == 3.5
    assert metrics.rmse([3.0, -4.0]) == pytest.approx(math.sqrt(12.5))


@pytest.mark.parametrize("score", [metrics.mae, metrics.rmse])
def test_no_forecasts_have_no_figure(score: object) -> None:
    with pytest.raises(ValueError, match="at least one"):
        score([])  # type: ignore[operator]


@given(sample=SAMPLES, actual=st.floats(-60, 60))
def test_crps_of_a_sample_is_its_definition(sample: list[float], actual: float) -> None:
    values = np.array(sample)
    by_hand = np.mean(np.abs(values - actual)) - 0.5 * np.mean(np.abs(values[:, None] - values[None, :]))
    assert metrics.crps_sample(sample, actual) == pytest.approx(by_hand, abs=1e-9)


@given(pool=SAMPLES, errors=st.lists(st.floats(-60, 60), min_size=1, max_size=10))
def test_crps_of_a_shifted_pool_is_crps_of_each_sample(pool: list[float], errors: list[float]) -> None:
    one_by_one = [metrics.crps_sample(pool, error) for error in errors]
    assert metrics.crps_shifted(pool, errors) == pytest.approx(one_by_one, abs=1e-9)


def test_crps_of_one_value_is_the_absolute_error() -> None:
    assert metrics.crps_sample([3.0], 7.5) == 4.5


def test_gaussian_crps_meets_a_large_sample() -> None:
    sample = np.random.default_rng(0).normal(2.0, 6.0, 200_000)
    assert metrics.crps_gaussian(2.0, 6.0, 9.0)[0] == pytest.approx(metrics.crps_sample(sample, 9.0), abs=0.03)
    with pytest.raises(ValueError, match="positive spread"):
        metrics.crps_gaussian(0.0, 0.0, 1.0)


def test_coverage_counts_the_ends() -> None:
    found = metrics.coverage([0.0, 0.0, 0.0], [5.0, 5.0, 5.0], [0.0, 5.0, 6.0])
    assert found.rate == pytest.approx(2 / 3)
    assert (found.mean_width, found.n) == (5.0, 3)


def test_interval_score_is_width_plus_a_fine_for_each_point_outside() -> None:
    scores = metrics.interval_score([0.0, 0.0, 0.0], [10.0, 10.0, 10.0], [5.0, 12.0, -1.0], alpha=0.1)
    assert scores.tolist() == pytest.approx([10.0, 50.0, 30.0])


def test_interval_score_is_lowest_at_the_true_quantiles() -> None:
    seen = np.random.default_rng(1).normal(0.0, 6.0, 40_000)
    means = [np.mean(metrics.interval_score(-h, h, seen, 0.05)) for h in (9.0, 1.96 * 6.0, 15.0)]
    assert min(means) == means[1]


def test_pinball_weighs_the_two_sides_apart() -> None:
    assert metrics.pinball([0.0, 0.0], [2.0, -2.0], 0.9).tolist() == pytest.approx([1.8, 0.2])


@given(level=st.floats(0.02, 0.98))
def test_pinball_is_lowest_at_the_quantile(level: float) -> None:
    seen = np.linspace(0.0, 1.0, 2001)
    at = [float(np.mean(metrics.pinball(q, seen, level))) for q in (level - 0.02, level, level + 0.02)]
    assert min(at) == at[1]


def test_skill_is_zero_against_itself_and_one_when_never_wrong() -> None:
    losses, days = np.arange(1.0, 31.0), np.arange(30) // 3
    assert metrics.skill(losses, losses, days) == metrics.Skill(0.0, 0.0, 0.0, 0.95)
    assert metrics.skill(np.zeros(30), losses, days).value == 1.0


def test_skill_range_holds_the_value_and_repeats_bit_for_bit() -> None:
    generator = np.random.default_rng(2)
    theirs = generator.exponential(30.0, 600)
    ours = theirs * generator.normal(0.97, 0.1, 600)
    days = np.arange(600) // 8
    found = metrics.skill(ours, theirs, days)
    assert found.lower < found.value < found.upper
    assert found == metrics.skill(ours, theirs, days)


def test_skill_range_is_wider_when_nights_share_their_luck() -> None:
    generator = np.random.default_rng(3)
    theirs = np.full(600, 30.0)
    days = np.arange(600) // 10
    ours = 29.0 + np.repeat(generator.normal(0.0, 5.0, 60), 10)
    by_night = metrics.skill(ours, theirs, days)
    by_game = metrics.skill(ours, theirs, np.arange(600))
    assert by_night.upper - by_night.lower > 2 * (by_game.upper - by_game.lower)


def test_skill_refuses_what_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="must be equal"):
        metrics.skill([1.0], [1.0, 2.0], [0, 1])
    with pytest.raises(ValueError, match="not defined"):
        metrics.skill([1.0], [0.0], [0])


def test_skill_against_a_baseline_that_never_errs_is_none_beside_those_that_are_defined() -> None:
    losses, never, days = np.arange(1.0, 31.0), np.zeros(30), np.arange(30) // 3
    undefined, perfect, other = metrics.skills(
        np.stack([losses, never, losses], axis=1), np.stack([never, never, losses + 1.0], axis=1), days
    )
    assert undefined is None
    assert perfect is None
    assert other == metrics.skill(losses, losses + 1.0, days)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("loss", [5.0, 0.05])
def test_a_range_against_a_baseline_that_errs_on_a_single_night_has_no_lower_end(loss: float) -> None:
    """Many draws leave that night out."""
    theirs, days = np.eye(30)[0], np.arange(30)
    found = metrics.skill(np.full(30, loss), theirs, days)
    assert found.value == pytest.approx(1 - 30 * loss)
    assert not np.isfinite(found.lower)
    assert metrics.skill(theirs, theirs, days) == metrics.Skill(0.0, 0.0, 0.0, 0.95)
