"""The statistics beside each figure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.evidence import (
    TICKET_RUN_LENGTH,
    EvidenceError,
    coverage_estimate,
    coverage_log_evidence,
    null_miss_rate,
    percentile,
    skill_estimate,
)


def test_clopper_pearson_equals_published_values() -> None:
    # Exact 95% limits of 18 in 20 and 20 in 20: (1 - 0.025 ** (1 / 20)) for the second by hand.
    found = coverage_estimate(18, 20)
    assert found
    assert (round(found.lower, 4), round(found.upper, 4)) == (0.6830, 0.9877)
    full = coverage_estimate(20, 20)
    assert full
    assert full.upper == 1.0
    assert full.lower == pytest.approx(0.025 ** (1 / 20))


def test_no_games_have_no_coverage() -> None:
    assert coverage_estimate(0, 0) is None


@given(st.integers(0, 400), st.integers(0, 400))
def test_coverage_lies_within_its_interval(covered: int, more: int) -> None:
    found = coverage_estimate(covered, covered + more)
    if found:
        assert 0 <= found.lower <= found.value <= found.upper <= 1


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(EvidenceError, match="5 in 3 games"):
        coverage_estimate(5, 3)


def test_skill_is_zero_against_itself_and_one_without_error() -> None:
    errors = [3.0, -2.0, 5.0, 1.0, -4.0, 2.0]
    same = skill_estimate(errors, errors)
    assert same
    assert (same.value, same.lower, same.upper) == (0.0, 0.0, 0.0)
    perfect = skill_estimate([0.0] * 6, errors)
    assert perfect
    assert perfect.value == 1.0


def test_skill_interval_is_paired_and_repeatable() -> None:
    rng = np.random.default_rng(1)
    baseline = rng.normal(0, 6, 90)
    errors = 0.97 * baseline
    found = skill_estimate(errors.tolist(), baseline.tolist())
    assert found
    # Each error is the same share of its partner, so no resampling of pairs can change the skill.
    assert found.upper - found.lower < 1e-9
    assert found == skill_estimate(errors.tolist(), baseline.tolist())


def test_skill_is_not_given_for_a_handful_of_games() -> None:
    assert skill_estimate([1.0] * 4, [2.0] * 4) is None
    assert skill_estimate([1.0] * 6, [0.0] * 6) is None


def test_unpaired_or_infinite_errors_are_refused() -> None:
    with pytest.raises(EvidenceError, match="paired"):
        skill_estimate([1.0], [1.0, 2.0])
    with pytest.raises(EvidenceError, match="finite"):
        skill_estimate([math.nan] * 6, [1.0] * 6)


def test_percentile_of_nothing_is_none() -> None:
    assert percentile([], 0.5) is None
    assert percentile([1.0, 3.0], 0.5) == 2.0


def test_null_rate_widens_for_a_small_calibration_set() -> None:
    assert null_miss_rate(0.05, 1000) == pytest.approx(0.0638, abs=1e-4)
    assert null_miss_rate(0.05, 300) == pytest.approx(0.0752, abs=1e-4)


def test_evidence_of_one_miss_is_the_mean_likelihood_ratio() -> None:
    found = coverage_log_evidence([True], 0.05, 0.05)
    assert found is not None
    assert math.exp(found) == pytest.approx(np.mean([1.6, 2.0, 2.8, 4.0, 6.0]))


def test_evidence_follows_the_recursion_of_the_detector() -> None:
    misses = [False, True, False, True, True]
    values = np.zeros(5)
    for missed in misses:
        rates = np.array([0.08, 0.10, 0.14, 0.20, 0.30])
        values = (1 + values) * (rates / 0.05 if missed else (1 - rates) / 0.95)
    found = coverage_log_evidence(misses, 0.05, 0.05)
    assert found == pytest.approx(math.log(values.mean()))


def test_no_games_or_no_alternative_give_no_evidence() -> None:
    assert coverage_log_evidence([], 0.05, 0.05) is None
    assert coverage_log_evidence([True], 0.05, 0.5) is None


def test_a_thousand_misses_do_not_overflow() -> None:
    found = coverage_log_evidence([True] * 1000, 0.05, 0.05)
    assert found is not None
    assert math.isfinite(found)


def test_calibrated_seasons_rarely_alarm_and_broken_ones_do() -> None:
    rng = np.random.default_rng(7)
    threshold = math.log(TICKET_RUN_LENGTH)
    calm = [_peak(rng.random(1230) < 0.05) for _ in range(40)]
    broken = [_peak(rng.random(200) < 0.30) for _ in range(20)]
    # 5.4% of calm seasons alarm by simulation: 40 seasons hold 7 or more with probability 0.004.
    assert sum(peak >= threshold for peak in calm) <= 6
    assert all(peak >= threshold for peak in broken)


def _peak(misses: np.ndarray) -> float:
    rates, values, peak = np.array([0.08, 0.10, 0.14, 0.20, 0.30]), np.zeros(5), 0.0
    for missed in misses:
        values = (1 + values) * (rates / 0.05 if missed else (1 - rates) / 0.95)
        peak = max(peak, float(values.mean()))
    full = coverage_log_evidence([bool(missed) for missed in misses], 0.05, 0.05)
    assert full == pytest.approx(math.log(values.mean()))
    return math.log(peak)
