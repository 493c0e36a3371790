"""Listeners of the board that behave as its page does: they come back after a jittered delay, with the last id seen."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from services.hub import id_key

# As in services/board_page/connection.js.
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 20.0


class Listener:
    """One listener and what it heard.

    ``on`` is the address of the board it is on, None while it is away. ``scores`` are home scores in the order heard;
    ``silences`` the seconds between one and the next; ``greetings`` the first message of each of its connections;
    ``messages`` all messages by the board's address; ``twice`` counts events that it had heard before, ``refused``
    connections that it was not given.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._last_id: str | None = None
        self._last_at: float | None = None
        self.on: str | None = None
        self.scores: list[int] = []
        self.silences: list[float] = []
        self.greetings: list[str] = []
        self.messages: Counter[str] = Counter()
        self.twice = 0
        self.refused = 0

    async def listen(self) -> None:
        """Until it is cancelled."""
        attempts = 0
        while True:
            query = f"?last_id={self._last_id}" if self._last_id else ""
            try:
                async with connect(self._url + query, open_timeout=20, close_timeout=1, ping_interval=None) as line:
                    assert line.response is not None
                    # Of several that nginx tried, the last one answered.
                    self.on = line.response.headers["X-Upstream"].split(", ")[-1]
                    first = True
                    async for text in line:
                        attempts = 0
                        self._take(self.on, json.loads(text), first=first)
                        first = False
            except ConnectionClosed:
                pass
            except (OSError, InvalidHandshake):
                self.refused += 1
            finally:
                self.on = None
            ceiling = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2**attempts)
            attempts += 1
            await asyncio.sleep(random.uniform(ceiling / 2, ceiling))

    def _take(self, board: str, message: dict[str, object], *, first: bool) -> None:
        self.messages[board] += 1
        kind = str(message["type"])
        if first:
            self.greetings.append(kind)
        if kind == "state":
            self._last_id = str(message["last_id"])
        if kind != "score":
            return
        event_id, data = str(message["id"]), message["data"]
        assert isinstance(data, dict)
        if self._last_id is not None and id_key(event_id) <= id_key(self._last_id):
            self.twice += 1
            return
        now = time.monotonic()
        if self._last_at is not None:
            self.silences.append(now - self._last_at)
        self._last_id, self._last_at = event_id, now
        self.scores.append(data["home_score"])


@contextmanager
def listening(crowd: Sequence[Listener]) -> Iterator[None]:
    """All of them listen, on a thread of their own, while the block runs. A fault in one is raised at the end."""
    loop = asyncio.new_event_loop()
    everyone = [loop.create_task(one.listen()) for one in crowd]
    thread = threading.Thread(target=loop.run_until_complete, args=(_all(everyone),), name="listeners", daemon=True)
    thread.start()
    try:
        yield
    finally:
        for task in everyone:
            loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
        loop.close()
    for task in everyone:
        if not task.cancelled():
            task.result()


async def _all(tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)


def messages(crowd: Sequence[Listener]) -> Counter[str]:
    """What all of them heard, by the board's address."""
    # A copy: they go on listening on their thread.
    return sum((Counter(dict(one.messages)) for one in crowd), Counter())
