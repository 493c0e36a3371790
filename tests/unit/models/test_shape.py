import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.shape import (
    CHANGES,
    corrected,
    corrected_cumulative,
    corrected_rows,
    correction,
    pit_ends,
    places,
    prior,
    tilted,
    tilted_rows,
)

GENERATOR = np.random.default_rng(4)
PAST = np.rint(GENERATOR.normal(-0.3, 6.0, 5000)).astype(np.int64)
PRIOR = prior(PAST)


def shares(changes: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.bincount(places(changes), minlength=len(CHANGES)) / len(changes)


NEAR = shares(PAST[:500])


def test_no_change_a_game_could_show_is_impossible_and_the_prior_is_a_distribution() -> None:
    assert PRIOR[np.abs(CHANGES) < 60].min() > 0.0
    assert PRIOR.sum() == pytest.approx(1.0, abs=1e-12)
    assert float(PRIOR @ CHANGES) == pytest.approx(float(PAST.mean()), abs=0.01)


@settings(max_examples=200)
@given(mean=st.floats(-30.0, 30.0))
def test_a_tilted_shape_has_the_mean_asked_for(mean: float) -> None:
    shape = tilted(PRIOR, NEAR, mean)
    assert shape.sum() == pytest.approx(1.0, abs=1e-12)
    assert float(shape @ CHANGES) == pytest.approx(mean, abs=1e-6)
    assert shape.min() >= 0.0


@settings(max_examples=60)
@given(mean=st.floats(-8.0, 8.0))
def test_a_tilted_shape_is_the_nearest_in_relative_entropy(mean: float) -> None:
    """The logarithm of what was done to the shape is a line: no other shape of this mean is nearer."""
    done = np.log(tilted(PRIOR, NEAR, mean) / (0.5 * PRIOR + 0.5 * NEAR))
    assert np.diff(done, 2) == pytest.approx(np.zeros(len(done) - 2), abs=1e-9)


def test_a_tilt_keeps_what_the_game_makes_unlike() -> None:
    """With odd changes never seen, tilting gives even ones the probability."""
    even = prior(2 * PAST)
    shape = tilted(even, shares(2 * PAST), 3.0)
    odd = np.abs(CHANGES.astype(int)) % 2 == 1
    assert shape[odd].sum() < 0.01


@settings(max_examples=60)
@given(means=st.lists(st.floats(-60.0, 60.0), min_size=1, max_size=24), seed=st.integers(0, 9))
def test_rows_tilted_and_corrected_together_have_the_bits_of_each_alone(means: list[float], seed: int) -> None:
    chance = np.random.default_rng(seed)
    near = np.stack([shares(chance.choice(PAST, 500)) for _ in means])
    priors = np.stack([prior(chance.choice(PAST, 900)) for _ in means])
    maps = [correction(*np.sort(chance.uniform(size=(2, 400)), axis=0)) for _ in means]
    together = tilted_rows(priors, near, np.array(means))
    alone = [tilted(*parts) for parts in zip(priors, near, means, strict=True)]
    assert np.array_equal(together, np.stack(alone))
    mapped = [corrected_cumulative(shape, through) for shape, through in zip(alone, maps, strict=True)]
    assert np.array_equal(corrected_rows(together, maps), np.stack(mapped))


def test_a_mean_no_game_reaches_still_gives_a_distribution() -> None:
    shape = tilted(PRIOR, NEAR, 900.0)
    assert np.isfinite(shape).all()
    assert shape.sum() == pytest.approx(1.0, abs=1e-9)


def test_calibrating_half_undoes_a_shape_that_is_too_narrow() -> None:
    wide = np.rint(GENERATOR.normal(0.0, 8.0, 4000)).astype(np.int64)
    narrow = np.tile(tilted(PRIOR, NEAR, 0.0), (len(wide), 1))
    mapped = correction(*pit_ends(narrow, wide))
    better = corrected(narrow, mapped)
    assert better.sum(axis=1) == pytest.approx(np.ones(len(wide)), abs=1e-12)
    spread, was = (np.sqrt(shapes[0] @ CHANGES**2) for shapes in (better, narrow))
    assert was == pytest.approx(6.0, abs=0.3)
    assert 6.4 < spread < 8.0


def test_a_shape_that_is_right_is_left_nearly_alone() -> None:
    fair = np.tile(tilted(PRIOR, NEAR, float(PAST.mean())), (len(PAST), 1))
    mapped = correction(*pit_ends(fair, PAST))
    assert np.abs(mapped - np.linspace(0.0, 1.0, 201)).max() < 0.02
