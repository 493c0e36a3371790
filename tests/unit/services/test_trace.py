"""Trace ids go along with what is done, and what is none is passed over."""

from __future__ import annotations

import re
import threading

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.client import ForecasterClient
from services.trace import HERE, TRACE_ID, Ids, known_ids, new_trace, parent_of, trace_headers, traced, traceparent
from tests.unit.services.test_client import PATTERN, prediction

SPAN = Ids("a" * 32, "b" * 16)


def test_ids_go_through_their_header() -> None:
    assert parent_of(traceparent(SPAN)) == SPAN
    assert traceparent(SPAN) == f"00-{'a' * 32}-{'b' * 16}-01"


def test_a_trace_without_a_span_goes_through_its_header_under_an_id_of_its_own() -> None:
    made = new_trace()
    assert TRACE_ID.fullmatch(made.trace_id)
    arrived = parent_of(traceparent(made))
    assert arrived is not None
    assert arrived.trace_id == made.trace_id
    assert traceparent(made) != traceparent(made), "each request is a span of its own"


@pytest.mark.parametrize(
    "header",
    [
        None, "", "00", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-" + "a" * 32 + "-" + "0" * 16 + "-01",
        "00-" + "A" * 32 + "-" + "1" * 16 + "-01", "00-" + "a" * 31 + "-" + "1" * 16 + "-01",
        "00-" + "a" * 32 + "-" + "1" * 16 + "-01\nx", "ff-" + "a" * 32 + "-" + "1" * 16 + "-01",
    ],
)  # fmt: skip
def test_a_header_that_is_none_is_passed_over(header: str | None) -> None:
    assert parent_of(header) is None


@pytest.mark.parametrize("trace_id", [None, "", "a" * 31, "A" * 32, "0" * 32, "a" * 32 + "\n"])
def test_a_trace_id_that_is_none_is_passed_over(trace_id: str | None) -> None:
    assert known_ids(trace_id, "b" * 16) is None


@pytest.mark.parametrize("span_id", [None, "", "b" * 15, "0" * 16, "B" * 16])
def test_a_span_id_that_is_none_leaves_its_trace(span_id: str | None) -> None:
    assert known_ids("a" * 32, span_id) == Ids("a" * 32)


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading_of_ids(text: str) -> None:
    for found in (parent_of(text), known_ids(text, text)):
        assert found is None or TRACE_ID.fullmatch(found.trace_id)


def test_a_trace_holds_inside_and_in_its_thread_alone() -> None:
    seen: list[Ids | None] = []
    with traced(SPAN):
        other = threading.Thread(target=lambda: seen.append(HERE.get()))
        other.start()
        other.join()
        assert HERE.get() == SPAN
    assert (seen, HERE.get(), trace_headers()) == ([None], None, {})


def test_the_client_sends_the_trace_it_is_in_and_none_outside() -> None:
    sent: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("traceparent"))
        return prediction(request)

    with ForecasterClient("http://forecaster", transport=httpx.MockTransport(answer)) as client:
        with traced(Ids("b" * 32)):
            client.predict(PATTERN)
        with traced(SPAN):
            client.predict(PATTERN)
        client.predict(PATTERN)
    assert re.fullmatch("00-" + "b" * 32 + "-[0-9a-f]{16}-01", str(sent[0]))
    assert sent[1:] == [traceparent(SPAN), None]
