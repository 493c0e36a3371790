"""Spans of a forecast's way: what was done for a trace, from when to when, under what.

Off unless an endpoint of OpenTelemetry's protocol is set (``HALFTIME_OTLP_ENDPOINT``): then nothing of OpenTelemetry is
imported here, and a span is no more than the ids it was given. On, each ended span goes to ``services.trace_export``,
which sends it from a thread of its own: nothing here ever waits for a collector.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Literal, Protocol

from services.trace import HERE, Ids, traced

Kind = Literal["internal", "client", "server", "producer", "consumer"]
Value = str | int | float | bool | None
Said = Mapping[str, Value]

MAX_LATER: Final = 4096
NOTHING: Final[Said] = {}


class Span(Protocol):
    """A span that has begun."""

    @property
    def ids(self) -> Ids: ...

    def fail(self, error: BaseException) -> None: ...

    def end(self, at: datetime | None = None) -> None: ...


class Maker(Protocol):
    """What makes spans and sends them; times are aware UTC, now when absent. Attributes that are None are left out."""

    def begin(self, name: str, parent: Ids | None, kind: Kind, at: datetime | None, said: Said) -> Span: ...

    def close(self) -> None: ...


_maker: Maker | None = None


@contextmanager
def exporting(endpoint: str | None, service: str) -> Iterator[None]:
    """While open, spans of this process are sent to ``endpoint`` (base URL, OTLP over HTTP) as those of ``service``.

    None sends nothing and imports nothing. At the end what waits is sent, for two seconds at most.
    """
    global _maker
    if endpoint is None:
        yield
        return
    from services.trace_export import Exporting

    before, _maker = _maker, Exporting(endpoint, service)
    made = _maker
    try:
        yield
    finally:
        _maker = before
        made.close()


@contextmanager
def span(
    name: str,
    parent: Ids | None,
    said: Said = NOTHING,
    *,
    kind: Kind = "internal",
    began_at: datetime | None = None,
) -> Iterator[Ids | None]:
    """What is done inside is one span under ``parent``; gives the ids that what comes next belongs under.

    Without spans, or without a trace to belong to, these are the ids of ``parent``. ``said`` are the span's attributes.
    """
    if _maker is None or parent is None:
        with traced(parent):
            yield parent
        return
    made = _maker.begin(name, parent, kind, began_at, said)
    try:
        with traced(made.ids):
            yield made.ids
    except BaseException as error:
        made.fail(error)
        raise
    finally:
        made.end()


def note_span(
    name: str,
    parent: Ids | None,
    began_at: datetime | None,
    ended_at: datetime,
    said: Said = NOTHING,
    *,
    kind: Kind = "internal",
) -> None:
    """One span that is over already, such as a wait; none without a beginning, a trace or a collector.

    Two machines' clocks may disagree: a span never ends before it began.
    """
    if _maker is not None and parent is not None and began_at is not None:
        _maker.begin(name, parent, kind, began_at, said).end(max(began_at, ended_at))


class Later:
    """Spans that begin in one thread and end in another, by a key. Thread-safe; ``name`` is the spans' name.

    Kept in memory alone, and no more than 4096 of them: what a killed process had begun is never ended.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._begun: OrderedDict[Hashable, tuple[Ids, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, key: Hashable) -> None:
        """What is done now for ``key`` goes on elsewhere."""
        here = HERE.get()
        if _maker is None or here is None:
            return
        with self._lock:
            self._begun[key] = (here, datetime.now(UTC))
            while len(self._begun) > MAX_LATER:
                self._begun.popitem(last=False)

    def end(self, keys: Iterable[Hashable]) -> None:
        """It is done for these keys, some of which others may have begun."""
        if not self._begun:
            return
        now = datetime.now(UTC)
        with self._lock:
            done = [self._begun.pop(key) for key in keys if key in self._begun]
        for ids, began_at in done:
            note_span(self._name, ids, began_at, now)
