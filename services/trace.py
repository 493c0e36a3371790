"""Trace ids: one for each new state of a game, from the poll that saw it to the broadcast of its forecast.

As W3C's trace context has them (and OpenTelemetry with it): a trace id of 32 hex digits, and the id of the span that
what comes next belongs under, 16 digits. They travel over HTTP in the header ``traceparent`` and in fields of the
streams; logs, the row of the forecast and the board's event carry the trace id, so one forecast's whole way can be put
together from any of them. Ids alone are made here; spans are made in ``services.trace_spans``, when they are asked for.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple

TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
SPAN_ID: Final = re.compile(r"(?!0{16})[0-9a-f]{16}")
# A later version of the standard may add parts behind; version ff is none.
_PARENT: Final = re.compile(rf"(?!ff)[0-9a-f]{{2}}-({TRACE_ID.pattern})-({SPAN_ID.pattern})-[0-9a-f]{{2}}")


class Ids(NamedTuple):
    """A trace, and the span in it that what is done next belongs under; None where nobody made one."""

    trace_id: str
    span_id: str | None = None


HERE: ContextVar[Ids | None] = ContextVar("halftime_trace", default=None)
"""What is done now belongs to; the forecaster's client sends it along."""


def new_trace() -> Ids:
    """A trace id nobody else has."""
    return Ids(secrets.token_hex(16))


def known_ids(trace_id: str | None, span_id: str | None = None) -> Ids | None:
    """Ids as they came from elsewhere: None for a trace id that is absent or malformed, and no span for such a span id,
    which the standard says to pass over."""
    if TRACE_ID.fullmatch(trace_id or "") is None:
        return None
    return Ids(str(trace_id), span_id if SPAN_ID.fullmatch(span_id or "") else None)


def trace_id_of(ids: Ids | None) -> str | None:
    """The trace id, for a log or a row."""
    return None if ids is None else ids.trace_id


def traceparent(ids: Ids) -> str:
    """The header's value for one request of a trace; where no span was made, under an id of its own."""
    return f"00-{ids.trace_id}-{ids.span_id or secrets.token_hex(8)}-01"


def trace_headers() -> dict[str, str]:
    """What a request that is sent now carries."""
    here = HERE.get()
    return {} if here is None else {"traceparent": traceparent(here)}


def parent_of(header: str | None) -> Ids | None:
    """The ids in a ``traceparent``; None for a header that is absent or malformed."""
    found = _PARENT.fullmatch(header or "")
    return Ids(found[1], found[2]) if found is not None else None


@contextmanager
def traced(ids: Ids | None) -> Iterator[None]:
    """What is done inside belongs to this trace."""
    token = HERE.set(ids)
    try:
        yield
    finally:
        HERE.reset(token)
