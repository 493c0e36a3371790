"""The statistics beside each figure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.evidence import (
    EvidenceError,
    coverage_estimate,
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
