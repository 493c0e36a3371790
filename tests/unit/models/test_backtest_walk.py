import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.backtest_scores import COVERAGE_LEVELS, RANGE_DATES, ranged, score, skills
from models.backtest_walk import LEVELS, Predictions, dates_of, fixed, rolled
from models.conformal import conformal_quantile
from models.forecast import CalibrationTooSmall
from models.metrics import Skill

PAST = np.arange(-30.0, 31.0)


def days(*numbers: int) -> np.ndarray:
    return np.datetime64("2021-10-19", "D") + np.array(numbers)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30).map(sorted))
def test_dates_cut_the_games_into_whole_dates(numbers: list[int]) -> None:
    dates = days(*numbers)
    found = list(dates_of(dates))
    assert np.concatenate([np.arange(len(dates))[rows] for rows in found]).tolist() == list(range(len(dates)))
    assert [len(np.unique(dates[rows])) for rows in found] == [1] * len(set(numbers))


def test_a_date_is_forecast_from_the_errors_of_earlier_ones_only() -> None:
    points, actual, dates = np.zeros(4), np.array([50.0, 60.0, 70.0, 80.0]), days(0, 0, 1, 2)
    said = rolled(PAST, points, actual, dates, window=len(PAST))
    errors = np.concatenate([PAST, actual])
    for row, known in enumerate((0, 0, 2, 3)):
        pool = np.sort(np.abs(errors[: len(PAST) + known][-len(PAST) :]))
        assert said.upper[row].tolist() == [conformal_quantile(pool, 1 - level) for level in LEVELS]
    assert np.array_equal(said.lower, -said.upper)


def test_a_window_forgets_the_oldest_errors() -> None:
    said = rolled(PAST, np.zeros(2), np.array([1.0, 1.0]), days(0, 1), window=30)
    assert said.upper[0, -1] == conformal_quantile(np.sort(np.abs(PAST[-30:])), 0.05)
    assert said.upper[1, -1] == conformal_quantile(np.sort(np.abs([*PAST[-29:], 1.0])), 0.05)


def test_fixed_errors_stay_as_they_are() -> None:
    said = fixed(PAST, np.array([0.0, 5.0]), days(0, 1))
    assert (said.upper - said.points[:, None]).tolist() == [
        [conformal_quantile(np.sort(np.abs(PAST)), 1 - level) for level in LEVELS]
    ] * 2
    assert said.pmf.sum(axis=1) == pytest.approx(1.0)


def test_too_few_errors_are_refused() -> None:
    with pytest.raises(CalibrationTooSmall):
        fixed(np.arange(10.0), np.zeros(1), days(0))


def certain(points: list[float], *, first: int, chances: list[float]) -> Predictions:
    """Every game the same distribution; intervals of 1, 2 and 3 points to each side."""
    centre = np.array(points)
    reach = np.array([1.0, 2.0, 3.0])
    return Predictions(
        centre,
        centre[:, None] - reach,
        centre[:, None] + reach,
        np.full(len(points), first),
        np.tile(chances, (len(points), 1)),
    )


def test_scores_are_those_of_a_hand_made_season() -> None:
    """P(-1), P(0), P(1), P(2) = 1/4 each; the outcomes are -1 and 2."""
    said = certain([0.0, 0.0], first=-1, chances=[0.25] * 4)
    found = score("some", 6, 2021, said, np.array([-1.0, 2.0]))
    row = found.row
    assert (row["season"], row["minute"], row["forecaster"], row["n"]) == (2021, 6, "some", 2)
    assert (row["mae"], row["bias"]) == (1.5, 0.5)
    assert row["rmse"] == pytest.approx(np.sqrt(2.5))
    assert row["brier"] == pytest.approx((0.5**2 + 0.5**2) / 2)
    assert row["log_score"] == pytest.approx((-np.log(0.25) - np.log(0.5)) / 2)
    assert (row["coverage_80"], row["coverage_90"], row["coverage_95"]) == (0.5, 1.0, 1.0)
    assert (row["width_80"], row["width_95"], row["interval_score_95"]) == (2.0, 6.0, 6.0)
    assert row["interval_score_80"] == pytest.approx(2.0 + (2 / 0.2) * 1.0 / 2)
    # sum over x of (F(x) - 1{y <= x})^2, for y = -1: 9/16 + 4/16 + 1/16, for y = 2: 1/16 + 4/16 + 9/16
    assert found.crps.tolist() == [14 / 16, 14 / 16]
    assert found.pit.sum() == 2
    assert found.covered.shape == (len(COVERAGE_LEVELS),)
    assert found.chances[5].tolist() == [2.0, 1.0, 1.0]


def test_skill_is_the_share_of_the_loss_that_is_saved() -> None:
    worse = score("persistence", 6, 2021, certain([2.0] * 40, first=-1, chances=[0.25] * 4), np.zeros(40))
    better = score("some", 6, 2021, certain([1.0] * 40, first=0, chances=[0.5, 0.5]), np.zeros(40))
    none, found = skills([worse, better], [worse, worse], days(*range(40)))
    assert set(none.values()) == {0.0}
    assert found["mse_skill"] == found["mse_skill_lower"] == found["mse_skill_upper"] == 0.75
    assert found["crps_skill"] == pytest.approx(1 - 0.25 / (1 / 16 + 4 / 16 + 1 / 16))


def test_skill_that_is_not_defined_and_ranges_of_too_few_dates_are_null() -> None:
    exact = score("persistence", 6, 2021, certain([0.0] * 40, first=-1, chances=[0.25] * 4), np.zeros(40))
    worse = score("some", 6, 2021, certain([1.0] * 40, first=0, chances=[0.5, 0.5]), np.zeros(40))
    (found,) = skills([worse], [exact], days(*range(40)))
    assert (found["mse_skill"], found["mse_skill_lower"], found["mse_skill_upper"]) == (None, None, None)
    assert found["crps_skill"] == found["crps_skill_lower"] == pytest.approx(1 - 0.25 / (6 / 16))
    for dates, known in ((RANGE_DATES, True), (RANGE_DATES - 1, False)):
        (few,) = skills([exact], [worse], days(*(place % dates for place in range(40))))
        assert few["mse_skill"] == 1.0
        assert (few["mse_skill_lower"] == few["mse_skill_upper"] == 1.0) is known
        assert (few["crps_skill_lower"] is not None) is known
        assert list(few) == list(found)
    json.dumps([found, few], allow_nan=False)


def test_a_range_without_an_end_is_null() -> None:
    assert ranged(Skill(-3.0, -np.inf, 1.0, 0.95), RANGE_DATES) == (-3.0, None, None)
    assert ranged(Skill(-3.0, -4.0, 1.0, 0.95), RANGE_DATES) == (-3.0, -4.0, 1.0)
    assert ranged(None, RANGE_DATES) == (None, None, None)
