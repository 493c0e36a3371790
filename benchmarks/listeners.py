"""Many WebSocket clients of one board that cost the machine little: they count messages and note when each came.

What a message says is not read but for its first letters: a board's messages come in their order, so the n-th is the
n-th that was published.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

HEARTBEAT = b'{"type": "heartbeat"'


@dataclass(eq=False)
class Listener(asyncio.Protocol):
    """One client of the board at ``url``. ``greeted`` is set with the board's first message, ``came_at`` has the wall
    time of each later one, ``heard`` is set once they are ``wanted``; ``closed`` is the code of a close frame, 0 when
    the line ended without one, None while it is open. Both events are set when it ends, too."""

    url: str
    wanted: int = 0
    greeted: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    came_at: list[float] = field(default_factory=list)
    greeting_bytes: int = 0
    closed: int | None = None
    _transport: asyncio.WriteTransport | None = None

    def __post_init__(self) -> None:
        self._speech = ClientProtocol(parse_uri(self.url), max_size=None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the upgrade."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._speech.send_request(self._speech.connect())
        self._answer()

    def connection_lost(self, error: Exception | None) -> None:
        """The line has ended."""
        if self.closed is None:
            self.closed = 0
        self.greeted.set()
        self.heard.set()

    def data_received(self, data: bytes) -> None:
        """Takes every whole message. Raises websockets' InvalidHandshake when the board gives no upgrade."""
        self._speech.receive_data(data)
        now = time.time()
        for event in self._speech.events_received():
            if isinstance(event, Frame):
                self._take(event, now)
        self._answer()
        if self._speech.handshake_exc is not None:
            raise self._speech.handshake_exc

    def _answer(self) -> None:
        """Sends what the protocol asks for: the handshake, pongs, the end."""
        assert self._transport is not None
        for data in self._speech.data_to_send():
            if data:
                self._transport.write(data)

    def _take(self, frame: Frame, now: float) -> None:
        if frame.opcode is Opcode.CLOSE:
            assert self._transport is not None
            assert self._speech.close_rcvd is not None
            self.closed = self._speech.close_rcvd.code
            self._answer()
            self._transport.close()
        elif frame.opcode is Opcode.TEXT and not self.greeted.is_set():
            self.greeting_bytes = len(frame.data)
            self.greeted.set()
        elif frame.opcode is Opcode.TEXT and not bytes(frame.data[:32]).startswith(HEARTBEAT):
            self.came_at.append(now)
            if len(self.came_at) == self.wanted:
                self.heard.set()

    def leave(self) -> None:
        """Ends the line at once."""
        if self._transport is not None:
            self._transport.abort()


async def join(port: int, count: int, wanted: int = 0) -> list[Listener]:
    """So many clients of a board on this machine, all coming at once; returns when each was greeted or refused.
    ``wanted`` is how many messages each is to hear afterwards."""
    loop, url = asyncio.get_running_loop(), f"ws://127.0.0.1:{port}/ws"
    listeners = [Listener(url, wanted) for _ in range(count)]
    await asyncio.gather(
        *(loop.create_connection(lambda one=one: one, "127.0.0.1", port) for one in listeners)  # type: ignore[misc]
    )
    await asyncio.gather(*(one.greeted.wait() for one in listeners))
    return listeners
