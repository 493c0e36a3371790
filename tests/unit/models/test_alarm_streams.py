"""Which forecast speaks to which alarm, and how many kinds of games are judged together."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alarm_streams import (
    ALL,
    BANDS,
    COVERAGE,
    DRIFT,
    Answered,
    Stream,
    begun,
    kinds_in_alarm,
    moved,
    reference_of,
    references,
    streams,
)
from models.alarms import TICKET_RUN_LENGTH, Detector, Reference, coverage_detector, tolerated_rate
from tests.support.small_model import small_ensemble

REFERENCE = Reference(12.0, 4.0, 0.5, 1300)


def answered(**changes: Any) -> Answered:
    fields: dict[str, Any] = {
        "minute": 18, "covered": True, "error": 1.0, "lead": -7.0, "season_type": "regular", "date": date(2022, 11, 3),
        "reference": REFERENCE,
    }  # fmt: skip
    return Answered(**fields | changes)


def test_an_official_forecast_speaks_to_coverage_its_kinds_and_drift() -> None:
    assert streams(answered()) == {
        Stream(COVERAGE, ALL): False, Stream(COVERAGE, "lead 6-9"): False,
        Stream(COVERAGE, "October to December"): False, Stream("large", ALL): False, Stream("typical", ALL): False,
        Stream("high", ALL): True, Stream("low", ALL): False,
    }  # fmt: skip
    missed = streams(answered(covered=False, error=-13.0, lead=15.0, season_type="playoffs", date=date(2023, 5, 1)))
    assert missed == {
        Stream(COVERAGE, ALL): True, Stream(COVERAGE, "lead 15+"): True, Stream(COVERAGE, "playoffs"): True,
        Stream("large", ALL): True, Stream("typical", ALL): True, Stream("high", ALL): False,
        Stream("low", ALL): True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("day", "phase"),
    [(date(2023, 1, 9), "January and February"), (date(2023, 3, 1), "March and later"),
     (date(2020, 8, 2), "March and later")],
)  # fmt: skip
def test_the_parts_of_a_season_are_told_apart_by_month(day: date, phase: str) -> None:
    assert Stream(COVERAGE, phase) in streams(answered(date=day))


def test_other_minutes_speak_to_their_part_of_the_half_alone_and_most_to_none() -> None:
    speaking = {minute: streams(answered(minute=minute)) for minute in range(24)}
    assert {minute for minute, said in speaking.items() if said} == set(BANDS)
    assert speaking[6] == {Stream(COVERAGE, "minute 6"): False}


def test_without_a_reference_nothing_is_said_of_drift() -> None:
    assert {stream.alarm for stream in streams(answered(reference=None))} == {COVERAGE}


def test_a_stream_begins_with_the_tolerance_of_its_reference() -> None:
    assert begun(Stream(COVERAGE, ALL), 0.05, None) == coverage_detector(0.05, tolerated_rate(0.05, 1000))
    assert begun(Stream(COVERAGE, ALL), 0.2, REFERENCE) == coverage_detector(0.2, tolerated_rate(0.2, 1300))
    for alarm in DRIFT:
        assert begun(Stream(alarm, ALL), 0.05, REFERENCE) == REFERENCE.detectors()[alarm]


@given(
    st.lists(st.tuples(st.sampled_from(BANDS), st.booleans(), st.integers(-30, 30)), max_size=20), st.integers(0, 20)
)
def test_in_any_batches_the_states_are_the_same_bits(games: list[tuple[int, bool, int]], cut: int) -> None:
    seen = [answered(minute=minute, covered=held, error=float(error)) for minute, held, error in games]
    whole = moved({}, 0.05, seen)
    states: dict[Stream, Detector] = moved({}, 0.05, seen[:cut])
    states |= moved(states, 0.05, seen[cut:])
    assert states == whole


def test_kinds_are_judged_together() -> None:
    bar = math.log(TICKET_RUN_LENGTH)
    assert kinds_in_alarm({}) == set()
    assert kinds_in_alarm({"a": bar + math.log(3.0) - 1e-9, "b": 0.0, "c": 0.0}) == set()
    assert kinds_in_alarm({"a": bar + math.log(3.0) + 1e-9, "b": 0.0, "c": 0.0}) == {"a"}
    assert kinds_in_alarm({"a": bar + 0.5, "b": bar + 0.5, "c": -3.0}) == {"a", "b"}, "two near ones help each other"


def test_references_are_kept_by_what_is_known_of_a_game() -> None:
    model = small_ensemble(minutes=(0, 18))
    stored = references(model)
    assert set(stored) == {"rated", "unrated"}
    found = reference_of(stored, True, True)
    assert found is not None
    assert found == Reference.of(model.calibration[model.case(18, True, 0)].errors.residuals)
    assert found.n == 60
    assert reference_of(stored, False, False) != found
    assert reference_of(None, True, False) is None
    assert references(small_ensemble(minutes=(18,), calibration_games=12)) == {}


def test_a_planted_fault_in_one_kind_is_found_in_that_kind() -> None:
    chance = np.random.default_rng(4)
    seen = []
    for _ in range(400):
        lead = float(chance.choice([1, 4, 8, 12, 20]))
        seen.append(answered(lead=lead, covered=bool(chance.random() > (0.3 if lead == 20 else 0.05))))
    states = moved({}, 0.05, seen)
    kinds = {
        stream.kind: state.log_evidence or 0.0 for stream, state in states.items() if stream.kind.startswith("lead")
    }
    assert kinds_in_alarm(kinds) == {"lead 15+"}
