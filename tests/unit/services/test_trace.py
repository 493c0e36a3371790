"""Trace ids go along with what is done, and a header that is none is passed over."""

from __future__ import annotations

import re
import threading

import httpx
import pytest

from services.client import ForecasterClient
from services.trace import TRACE, TRACE_ID, new_trace, trace_headers, trace_of, traced, traceparent
from tests.unit.services.test_client import PATTERN, prediction


def test_a_trace_id_goes_through_its_header() -> None:
    made = new_trace()
    assert TRACE_ID.fullmatch(made)
    assert trace_of(traceparent(made)) == made
    assert traceparent(made) != traceparent(made), "each request is a span of its own"


@pytest.mark.parametrize(
    "header",
    [
        None, "", "00", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-" + "a" * 32 + "-" + "0" * 16 + "-01",
        "00-" + "A" * 32 + "-" + "1" * 16 + "-01", "00-" + "a" * 31 + "-" + "1" * 16 + "-01",
        "00-" + "a" * 32 + "-" + "1" * 16 + "-01\nx",
    ],
)  # fmt: skip
def test_a_header_that_is_none_is_passed_over(header: str | None) -> None:
    assert trace_of(header) is None


def test_a_trace_holds_inside_and_in_its_thread_alone() -> None:
    seen: list[str | None] = []
    with traced("a" * 32):
        other = threading.Thread(target=lambda: seen.append(TRACE.get()))
        other.start()
        other.join()
        assert TRACE.get() == "a" * 32
    assert (seen, TRACE.get(), trace_headers()) == ([None], None, {})


def test_the_client_sends_the_trace_it_is_in_and_none_outside() -> None:
    sent: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("traceparent"))
        return prediction(request)

    with ForecasterClient("http://forecaster", transport=httpx.MockTransport(answer)) as client:
        with traced("b" * 32):
            client.predict(PATTERN)
        client.predict(PATTERN)
    assert re.fullmatch("00-" + "b" * 32 + "-[0-9a-f]{16}-01", str(sent[0]))
    assert sent[1] is None
