"""Many WebSocket clients of one board that cost the machine little: they count messages and note when each came.

They speak as much of RFC 6455 as listening takes: the handshake, frames of a server, pongs. What a message says is not
read but for its first letters: a board's messages come in their order, so the n-th is the n-th that was published.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

TEXT, CLOSE, PING = 1, 8, 9
PONG, CLOSED = 0x8A, 0x88
# A client must mask what it sends; zeros leave it as it is.
MASK = bytes(4)
HEARTBEAT = b'{"type": "heartbeat"'
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: aGFsZnRpbWUgbGlzdGVucw==\r\n\r\n"
)


@dataclass(eq=False)
class Listener(asyncio.Protocol):
    """One client. ``greeted`` is set with the board's first message, ``came_at`` has the wall time of each later one,
    ``heard`` is set once they are ``wanted``; ``closed`` is the code of a close frame, 0 when the line ended without
    one, None while it is open. Both events are set when it ends, too."""

    wanted: int = 0
    greeted: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    came_at: list[float] = field(default_factory=list)
    greeting_bytes: int = 0
    closed: int | None = None
    _buffer: bytearray = field(default_factory=bytearray)
    _open: bool = False
    _transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the upgrade."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(HANDSHAKE)

    def connection_lost(self, error: Exception | None) -> None:
        """The line has ended."""
        if self.closed is None:
            self.closed = 0
        self.greeted.set()
        self.heard.set()

    def data_received(self, data: bytes) -> None:
        """Takes every whole frame."""
        self._buffer += data
        if not self._open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), bytes(head[:80])
            self._open, self._buffer = True, rest
        now = time.time()
        while (frame := self._frame()) is not None:
            self._take(*frame, now)

    def _frame(self) -> tuple[int, bytes] | None:
        """(opcode, payload) of the next whole frame. A server neither masks nor splits messages of this size."""
        held = self._buffer
        if len(held) < 2:
            return None
        size, begin = held[1], 2
        if size >= 126:
            begin = 4 if size == 126 else 10
            if len(held) < begin:
                return None
            size = int.from_bytes(held[2:begin], "big")
        if len(held) < begin + size:
            return None
        frame = held[0] & 0x0F, bytes(held[begin : begin + size])
        del held[: begin + size]
        return frame

    def _take(self, opcode: int, payload: bytes, now: float) -> None:
        assert self._transport is not None
        if opcode == PING:
            self._transport.write(bytes([PONG, 0x80 | len(payload)]) + MASK + payload)
        elif opcode == CLOSE:
            self.closed = int.from_bytes(payload[:2], "big")
            self._transport.write(bytes([CLOSED, 0x82]) + MASK + payload[:2])
            self._transport.close()
        elif opcode == TEXT and not self.greeted.is_set():
            self.greeting_bytes = len(payload)
            self.greeted.set()
        elif opcode == TEXT and not payload.startswith(HEARTBEAT):
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
    loop, listeners = asyncio.get_running_loop(), [Listener(wanted) for _ in range(count)]
    await asyncio.gather(
        *(loop.create_connection(lambda one=one: one, "127.0.0.1", port) for one in listeners)  # type: ignore[misc]
    )
    await asyncio.gather(*(one.greeted.wait() for one in listeners))
    return listeners
