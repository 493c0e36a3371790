from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conformal import CalibrationSet
from models.ensemble import Ensemble, fit_weights
from models.forecast import BadPattern, CalibrationTooSmall, UnknownTeam, UnsupportedMinute
from tests.unit.models.builders import TEAMS, make_ensemble

ENSEMBLE = make_ensemble()
PATTERNS = st.lists(st.integers(-6, 6), min_size=18, max_size=18).map(lambda steps: np.cumsum(steps).tolist())
RATINGS = st.none() | st.floats(-20, 20)


@settings(max_examples=60)
@given(pattern=PATTERNS, rating=RATINGS, alpha=st.floats(0.02, 0.99))
def test_a_forecast_is_a_function_of_its_input(pattern: list[int], rating: float | None, alpha: float) -> None:
    first = ENSEMBLE.forecast(pattern, 18, alpha, rating)
    assert first == make_ensemble().forecast([float(margin) for margin in pattern], 18, alpha, rating)
    assert first.point == ENSEMBLE.point(pattern, 18, rating)
    assert first.interval.lower <= first.point <= first.interval.upper
    assert (first.alpha, first.minute, first.rating) == (alpha, 18, rating)


@settings(max_examples=40)
@given(pattern=PATTERNS, rating=RATINGS)
def test_the_point_is_the_weighted_mean_of_the_components(pattern: list[int], rating: float | None) -> None:
    forecast = ENSEMBLE.forecast(pattern, 18, 0.1, rating)
    parts, weights = forecast.components, forecast.weights
    mean = weights.dejavu * parts.dejavu + weights.lstm * parts.lstm + weights.persistence * parts.persistence
    assert forecast.point == pytest.approx(mean, abs=1e-9)
    assert parts.persistence == pattern[-1]


@settings(max_examples=40)
@given(pattern=PATTERNS, rating=RATINGS, alphas=st.tuples(st.floats(0.02, 0.99), st.floats(0.02, 0.99)))
def test_intervals_are_nested_in_alpha(pattern: list[int], rating: float | None, alphas: tuple[float, float]) -> None:
    wide = ENSEMBLE.forecast(pattern, 18, min(alphas), rating).interval
    narrow = ENSEMBLE.forecast(pattern, 18, max(alphas), rating).interval
    assert wide.lower <= narrow.lower
    assert narrow.upper <= wide.upper


def test_everything_that_leaves_is_a_plain_number() -> None:
    forecast = ENSEMBLE.forecast([0] * 18, 18, 0.1, 3)
    numbers = [forecast.point, forecast.interval.lower, forecast.half_width, forecast.sd, forecast.components.lstm]
    assert {type(number) for number in numbers} == {float}
    game = forecast.similar[0]
    assert {type(value) for value in (*game.path, *game.pattern, game.change, game.rating)} == {int}


def test_five_similar_games_come_with_their_paths_and_what_happened_next() -> None:
    forecast = ENSEMBLE.forecast([0] * 18, 18, 0.1, None)
    assert len(forecast.similar) == 5
    for game in forecast.similar:
        assert len(game.path) == 25
        assert game.change == game.path[24] - game.path[18]


def test_a_forecast_can_be_made_before_tip_off() -> None:
    forecast = ENSEMBLE.forecast([], 0, 0.1, 4.0)
    assert forecast.components.persistence == 0.0
    assert forecast.point != 0.0


def test_requests_with_and_without_a_rating_have_their_own_weights_and_calibration() -> None:
    with_rating, without = (ENSEMBLE.forecast([0] * 18, 18, 0.1, rating) for rating in (0.0, None))
    assert with_rating.weights != without.weights
    assert with_rating.half_width != without.half_width


def test_a_minute_without_calibration_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(UnsupportedMinute, match="minute 7: this model answers at minute 0, 6, 18"):
        ENSEMBLE.forecast([0] * 7, 7, 0.1, None)


def test_the_pattern_must_have_as_many_margins_as_minutes() -> None:
    with pytest.raises(BadPattern, match="17 margins, minute 18"):
        ENSEMBLE.forecast([0] * 17, 18, 0.1, None)


def test_an_alpha_the_calibration_cannot_support_is_refused() -> None:
    with pytest.raises(CalibrationTooSmall, match="at least 99 games, this one has 60"):
        ENSEMBLE.forecast([0] * 18, 18, 0.01, None)


def test_rating_needs_both_teams_and_refuses_an_unknown_one() -> None:
    assert ENSEMBLE.rate(TEAMS[0], TEAMS[1]) == ENSEMBLE.ratings.expected(TEAMS[0], TEAMS[1])
    assert ENSEMBLE.rate(None, TEAMS[1]) is None
    assert ENSEMBLE.rate(TEAMS[0], "") is None
    for pair in (("XXX", "BOS"), ("BOS", "XXX"), ("XXX", None), (None, "XXX")):
        with pytest.raises(UnknownTeam, match="no rating for team 'XXX': known are ATL, BOS"):
            ENSEMBLE.rate(*pair)
    with pytest.raises(UnknownTeam, match="does not play itself"):
        ENSEMBLE.rate("BOS", "BOS")


def test_the_calibration_id_follows_the_calibration_alone() -> None:
    assert ENSEMBLE.calibration_id == make_ensemble().calibration_id
    assert ENSEMBLE.calibration_id == replace(ENSEMBLE, source="recorded").calibration_id
    sets = dict(ENSEMBLE.calibration)
    sets[18, True] = CalibrationSet(sets[18, True].game_ids, sets[18, True].residuals + 1e-9)
    assert replace(ENSEMBLE, calibration=sets).calibration_id != ENSEMBLE.calibration_id


def test_a_game_cannot_both_fit_and_calibrate() -> None:
    sets = dict(ENSEMBLE.calibration)
    sets[18, True] = CalibrationSet((str(ENSEMBLE.dejavu.game_id[3]),), np.zeros(1))
    with pytest.raises(ValueError, match="also used to fit"):
        replace(ENSEMBLE, calibration=sets)


def test_a_missing_case_is_refused() -> None:
    sets = {case: games for case, games in ENSEMBLE.calibration.items() if case != (6, False)}
    with pytest.raises(ValueError, match="with and one without a rating"):
        replace(ENSEMBLE, calibration=sets)
    with pytest.raises(ValueError, match="weights are needed"):
        replace(ENSEMBLE, weights={True: ENSEMBLE.weights[True]})


def test_an_ensemble_cannot_be_changed_in_place() -> None:
    ensemble: Ensemble = make_ensemble()
    with pytest.raises(TypeError):
        ensemble.weights[True] = ensemble.weights[False]  # type: ignore[index]


@settings(max_examples=80)
@given(seed=st.integers(0, 10_000), share=st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)))
def test_fitted_weights_beat_every_point_of_a_grid(seed: int, share: tuple[float, float]) -> None:
    generator = np.random.default_rng(seed)
    nearest = generator.normal(0.0, 1.0, 80)
    learned = 0.6 * nearest + generator.normal(0.0, 1.0, 80)
    happened = share[0] * nearest + share[1] * learned + generator.normal(0.0, 3.0, 80)
    found = fit_weights(nearest, learned, happened)

    def loss(dejavu: float, lstm: float) -> float:
        return float(((happened - dejavu * nearest - lstm * learned) ** 2).sum())

    grid = [(d / 20, w / 20) for d in range(21) for w in range(21 - d)]
    assert loss(found.dejavu, found.lstm) <= min(loss(d, w) for d, w in grid) + 1e-9


def test_components_that_know_nothing_get_no_weight() -> None:
    nothing = np.zeros(30)
    assert fit_weights(nothing, nothing, np.ones(30)).persistence == 1.0
