from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.mixture import USUAL_SHARE, USUAL_WEIGHTS, fit_possession, fit_weights
from tests.unit.models.builders import make_ensemble

MIXTURE = make_ensemble().mixture


@settings(max_examples=80)
@given(seed=st.integers(0, 10_000), share=st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)))
def test_fitted_weights_beat_every_point_of_a_grid(seed: int, share: tuple[float, float]) -> None:
    generator = np.random.default_rng(seed)
    nearest = generator.normal(0.0, 1.0, 80)
    learned = 0.6 * nearest + generator.normal(0.0, 1.0, 80)
    happened = share[0] * nearest + share[1] * learned + generator.normal(0.0, 3.0, 80)
    found = fit_weights(nearest, learned, happened)

    def loss(dejavu: float, lstm: float) -> float:
        missed = float(((happened - dejavu * nearest - lstm * learned) ** 2).sum())
        unusual = (dejavu - USUAL_WEIGHTS.dejavu) ** 2 * nearest @ nearest
        return missed + USUAL_SHARE * float(unusual + (lstm - USUAL_WEIGHTS.lstm) ** 2 * learned @ learned)

    grid = [(d / 20, w / 20) for d in range(21) for w in range(21 - d)]
    assert loss(found.dejavu, found.lstm) <= min(loss(d, w) for d, w in grid) + 1e-9


def test_components_that_know_nothing_get_no_weight() -> None:
    nothing = np.zeros(30)
    assert fit_weights(nothing, nothing, np.ones(30)).persistence == 1.0


def test_what_the_ball_is_worth_is_found_again() -> None:
    generator = np.random.default_rng(3)
    held = generator.integers(-1, 2, (4000, 3)).astype(np.int8)
    spreads = np.array([9.0, 6.0, 3.0])
    residuals = 0.5 * held + generator.normal(0.0, spreads, (4000, 3))
    assert fit_possession(residuals, held, spreads) == pytest.approx(0.5, abs=0.15)
    assert fit_possession(residuals, np.zeros_like(held), spreads) == 0.0


def test_nonsense_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="weights are needed"):
        replace(MIXTURE, weights={True: MIXTURE.weights[True]})
    with pytest.raises(ValueError, match="possession_value is 9"):
        replace(MIXTURE, possession_value=9.0)
    with pytest.raises(TypeError):
        MIXTURE.weights[True] = MIXTURE.weights[False]  # type: ignore[index]
