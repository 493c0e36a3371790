"""Requests are taken strictly, and every refusal says what to change."""

from __future__ import annotations

import contextlib
import json
import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.contracts import PredictRequest, RecordActualRequest, RequestRefused, identify, read_request

GOOD: list[float] = [2, 4, 3, 3, 5, 7, 6, 8, 9, 9, 7, 8, 10, 12, 11, 9, 8, 10]


def refusal(body: bytes | dict[str, Any], model: type[Any] = PredictRequest) -> RequestRefused:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestRefused) as caught:
        read_request(model, raw)
    assert caught.value.status == 400
    assert caught.value.sentence.endswith(".")
    for leak in ("pydantic", "Traceback", "ValidationError", "input_value"):
        assert leak not in caught.value.sentence
    return caught.value


def test_plain_request_is_read_with_its_defaults() -> None:
    request = read_request(PredictRequest, json.dumps({"pattern": GOOD}).encode())
    assert request.pattern == GOOD
    assert request.alpha == 0.05
    assert request.asked_minute == 18
    assert request.game_id is None
    assert (request.date, request.possession) == (None, None)


def test_date_and_possession_are_read() -> None:
    body = {"pattern": GOOD, "date": "2023-02-03", "possession": "home"}
    request = read_request(PredictRequest, json.dumps(body).encode())
    assert (request.date, request.possession) == (date(2023, 2, 3), "home")
    nulls = read_request(PredictRequest, json.dumps({"pattern": GOOD, "date": None, "possession": None}).encode())
    assert (nulls.date, nulls.possession) == (None, None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pattern": GOOD[:-1]}, "has 17 margins, minute 18 needs exactly 18"),
        ({"pattern": GOOD * 2}, "has 36 entries, at most 24"),
        ({"pattern": []}, "has 0 margins"),
        ({"pattern": "1,2"}, "must be an array of numbers"),
        ({"pattern": ["2", *GOOD[1:]]}, "pattern[0] must be a number, not a string"),
        ({"pattern": [True, *GOOD[1:]]}, "pattern[0] must be a number, not a string, boolean"),
        ({"pattern": [None, *GOOD[1:]]}, "pattern[0] must be a number"),
        ({"pattern": [[2], *GOOD[1:]]}, "pattern[0] must be a number"),
        ({"pattern": [*GOOD[:-1], 101]}, "pattern[17] must lie in -100..100"),
        ({"pattern": [*GOOD[:-1], -100.5]}, "pattern[17] must lie in -100..100"),
        ({"pattern": [*GOOD[:-1], 60]}, "jumps by 52 points within one minute"),
        ({"pattern": [31, *GOOD[1:]]}, "pattern[0] jumps by 31 points"),
        ({"alpha": 0}, "alpha must lie strictly between 0 and 1"),
        ({"alpha": 1}, "alpha must lie strictly between 0 and 1"),
        ({"alpha": -5}, "alpha must lie strictly between 0 and 1"),
        ({"alpha": "0.05"}, "alpha must be a number"),
        ({"alpha": True}, "alpha must be a number"),
        ({"alpha": None}, "alpha must be a number"),
        ({"minute": 17}, "has 18 margins, minute 17 needs exactly 17"),
        ({"minute": 24}, "minute must lie in 0..23"),
        ({"minute": -1}, "minute must lie in 0..23"),
        ({"minute": 18.5}, "minute must be a whole number"),
        ({"minute": "18"}, "minute must be a whole number"),
        ({"game_id": ""}, "00, a digit 1 to 6, then seven digits"),
        ({"game_id": "0072200776"}, "game_id must be an NBA game id"),
        ({"game_id": "0022200776\n"}, "game_id must be an NBA game id"),
        ({"game_id": "0022200776\x00"}, "game_id must be an NBA game id"),
        ({"game_id": "0" * 60}, "game_id must be an NBA game id"),
        ({"game_id": "00222007\u0667\u0667"}, "game_id must be an NBA game id"),
        ({"game_id": 22200776}, "game_id must be a string"),
        ({"home": "BOS"}, "away is missing: send both teams, or neither"),
        ({"away": "BOS"}, "home is missing"),
        ({"home": "BOS", "away": "BOS"}, "does not play itself"),
        ({"home": "bos", "away": "NYK"}, "three capital letters"),
        ({"home": "BOSTON", "away": "NYK"}, "three capital letters"),
        ({"date": "2023-02-30"}, "date must be a date that exists, as 2023-02-03"),
        ({"date": "20230203"}, "date must be a date that exists"),
        ({"date": "2023-02-03T00:00:00Z"}, "date must be a date that exists"),
        ({"date": 19391}, "date must be a date that exists"),
        ({"possession": "BOS"}, "possession must be home or away"),
        ({"possession": 1}, "possession must be home or away"),
        ({"above": 5.5}, "above must be an array of numbers"),
        ({"above": None}, "above must be an array of numbers"),
        ({"above": ["5.5"]}, "above[0] must be a number, not a string"),
        ({"above": [1, 101]}, "above[1] must lie in -100..100"),
        ({"above": [0.5] * 21}, "above has 21 entries, at most 20"),
        ({"levels": 0.9}, "levels must be an array of numbers"),
        ({"levels": [0.9, 1]}, "levels[1] must lie strictly between 0 and 1: 0.9 asks for a 90% interval"),
        ({"levels": [0]}, "levels[0] must lie strictly between 0 and 1"),
        ({"levels": [True]}, "levels[0] must be a number"),
        ({"levels": [0.9] * 11}, "levels has 11 entries, at most 10"),
        ({"request_id": "a b"}, "request_id must be 1 to 128"),
        ({"request_id": ""}, "request_id must be 1 to 128"),
        ({"request_id": "x" * 129}, "request_id must be 1 to 128"),
        ({"alhpa": 0.1}, "alhpa is not a known field: known are pattern, alpha"),
        ({"\u202ex": 0.1}, "a field is not a known field"),
    ],
)
def test_wrong_value_is_refused_with_what_to_change(change: dict[str, Any], says: str) -> None:
    refused = refusal({"pattern": GOOD, **change})
    assert says in refused.sentence
    assert refused.problems


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b"pattern=1", "not valid JSON"),
        (b"[1, 2]", "JSON array: send a JSON object"),
        (b'"x"', "JSON string"),
        (b"null", "JSON null"),
        (b"1", "JSON number"),
        (b"true", "JSON boolean"),
        (b"\xff\xfe{}", "not UTF-8 at byte 0"),
        ('{"pattern": []}'.encode("utf-16"), "not UTF-8"),
        ("\ufeff{}".encode(), "not valid JSON"),
        (b'{"pattern": [NaN]}', "NaN is not a number in JSON"),
        (b'{"alpha": Infinity}', "Infinity is not a number"),
        (b'{"alpha": -Infinity}', "-Infinity is not a number"),
        (b'{"alpha": 1e999}', "too large"),
        (b'{"alpha": ' + b"9" * 5000 + b"}", "far too long"),
        (b'{"alpha": 0.1, "alpha": 0.2}', 'The field "alpha" is given more than once'),
        (b'{"pattern": ' + b"[" * 8000 + b"]" * 8000 + b"}", "nested far too deep"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, "nested far too deep"),
        (b'{"pattern": [1]} x', "not valid JSON"),
    ],
)
def test_body_that_is_not_strict_json_is_refused_with_a_sentence(body: bytes, says: str) -> None:
    assert says in refusal(body).sentence


def test_integer_of_hundreds_of_digits_is_refused() -> None:
    assert "pattern[0]" in refusal(b'{"pattern": [' + b"9" * 400 + b"]}").sentence


def test_every_problem_is_listed_but_no_flood_of_them() -> None:
    refused = refusal({"pattern": ["a"] * 24, "alpha": 7, "minute": "x"})
    assert len(refused.problems) == 10
    assert "more" in refused.sentence


def test_margins_may_be_fractions_but_the_outcome_is_whole() -> None:
    assert read_request(PredictRequest, json.dumps({"pattern": [0.5], "minute": 1}).encode()).pattern == [0.5]
    assert (
        "whole number" in refusal({"game_id": "0022200776", "actual_differential": 1.5}, RecordActualRequest).sentence
    )


@pytest.mark.parametrize("value", ["7", True, None, 101, -101, "NaN"])
def test_outcome_that_is_not_a_margin_is_refused(value: object) -> None:
    refused = refusal({"game_id": "0022200776", "actual_differential": value}, RecordActualRequest)
    assert refused.problems[0].field == "actual_differential"


def test_minute_zero_takes_an_empty_pattern() -> None:
    assert read_request(PredictRequest, b'{"pattern": [], "minute": 0}').asked_minute == 0


def test_same_request_id_names_the_same_prediction_and_no_id_a_new_one() -> None:
    named = PredictRequest(pattern=GOOD, request_id="night:1")
    plain = PredictRequest(pattern=GOOD)
    assert identify(named, None) == identify(named, "night:1") == identify(plain, "night:1")
    assert identify(plain, None) != identify(plain, None)
    with pytest.raises(RequestRefused, match="differ"):
        identify(named, "night:2")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(RequestRefused):
        read_request(PredictRequest, body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=30,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(PredictRequest.model_fields, json_values)))
def test_any_values_are_read_or_refused(body: dict[str, Any]) -> None:
    try:
        request = read_request(PredictRequest, json.dumps(body).encode())
    except RequestRefused:
        return
    else:
        assert len(request.pattern) == request.asked_minute
        assert all(math.isfinite(margin) for margin in request.pattern)
        assert 0 < request.alpha < 1
        assert all(0 < level < 1 for level in request.levels)
        assert all(math.isfinite(margin) for margin in request.above)
