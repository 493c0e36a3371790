"""Alarms: the recursion, the promise about false ones, and how soon a change is seen."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alarms import (
    DRIFT_THRESHOLD,
    SEASON,
    TICKET_RUN_LENGTH,
    Detector,
    Reference,
    coverage_detector,
    tolerated_rate,
)
from models.forecast import CalibrationTooSmall


def evidence(misses: Sequence[bool], null: float = 0.05) -> float | None:
    return coverage_detector(0.05, null).after(misses).log_evidence


def test_a_small_reference_tolerates_more() -> None:
    assert tolerated_rate(0.05, 1000) == pytest.approx(0.0638, abs=1e-4)
    assert tolerated_rate(0.05, 300) == pytest.approx(0.0752, abs=1e-4)
    for rate, n in ((0.0, 10), (1.0, 10), (0.05, 0)):
        with pytest.raises(ValueError, match="need 0 < rate < 1 and n >= 1"):
            tolerated_rate(rate, n)


def test_evidence_of_one_miss_is_the_mean_likelihood_ratio() -> None:
    found = evidence([True])
    assert found is not None
    assert math.exp(found) == pytest.approx(np.mean([1.6, 2.0, 2.8, 4.0, 6.0]))


def test_evidence_follows_the_recursion_of_the_detector() -> None:
    misses = [False, True, False, True, True]
    values = np.zeros(5)
    for missed in misses:
        rates = np.array([0.08, 0.10, 0.14, 0.20, 0.30])
        values = (1 + values) * (rates / 0.05 if missed else (1 - rates) / 0.95)
    assert evidence(misses) == pytest.approx(math.log(values.mean()))


def test_no_games_or_nothing_to_bet_on_give_no_evidence() -> None:
    assert evidence([]) is None
    assert evidence([True], null=0.5) is None


def test_a_thousand_misses_do_not_overflow() -> None:
    found = evidence([True] * 1000)
    assert found is not None
    assert math.isfinite(found)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 40))
def test_the_same_games_in_any_batches_give_the_same_bits(stream: list[bool], cut: int) -> None:
    start = Detector.above(0.1, (0.2, 0.5))
    whole = start.after(stream)
    assert start.after(stream[:cut]).after(stream[cut:]) == whole
    assert whole.n == len(stream)


def test_calibrated_seasons_rarely_alarm_and_broken_ones_do() -> None:
    chance = np.random.default_rng(7)
    threshold = math.log(TICKET_RUN_LENGTH)
    calm = [peak(chance.random(SEASON) < 0.05) for _ in range(40)]
    broken = [peak(chance.random(200) < 0.30) for _ in range(20)]
    # 5.4% of calm seasons alarm by simulation: 40 seasons hold 7 or more with probability 0.004.
    assert sum(found >= threshold for found in calm) <= 6
    assert all(found >= threshold for found in broken)


def peak(misses: np.ndarray) -> float:
    rates, values, best = np.array([0.08, 0.10, 0.14, 0.20, 0.30]), np.zeros(5), 0.0
    for missed in misses:
        values = (1 + values) * (rates / 0.05 if missed else (1 - rates) / 0.95)
        best = max(best, float(values.mean()))
    assert evidence([bool(missed) for missed in misses]) == pytest.approx(math.log(values.mean()))
    return math.log(best)


REFERENCE = Reference(large=1.96, typical=0.674, high=0.5, n=1300)


def first_alarm(errors: np.ndarray) -> tuple[str, int] | None:
    """The stream that fires first, and after how many games."""
    states = REFERENCE.detectors()
    happened = {
        "large": abs(errors) > REFERENCE.large, "typical": abs(errors) > REFERENCE.typical, "high": errors > 0,
        "low": errors < 0,
    }  # fmt: skip
    for place in range(len(errors)):
        states = {name: state.after([bool(happened[name][place])]) for name, state in states.items()}
        fired = [name for name, state in states.items() if (state.log_evidence or 0.0) >= DRIFT_THRESHOLD]
        if fired:
            return fired[0], place + 1
    return None


def test_a_reference_is_read_from_residuals_and_refused_when_there_are_too_few() -> None:
    found = Reference.of(np.arange(-50.0, 50.0))
    assert (found.large, found.typical, found.n) == (48.0, 25.0, 100)
    assert found.high == pytest.approx(0.49)
    with pytest.raises(CalibrationTooSmall):
        Reference.of(np.zeros(18))


def test_errors_as_promised_hardly_ever_drift() -> None:
    chance = np.random.default_rng(3)
    assert sum(first_alarm(chance.normal(size=SEASON)) is not None for _ in range(20)) <= 1


@pytest.mark.parametrize(
    ("scale", "lean", "stream", "games"),
    [(1.5, 0.0, {"large", "typical"}, 200), (1.0, 0.4, {"high"}, 250), (1.0, -0.4, {"low"}, 250)],
)
def test_wider_or_leaning_errors_are_seen_within_a_fifth_of_a_season(
    scale: float, lean: float, stream: set[str], games: int
) -> None:
    chance = np.random.default_rng(5)
    found = [first_alarm(scale * chance.normal(size=SEASON) + lean) for _ in range(9)]
    assert {name for name, _ in filter(None, found)} <= stream
    assert sorted(after for _, after in filter(None, found))[4] < games


def test_before_the_first_game_there_is_no_evidence() -> None:
    assert {state.log_evidence for state in REFERENCE.detectors().values()} == {None}
    assert pytest.approx(math.log(4 * TICKET_RUN_LENGTH)) == DRIFT_THRESHOLD


@given(st.lists(st.booleans(), max_size=30))
def test_a_state_survives_json(stream: list[bool]) -> None:
    state = Detector.above(0.05, (0.08, 0.3)).after(stream)
    assert Detector.from_dict(json.loads(json.dumps(state.as_dict()))) == state


@pytest.mark.parametrize(
    "body",
    [{}, {"null": 0.05, "rates": [0.1], "logs": [1.0, 2.0], "n": 1}, {"null": None, "rates": [], "logs": None, "n": 0}],
)
def test_what_is_no_state_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="alarm's state"):
        Detector.from_dict(body)
