"""Trace ids: one for each new state of a game, from the poll that saw it to the broadcast of its forecast.

As W3C's trace context has them (and OpenTelemetry with it): 32 hex digits, carried over HTTP in the header
``traceparent``. Ids alone: no spans are made and nothing is sent anywhere; logs, the stream, the row of the forecast
and the board's event carry the same id, so one forecast's whole way can be put together from any of them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

TRACE: ContextVar[str | None] = ContextVar("halftime_trace", default=None)
"""The trace that what is done now belongs to; the forecaster's client sends it along."""

TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
_PARENT: Final = re.compile(r"[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def new_trace() -> str:
    """A trace id nobody else has."""
    return secrets.token_hex(16)


def traceparent(trace_id: str) -> str:
    """The header's value for one request of a trace."""
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


def trace_headers() -> dict[str, str]:
    """What a request that is sent now carries."""
    trace_id = TRACE.get()
    return {} if trace_id is None else {"traceparent": traceparent(trace_id)}


def trace_of(header: str | None) -> str | None:
    """The trace id in a ``traceparent``; None for a header that is absent or malformed, which the standard says to
    pass over."""
    found = _PARENT.fullmatch(header or "")
    return found[1] if found is not None else None


@contextmanager
def traced(trace_id: str | None) -> Iterator[None]:
    """What is done inside belongs to this trace."""
    token = TRACE.set(trace_id)
    try:
        yield
    finally:
        TRACE.reset(token)
