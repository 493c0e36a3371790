import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.shape import CHANGES, corrected, correction, counts_of, pit_ends, prior, tilted

GENERATOR = np.random.default_rng(4)
PAST = np.rint(GENERATOR.normal(-0.3, 6.0, 5000)).astype(np.int64)
PRIOR = prior(PAST)
MEANS = st.lists(st.floats(-30.0, 30.0), min_size=1, max_size=4)


def neighbours(count: int) -> NDArray[np.float64]:
    return np.stack([counts_of(PAST[start : start + 500]) for start in range(count)])


def test_no_change_a_game_could_show_is_impossible_and_the_prior_is_a_distribution() -> None:
    assert PRIOR[np.abs(CHANGES) < 60].min() > 0.0
    assert PRIOR.sum() == pytest.approx(1.0, abs=1e-12)
    assert float(PRIOR @ CHANGES) == pytest.approx(float(PAST.mean()), abs=0.01)


@settings(max_examples=60)
@given(means=MEANS)
def test_a_tilted_shape_has_the_mean_asked_for(means: list[float]) -> None:
    shapes = tilted(PRIOR, neighbours(len(means)), np.array(means))
    assert shapes.sum(axis=1) == pytest.approx(np.ones(len(means)), abs=1e-12)
    assert shapes @ CHANGES == pytest.approx(np.array(means), abs=1e-6)
    assert shapes.min() >= 0.0


@settings(max_examples=60)
@given(means=MEANS)
def test_many_shapes_at_once_are_the_same_bits_as_one_by_one(means: list[float]) -> None:
    counted = neighbours(len(means))
    together = tilted(PRIOR, counted, np.array(means))
    alone = [tilted(PRIOR, counted[row : row + 1], np.array(means[row : row + 1]))[0] for row in range(len(means))]
    assert np.array_equal(together, np.stack(alone))


def test_a_tilt_keeps_what_the_game_makes_unlike() -> None:
    """With odd changes never seen, tilting gives even ones the probability."""
    even = prior(2 * PAST)
    shape = tilted(even, counts_of(2 * PAST)[None, :], np.array([3.0]))[0]
    odd = np.abs(CHANGES.astype(int)) % 2 == 1
    assert shape[odd].sum() < 0.01


def test_a_mean_no_game_reaches_still_gives_a_distribution() -> None:
    shape = tilted(PRIOR, neighbours(1), np.array([900.0]))[0]
    assert np.isfinite(shape).all()
    assert shape.sum() == pytest.approx(1.0, abs=1e-9)


def test_calibrating_half_undoes_a_shape_that_is_too_narrow() -> None:
    wide = np.rint(GENERATOR.normal(0.0, 8.0, 4000)).astype(np.int64)
    narrow = np.repeat(tilted(PRIOR, neighbours(1), np.zeros(1)), len(wide), axis=0)
    mapped = correction(*pit_ends(narrow, wide))
    better = corrected(narrow, mapped)
    assert better.sum(axis=1) == pytest.approx(np.ones(len(wide)), abs=1e-12)
    spread, was = (np.sqrt(shapes[0] @ CHANGES**2) for shapes in (better, narrow))
    assert was == pytest.approx(6.0, abs=0.3)
    assert 6.4 < spread < 8.0


def test_a_shape_that_is_right_is_left_nearly_alone() -> None:
    fair = np.repeat(tilted(PRIOR, neighbours(1), np.array([float(PAST.mean())])), len(PAST), axis=0)
    mapped = correction(*pit_ends(fair, PAST))
    assert np.abs(mapped - np.linspace(0.0, 1.0, 201)).max() < 0.02
