"""Fan-out of one stream of messages to many clients, without any framework.

Three promises:

* ``publish`` never waits. A client that does not keep up loses its place (code 1013), never anybody else's time.
* A client that comes back with the last id it saw gets exactly what it missed: no gap, no duplicate. When that is no
  longer remembered it gets the present state instead.
* ``close`` ends every client with code 1012 ("service restart"), so that a server can go away promptly.

Everything runs on one event loop; ``join`` and ``publish`` do not await, so nothing can slip in between them.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

TRY_AGAIN_LATER = 1013
SERVICE_RESTART = 1012
FIRST_ID = "0-0"


class ClientClosedError(Exception):
    """This client's feed has ended; ``code`` is the WebSocket close code to send."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class HubFullError(RuntimeError):
    """No more clients are taken; the caller should answer 1013."""


def id_key(event_id: str) -> tuple[int, int]:
    """Order of a stream id ``<milliseconds>-<sequence>``. Raises ValueError for anything else."""
    head, dash, tail = event_id.partition("-")
    if not (dash and head.isascii() and head.isdigit() and tail.isascii() and tail.isdigit() and len(event_id) <= 41):
        raise ValueError(f"event id {event_id[:48]!r} is not <milliseconds>-<sequence>")
    return int(head), int(tail)


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it goes over the wire; ``id`` is the stream id after which a client may resume."""

    id: str
    text: str


@dataclass(eq=False, slots=True)
class Client:
    """One client's place: what it gets first, then what is published, at most ``room`` messages waiting."""

    room: int
    _first: deque[str]
    _waiting: deque[str] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    closed: ClientClosedError | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def waiting(self) -> int:
        """Messages this client has not taken yet."""
        return len(self._first) + len(self._waiting)

    async def next(self) -> str:
        """The next message's text. Raises ClientClosedError once the client was dropped or the hub closed."""
        while True:
            if self.closed is not None:
                raise self.closed
            if self._first:
                return self._first.popleft()
            if self._waiting:
                return self._waiting.popleft()
            self._arrived.clear()
            await self._arrived.wait()

    def offer(self, text: str) -> bool:
        """Queues ``text``; False when there is no room left."""
        if len(self._waiting) >= self.room:
            return False
        self._waiting.append(text)
        self._arrived.set()
        return True

    def end(self, code: int, reason: str) -> None:
        """Ends this feed at once: what was waiting is let go."""
        if self.closed is None:
            self.closed = ClientClosedError(code, reason)
            self._first.clear()
            self._waiting.clear()
            self._arrived.set()
            self.ended.set()


class Memory:
    """The newest messages, at most ``size`` of them: every one after ``floor``, whose id is the oldest to resume at."""

    def __init__(self, size: int, floor: str) -> None:
        self._size = size
        self._messages: deque[Message] = deque()
        self.floor = floor

    def add(self, message: Message) -> None:
        """The next message; the oldest one is forgotten for it."""
        self._messages.append(message)
        if len(self._messages) > self._size:
            self.floor = self._messages.popleft().id

    def after(self, seen: tuple[int, int]) -> list[str] | None:
        """Texts after an id's key; None when one of them is not remembered any more."""
        if seen < id_key(self.floor):
            return None
        return [message.text for message in self._messages if id_key(message.id) > seen]


class Hub:
    """Clients and the last ``memory`` messages.

    ``present`` gives the whole state as JSON text, as of the newest message published; it is asked for when a client
    joins without an id, or with one that lies before what is remembered.
    """

    def __init__(
        self, present: Callable[[], str], *, room: int = 256, memory: int = 2048, max_clients: int = 1000
    ) -> None:
        self._present = present
        self._room = room
        self._max_clients = max_clients
        self._memory_size = memory
        self._clients: set[Client] = set()
        self._newest = FIRST_ID
        self._memory = self.memory_from(FIRST_ID)
        self._closed = False
        self.sent = 0
        self.dropped = 0

    @property
    def newest(self) -> str:
        """Id of the newest event this hub has seen."""
        return self._newest

    @property
    def clients(self) -> int:
        """How many clients are listening."""
        return len(self._clients)

    def memory_from(self, event_id: str) -> Memory:
        """An empty memory of this hub's size, of what comes after ``event_id``."""
        id_key(event_id)
        return Memory(self._memory_size, event_id)

    def start_at(self, event_id: str, memory: Memory | None = None) -> None:
        """Begins after ``event_id``: the present state already holds everything up to it, and so may ``memory``."""
        self._memory = memory or self.memory_from(event_id)
        self._newest = event_id

    def advance(self, event_id: str) -> None:
        """Notes an event that clients need not see."""
        if id_key(event_id) > id_key(self._newest):
            self._newest = event_id

    def publish(self, message: Message) -> None:
        """Hands ``message`` to every client without waiting. An id not newer than the newest is ignored."""
        if id_key(message.id) <= id_key(self._newest):
            return
        self._newest = message.id
        self._memory.add(message)
        self._offer_all(message.text)

    def restate(self) -> None:
        """Sends every client the present state, after what it was built from has been read anew."""
        if self._clients:
            self._offer_all(self._present())

    def whisper(self, text: str) -> None:
        """Sends something without an id that need not be kept, such as a heartbeat; it costs no client its place."""
        for client in self._clients:
            if client.waiting == 0 and client.offer(text):
                self.sent += 1

    def join(self, last_id: str | None = None) -> Client:
        """A new client's place. Raises HubFullError, and ClientClosedError when the hub has closed."""
        if self._closed:
            raise ClientClosedError(SERVICE_RESTART, "the board is restarting")
        if len(self._clients) >= self._max_clients:
            raise HubFullError(f"{self._max_clients} clients are connected, which is the limit (max_clients)")
        client = Client(self._room, deque(self._greeting(last_id)))
        self._clients.add(client)
        self.sent += client.waiting
        return client

    def leave(self, client: Client) -> None:
        """Forgets ``client``; harmless when it has been dropped already."""
        self._clients.discard(client)

    def close(self) -> None:
        """Ends every client with 1012 and takes no more."""
        self._closed = True
        for client in self._clients:
            client.end(SERVICE_RESTART, "the board is restarting")
        self._clients.clear()

    def _offer_all(self, text: str) -> None:
        slow = []
        for client in self._clients:
            if client.offer(text):
                self.sent += 1
            else:
                slow.append(client)
        for client in slow:
            self._clients.discard(client)
            self.dropped += 1
            client.end(TRY_AGAIN_LATER, f"{self._room} messages were waiting; connect again to resume")

    def _greeting(self, last_id: str | None) -> list[str]:
        missed = self._missed(last_id)
        if missed is None:
            return [self._present()]
        return [json.dumps({"type": "resumed", "last_id": self._newest, "missed": len(missed)}), *missed]

    def _missed(self, last_id: str | None) -> list[str] | None:
        """Texts after ``last_id``; None when only the whole state will do."""
        if last_id is None:
            return None
        try:
            seen = id_key(last_id)
        except ValueError:
            return None
        return self._memory.after(seen) if seen <= id_key(self._newest) else None
