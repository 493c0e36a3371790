"""Events for everyone who watches, through one Redis stream: publish, read on from an id, notice a gap.

Every reader has its own place, so any number of boards see the same ids. The stream is trimmed; who was away longer
than it remembers is told so and starts from the database's state instead.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from redis.exceptions import DataError, ResponseError

from services.redis_link import UNAVAILABLE, block, cannot_write, connect, connect_async
from services.trace import Ids, parent_of, traceparent

EventType = Literal["score", "pattern", "forecast", "settlement", "disposition"]
EVENT_TYPES: tuple[EventType, ...] = ("score", "pattern", "forecast", "settlement", "disposition")
FIRST_ID = "0-0"
log = logging.getLogger(__name__)
MAX_LENGTH = 20_000
TOLD_S = 2 * 86_400
# In one step, so that of several publishers one tells a version, and none an older one after it. An error of the server
# (no room) is handed on as it is.
PUBLISH_NEWER = """
local told = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '-1')
if tonumber(ARGV[2]) <= told then return false end
local id = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, 5))
if type(id) == 'table' and id.err then return id end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return id
"""


class BroadcastUnavailable(ConnectionError):
    """The event stream cannot be reached. Nothing is lost by it: PostgreSQL holds what events tell."""


class EventError(ValueError):
    """An event that cannot be published, or an id that is not one."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened in a game. ``at`` is when it was published, aware UTC; ``id`` is given by the stream.

    ``trace`` is what its broadcast belongs under; it travels only when it names a span.
    """

    type: EventType
    game_id: str
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)
    id: str = ""
    trace: Ids | None = None


class Batch(NamedTuple):
    """What a read found; ``last_id`` is where to read on, past entries that could not be read too."""

    events: list[Event]
    last_id: str


def encode(event: Event) -> dict[str, str]:
    """An event as the stream's fields. Raises EventError: not JSON, an unknown type, a time without zone."""
    if event.type not in EVENT_TYPES:
        raise EventError(f"event type {event.type!r}: it must be one of {', '.join(EVENT_TYPES)}")
    if event.at.tzinfo is None:
        raise EventError(f"{event.type} event of {event.game_id}: its time {event.at} has no time zone")
    try:
        data = json.dumps(event.data, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise EventError(f"{event.type} event of {event.game_id}: {error}") from error
    fields = {"type": event.type, "game_id": event.game_id, "at": event.at.isoformat(), "data": data}
    if event.trace is not None and event.trace.span_id is not None:
        fields["traceparent"] = traceparent(event.trace)
    return fields


def decode(entry_id: str, fields: dict[str, str]) -> Event:
    """The event in a stream entry. Raises EventError."""
    try:
        kind: Any = fields["type"]
        data = json.loads(fields["data"])
        at, trace = datetime.fromisoformat(fields["at"]), parent_of(fields.get("traceparent"))
        event = Event(kind, fields["game_id"], at, data, entry_id, trace)
    except (KeyError, ValueError) as error:
        raise EventError(f"entry {entry_id} is not an event: {error!r}") from error
    if kind not in EVENT_TYPES or not isinstance(data, dict):
        raise EventError(f"entry {entry_id} is not an event: type {kind!r}, data of type {type(data).__name__}")
    return event


def place(event_id: str) -> tuple[int, int]:
    """Order of a stream id ``<milliseconds>-<sequence>``. Raises EventError for anything else."""
    head, dash, tail = event_id.partition("-")
    if not (dash and head.isascii() and head.isdigit() and tail.isascii() and tail.isdigit() and len(event_id) <= 41):
        raise EventError(f"event id {event_id[:48]!r} is not <milliseconds>-<sequence>")
    return int(head), int(tail)


def gap(after: str, oldest: str | None, latest: str) -> bool:
    """Whether a reader at ``after`` may have missed events: they were trimmed, or Redis began anew."""
    if place(after) == (0, 0):
        return False
    if oldest is None:
        return place(after) > place(latest)
    return place(after) < place(oldest) or place(after) > place(latest)


class Broadcast:
    """Publisher, and reader for code without an event loop. Thread-safe."""

    def __init__(self, url: str, prefix: str = "halftime", *, max_length: int = MAX_LENGTH) -> None:
        self._redis: Any = connect(url)
        self.key = f"{prefix}:events"
        self._max_length = max_length
        self._publish_newer = self._redis.register_script(PUBLISH_NEWER)

    def publish(self, event: Event, subject: str | None = None, version: int = 0) -> str | None:
        """Append an event; its id.

        With ``subject``, what the event tells of its game: None, and nothing appended, when this ``version`` of it or a
        later one was published within two days, by whomever. Raises BroadcastUnavailable, EventError.
        """
        fields = encode(event)
        try:
            if subject is None:
                return str(self._redis.xadd(self.key, fields, maxlen=self._max_length, approximate=True))
            flat = [part for pair in fields.items() for part in pair]
            entry_id = self._publish_newer(
                keys=[self.key, f"{self.key}:told:{event.game_id}"],
                args=[subject, version, self._max_length, TOLD_S, *flat],
            )
            return None if entry_id is None else str(entry_id)
        except UNAVAILABLE as error:
            raise BroadcastUnavailable(f"event stream unavailable: {error}") from error
        except ResponseError as error:
            if not cannot_write(error):
                raise
            raise BroadcastUnavailable(f"event stream unavailable: {error}") from error
        except DataError as error:
            raise EventError(f"{event.type} event of {event.game_id}: {error}") from error

    def read_after(self, after: str, *, block_ms: int = 0, count: int = 500) -> Batch:
        """Events after an id, oldest first; none and that id again when none came within ``block_ms`` (2 s at most).

        Raises BroadcastUnavailable, EventError.
        """
        place(after)
        try:
            reply = self._redis.xread({self.key: after}, count=count, block=block(block_ms))
        except UNAVAILABLE as error:
            raise BroadcastUnavailable(f"event stream unavailable: {error}") from error
        return _batch(reply, after)

    def latest_id(self) -> str:
        """Id of the newest event; ``0-0`` before the first. Raises BroadcastUnavailable."""
        try:
            return _first_id(self._redis.xrevrange(self.key, count=1)) or FIRST_ID
        except UNAVAILABLE as error:
            raise BroadcastUnavailable(f"event stream unavailable: {error}") from error

    def has_gap(self, after: str) -> bool:
        """Whether a reader at ``after`` may have missed events. Raises BroadcastUnavailable, EventError."""
        try:
            oldest = _first_id(self._redis.xrange(self.key, count=1))
        except UNAVAILABLE as error:
            raise BroadcastUnavailable(f"event stream unavailable: {error}") from error
        return gap(after, oldest, self.latest_id())

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


class AsyncBroadcast:
    """Reader for one event loop."""

    def __init__(self, url: str, prefix: str = "halftime") -> None:
        self._redis: Any = connect_async(url)
        self.key = f"{prefix}:events"

    async def read_after(self, after: str, *, block_ms: int = 1000, count: int = 500) -> Batch:
        """Events after an id, oldest first; none and that id again when none came within ``block_ms`` (2 s at most).

        Raises BroadcastUnavailable, EventError.
        """
        place(after)
        try:
            reply = await self._redis.xread({self.key: after}, count=count, block=block(block_ms))
        except UNAVAILABLE as error:
            raise BroadcastUnavailable(f"event stream unavailable: {error}") from error
        return _batch(reply, after)

    async def latest_id(self) -> str:
        """Id of the newest event; ``0-0`` before the first. Raises BroadcastUnavailable."""
        try:
            return _first_id(await self._redis.xrevrange(self.key, count=1)) or FIRST_ID
        except UNAVAILABLE as error:
            raise BroadcastUnavailable(f"event stream unavailable: {error}") from error

    async def has_gap(self, after: str) -> bool:
        """Whether a reader at ``after`` may have missed events. Raises BroadcastUnavailable, EventError."""
        try:
            oldest = _first_id(await self._redis.xrange(self.key, count=1))
        except UNAVAILABLE as error:
            raise BroadcastUnavailable(f"event stream unavailable: {error}") from error
        return gap(after, oldest, await self.latest_id())

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _batch(reply: Sequence[Any], after: str) -> Batch:
    events, last_id = [], after
    for entry_id, fields in reply[0][1] if reply else ():
        last_id = str(entry_id)
        try:
            events.append(decode(last_id, fields))
        except EventError as error:
            # One that cannot be read must not hold up those behind it, nor be read again.
            log.warning("event left out: %s", error)
    return Batch(events, last_id)


def _first_id(entries: Sequence[Any]) -> str | None:
    return str(entries[0][0]) if entries else None
