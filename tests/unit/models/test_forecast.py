import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.forecast import (
    BadAlpha,
    BadPattern,
    BadRating,
    BrokenForecast,
    Interval,
    UnsupportedMinute,
    Weights,
    checked_alpha,
    checked_pattern,
    checked_rating,
    persistence,
)
from tests.unit.models.builders import make_ensemble

PATTERN = [float(value) for value in range(18)]


def test_an_interval_is_closed() -> None:
    interval = Interval(-3.0, 4.0)
    assert interval.covers(-3)
    assert interval.covers(4)
    assert not interval.covers(4.000001)
    assert interval.width == 7.0


@given(st.floats(-50, 50), st.floats(0, 30), st.integers(-100, 100))
def test_an_interval_holds_a_whole_margin_when_its_integers_do(lower: float, width: float, actual: int) -> None:
    interval = Interval(lower, lower + width)
    first, last = interval.integers
    assert interval.covers(actual) == (first <= actual <= last)


def test_persistence_says_the_margin_stays() -> None:
    assert persistence([1, 4, -2]) == -2.0
    assert persistence([]) == 0.0


def test_weights_leave_the_rest_to_persistence() -> None:
    assert Weights(0.4, 0.5).persistence == pytest.approx(0.1)
    with pytest.raises(ValueError, match="sum at most 1"):
        Weights(0.7, 0.5)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (PATTERN[:17], "17 margins"),
        ([*PATTERN, 1.0], "19 margins"),
        ([*PATTERN[:17], float("nan")], r"margin\(18\) is nan"),
        ([float("inf"), *PATTERN[1:]], r"margin\(1\) is inf"),
        ([*PATTERN[:17], 101], "must lie in -100..100"),
        ([*PATTERN[:17], "seven"], "not a number"),
        ([*PATTERN[:17], None], "not a number"),
    ],
)
def test_a_bad_pattern_is_refused_with_the_reason(pattern: list[float], says: str) -> None:
    with pytest.raises(BadPattern, match=says):
        checked_pattern(pattern, 18)


@pytest.mark.parametrize("minute", [-1, 24, 48])
def test_only_minutes_of_the_first_half_can_be_asked(minute: int) -> None:
    with pytest.raises(UnsupportedMinute, match="0 to 23"):
        checked_pattern([0.0] * max(minute, 0), minute)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -5.0, 2.0, float("nan"), float("inf")])
def test_alpha_outside_zero_to_one_is_refused(alpha: float) -> None:
    with pytest.raises(BadAlpha, match="strictly between 0 and 1"):
        checked_alpha(alpha)


@pytest.mark.parametrize("rating", [float("nan"), float("inf"), 61.0])
def test_a_rating_no_game_has_is_refused(rating: float) -> None:
    with pytest.raises(BadRating):
        checked_rating(rating)
    assert checked_rating(None) is None


def test_a_forecast_whose_interval_misses_its_point_cannot_exist() -> None:
    forecast = make_ensemble().forecast(PATTERN, 18, 0.1, None)
    with pytest.raises(BrokenForecast, match="does not hold its point"):
        replace(forecast, point=forecast.interval.upper + 0.1)
    with pytest.raises(BrokenForecast, match="not finite"):
        replace(forecast, sd=math.inf)


def test_a_forecast_is_plain_json() -> None:
    forecast = make_ensemble().forecast(PATTERN, 18, 0.1, 2.0)
    body = json.loads(json.dumps(forecast.as_dict(), allow_nan=False))
    assert body["point"] == forecast.point
    assert body["similar"][0]["date"] == forecast.similar[0].date.isoformat()
    assert sum(body["weights"].values()) == pytest.approx(1.0)
