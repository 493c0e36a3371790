"""A crowd that does not wait: requests at random moments of a given rate, whatever becomes of those before.

Callers who wait for one answer before they ask again slow down with the server and so hide what it does to a crowd.
Here a request that is late in being sent counts its lateness as its wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

TIMEOUT_S = 5.0
MOST_CONNECTIONS = 4000
# A server ends a connection that nobody uses; one that it may be about to end is not used again.
IDLE_S = 2.0
NO_ANSWER = 0
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Answers:
    """What the crowd got: ``statuses`` (NO_ANSWER: none in time) and ``waits_s`` from the moment each request was meant
    to be sent, in the order of answers; ``late_s`` is how much later each was really sent."""

    seconds: float
    statuses: list[int] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)

    def count(self, *statuses: int) -> int:
        """How many had one of these statuses."""
        return sum(status in statuses for status in self.statuses)

    def waits_of(self, status: int) -> list[float]:
        """The waits of those that had this status, seconds."""
        return [wait for wait, one in zip(self.waits_s, self.statuses, strict=True) if one == status]


def post(path: str, body: bytes) -> bytes:
    """A request with a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode("ascii") + b"\r\n\r\n" + body


async def crowd(port: int, requests: Sequence[bytes], rate: float, seconds: float, seed: int) -> Answers:
    """Send ``rate`` times ``seconds`` requests at moments of that time that know nothing of each other, to a port of
    this machine; ``requests`` are sent one after the other, over and over.

    Returns once each has its answer or has waited ``TIMEOUT_S``. Connections are kept and used again.
    """
    chance = np.random.default_rng(seed)
    moments = np.sort(chance.uniform(0.0, seconds, round(rate * seconds))).tolist()
    answers, idle = Answers(seconds), list[tuple[float, _Connection]]()
    gate = asyncio.Semaphore(MOST_CONNECTIONS)
    began = time.perf_counter()

    async def ask(at_s: float, request: bytes) -> None:
        answers.late_s.append(time.perf_counter() - began - at_s)
        status = NO_ANSWER
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(TIMEOUT_S), gate:
                status = await _asked(port, idle, request)
        answers.statuses.append(status)
        answers.waits_s.append(time.perf_counter() - began - at_s)

    async with asyncio.TaskGroup() as group:
        for place, at_s in enumerate(moments):
            if (pause_s := at_s - (time.perf_counter() - began)) > 0:
                await asyncio.sleep(pause_s)
            group.create_task(ask(at_s, requests[place % len(requests)]))
    for _, (_, writer) in idle:
        writer.close()
    return answers


async def _asked(port: int, idle: list[tuple[float, _Connection]], request: bytes) -> int:
    """The status of one answer. Raises OSError and EOFError when the connection ends instead."""
    since, connection = idle.pop() if idle else (float("-inf"), None)
    if connection is not None and time.perf_counter() - since > IDLE_S:
        connection[1].close()
        connection = None
    reader, writer = connection = connection or await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
    except BaseException:
        # One that was left in the midst of an answer is of no use to the next.
        writer.close()
        raise
    idle.append((time.perf_counter(), connection))
    return int(head[9:12])
