"""The simulation behind docs/alarms.md, small: false alarms and delays are what that page says."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.alarms import CHANGE, coverage_rules, drift_seasons, first_alarms
from models.alarms import SEASON, TICKET_THRESHOLD, coverage_detector

SEASONS = 300


def misses(rate: float, seed: int, before: float = 0.05) -> np.ndarray:
    rates = np.where(np.arange(SEASON) < CHANGE, before, rate)
    return np.random.default_rng(seed).random((SEASONS, SEASON)) < rates


def test_many_seasons_at_once_alarm_when_the_detector_does() -> None:
    start, seen = coverage_detector(0.05, 0.0625), misses(0.2, 1)[:6]
    for season, first in zip(seen, first_alarms(start, TICKET_THRESHOLD, seen).tolist(), strict=True):
        state, found = start, 0
        for place, missed in enumerate(season.tolist(), 1):
            state = state.after([missed])
            if (state.log_evidence or 0.0) >= TICKET_THRESHOLD:
                found = place
                break
        assert found == first


@pytest.mark.parametrize(
    ("rule", "least", "most"),
    [("e-detector, ticket (ten seasons)", 2, 11), ("window of 100 below 85%, from game 1", 23, 41)],
)
def test_calibrated_seasons_alarm_as_often_as_the_page_says(rule: str, least: float, most: float) -> None:
    share = 100.0 * (coverage_rules()[rule](misses(0.05, 2)) > 0).mean()
    assert least <= share <= most


@pytest.mark.parametrize(("rate", "median"), [(0.15, 74), (0.2, 42), (0.3, 22)])
def test_a_change_is_seen_as_soon_as_the_page_says(rate: float, median: float) -> None:
    first = coverage_rules()["e-detector, ticket (ten seasons)"](misses(rate, 3))
    assert np.median(first[first > CHANGE]) - CHANGE == pytest.approx(median, rel=0.3)


def test_wider_errors_are_drift_and_the_same_errors_are_not() -> None:
    assert (drift_seasons(SEASONS, 1.0, 0.0) > 0).mean() < 0.06
    first = drift_seasons(SEASONS, 1.5, 0.0)
    assert np.median(first[first > CHANGE]) - CHANGE == pytest.approx(74, rel=0.3)
