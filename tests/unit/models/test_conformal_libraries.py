"""Ours beside MAPIE and crepes on the same scores: equal where the definition leaves no choice, and where conventions
differ the difference is written down as a test.

- MAPIE refuses n < 1/alpha (n = 19 at 95%); the smallest honest set has n + 1 >= 1/alpha, which is 19.
- crepes warns and answers with an infinite interval where ours refuses.
- crepes truncates (n + 1) * (1 - confidence) as a double: where that is a whole number it may take the next larger
  score, which over-covers by 1/(n + 1). Ours forgives the last bit of alpha.
"""

import math

import numpy as np
import pytest

from models.adaptive import Adaptive
from models.adaptive_rules import Rolling
from models.conformal import CalibrationSet, conformal_quantile, p_values, prediction_set
from models.distribution import conformal_distribution
from models.forecast import CalibrationTooSmall

mapie = pytest.importorskip("mapie.regression", reason="MAPIE is not installed: pip install -r requirements.lock")
crepes = pytest.importorskip("crepes", reason="crepes is not installed: pip install -r requirements.lock")

SIZES = (21, 40, 101, 500, 1300)
LEVELS = (0.5, 0.8, 0.9, 0.95)


class Column:
    """A fitted regressor that predicts one column of what it is asked."""

    is_fitted = True

    def __init__(self, column: int) -> None:
        self.column = column

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Column":
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x[:, self.column]


def games(n: int, seed: int = 5) -> tuple[CalibrationSet, np.ndarray]:
    """A calibration set and the points it was forecast with."""
    chance = np.random.default_rng(seed)
    ids = tuple(f"00222{number:05d}" for number in range(n))
    return CalibrationSet(ids, chance.standard_t(5, n) * 6.0), chance.normal(0.0, 8.0, n)


def whole_rank(n: int, level: float) -> bool:
    return math.isclose((n + 1) * (1 - level), round((n + 1) * (1 - level)), abs_tol=1e-9)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("level", LEVELS)
def test_intervals_are_those_of_mapie(n: int, level: float) -> None:
    ours, points = games(n)
    theirs = mapie.SplitConformalRegressor(Column(0), confidence_level=level, prefit=True)
    theirs.conformalize(points[:, None], points + ours.residuals)
    _, found = theirs.predict_interval(np.array([[3.0], [-7.5]]))
    for row, point in enumerate((3.0, -7.5)):
        interval = prediction_set(point, ours.quantile(1.0 - level))
        assert found[row].ravel() == pytest.approx([interval.lower, interval.upper], abs=1e-9)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("level", LEVELS)
def test_intervals_are_those_of_crepes(n: int, level: float) -> None:
    ours, _ = games(n)
    theirs = crepes.ConformalRegressor().fit(ours.residuals)
    found = theirs.predict_int(np.array([3.0]), confidence=level)[0]
    quantile = ours.quantile(1.0 - level)
    if whole_rank(n, level):
        place = int(np.searchsorted(ours.scores, quantile))
        assert found[1] in (3.0 + ours.scores[place], 3.0 + ours.scores[place + 1])
    else:
        interval = prediction_set(3.0, quantile)
        assert found.tolist() == pytest.approx([interval.lower, interval.upper], abs=1e-12)


def test_a_rolling_set_without_feedback_is_plain_split_conformal() -> None:
    ours, _ = games(1300)
    theirs = crepes.ConformalRegressor().fit(ours.residuals)
    for level in (0.5, 0.66, 0.81, 0.93, 0.99):
        found = theirs.predict_int(np.array([0.0]), confidence=level)[0]
        assert found[1] == Adaptive(ours, rule=Rolling()).half_width(1.0 - level)


def test_p_values_are_those_of_crepes() -> None:
    ours, _ = games(300)
    whole = CalibrationSet(ours.game_ids, np.round(ours.residuals))  # whole margins: many ties
    theirs = crepes.ConformalRegressor().fit(whole.residuals)
    actual = np.arange(-20.0, 21.0)
    found = theirs.predict_p(np.zeros(len(actual)), actual, smoothing=False)
    assert p_values(whole.scores, np.abs(actual), 1.0) == pytest.approx(found, abs=1e-12)
    smoothed = theirs.predict_p(np.zeros(len(actual)), actual, smoothing=True, seed=1)
    assert (p_values(whole.scores, np.abs(actual), 0.0) <= smoothed).all()
    assert (smoothed <= p_values(whole.scores, np.abs(actual), 1.0)).all()


def test_the_distribution_is_the_predictive_system_of_crepes_on_whole_margins() -> None:
    ours, _ = games(1299)
    theirs = crepes.ConformalPredictiveSystem().fit(ours.residuals)
    found = conformal_distribution(2.3, np.sort(ours.residuals))
    margins = np.arange(-15, 20)
    # The system leaves the height of the step at an error open, by 1/(n+1); ours lies within one step of it.
    cdf = theirs.predict_p(np.full(len(margins), 2.3), margins + 0.5, smoothing=False)
    assert [found.cdf(margin) for margin in margins.tolist()] == pytest.approx(cdf, abs=1.01 / 1300)


def test_where_mapie_asks_for_one_game_more() -> None:
    ours, points = games(19)
    assert conformal_quantile(ours.scores, 0.05) == ours.scores[-1]
    theirs = mapie.SplitConformalRegressor(Column(0), confidence_level=0.95, prefit=True)
    theirs.conformalize(points[:, None], points + ours.residuals)
    with pytest.raises(ValueError, match="too low"):
        theirs.predict_interval(np.array([[0.0]]))


def test_where_crepes_answers_infinity_ours_refuses() -> None:
    ours, _ = games(12)
    with pytest.warns(UserWarning, match="too small"):
        found = crepes.ConformalRegressor().fit(ours.residuals).predict_int(np.array([0.0]), confidence=0.95)
    assert np.isinf(found).all()
    with pytest.raises(CalibrationTooSmall, match="at least 19 games, this one has 12"):
        ours.quantile(0.05)
