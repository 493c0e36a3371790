"""What open connections cost one board process: memory, processor time, and how late each client hears of an event.

The board runs as users run it, over a real Redis and a real PostgreSQL. What is told is the busiest that a night has:
every 5 s, as often as the feed is polled, a score of each of nine games and one forecast, all at once. Clients come all
at once too, as after a board was lost. They run on the same machine.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil

from benchmarks.listeners import join
from benchmarks.table import Row, say
from services.broadcast import Broadcast, Event
from services.hub import TRY_AGAIN_LATER
from tests.support.board_night import PAIRS, bell, forecast, night, score
from tests.support.board_process import board_process
from tests.support.servers import running_postgres, running_redis

CLIENTS = (1, 500, 1000)
MORE = 10
POLLS, POLL_S, CALM_S, PATIENCE_S = 12, 5.0, 2.0, 30.0
# The ids of the made-up night's eight games, and a ninth.
TONIGHT = [(f"00222007{60 + place}", *pair) for place, pair in enumerate([*PAIRS, ("LAL", "MIA")])]


@dataclass(frozen=True)
class Cost:
    """Of so many clients: the size of what greets each, seconds until the last of them was greeted, how many of
    ``MORE`` others were told to come later, cores that the telling took, the lags of all messages at all clients in
    seconds, and the board's resident MiB at their most."""

    clients: int
    greeting_bytes: int
    greeted_s: float
    refused: int
    cores: float
    lags_s: list[float]
    most_mib: float

    def rows(self) -> Iterator[Row]:
        """What a table says of it."""
        group = f"one board, {self.clients:,} client{'s' if self.clients > 1 else ''}"
        yield Row(group, "resident, at most", self.most_mib, "MiB")
        yield Row(group, "while it tells", 100 * self.cores, "% of a core")
        yield Row(
            group, f"all come at once: last greeted, {self.greeting_bytes / 1000:.0f} kB", 1000 * self.greeted_s, "ms"
        )
        for share in (0.5, 0.99, 1.0):
            lag_ms = 1000 * float(np.quantile(self.lags_s, share))
            yield Row(group, f"told: {share:.0%} of messages within", lag_ms, "ms")
        yield Row(group, f"of {MORE} more", float(self.refused), f"told to come later ({TRY_AGAIN_LATER})")


def run() -> list[Row]:
    """The rows of this benchmark."""
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="halftime-bench-") as name,
        running_postgres() as database,
        running_redis() as redis,
    ):
        url = database.emptied()
        broadcast = Broadcast(redis.url)
        for kind, game_id, data in night():
            broadcast.publish(Event(kind, game_id, datetime.now(UTC), data))  # type: ignore[arg-type]
        _poll(broadcast, 0)
        for place, clients in enumerate(CLIENTS):
            say(f"bench_board: {clients} clients, {POLLS} polls of {len(TONIGHT) + 1} events")
            # A process each: what a thousand clients left behind is no part of the next.
            with board_process(
                Path(name) / "board.log", wait_for="/readyz", DATABASE_URL=url, REDIS_URL=redis.url
            ) as board:
                port = urlsplit(board.url).port
                assert port is not None
                # What is resident at most is counted from here: Linux forgets the most so far.
                Path(f"/proc/{board.child.pid}/clear_refs").write_text("5", encoding="ascii")
                rows += asyncio.run(_measure(board.child.pid, port, broadcast, clients, 1 + place * POLLS)).rows()
    return rows


async def _measure(pid: int, port: int, broadcast: Broadcast, clients: int, first: int) -> Cost:
    """What the clients cost. The polls are told from number ``first`` on, since what is no news is not told."""
    process = psutil.Process(pid)
    began = time.perf_counter()
    listeners = await join(port, clients, wanted=POLLS * (len(TONIGHT) + 1))
    greeted_s = time.perf_counter() - began
    others = await join(port, MORE)
    refused = sum(one.closed == TRY_AGAIN_LATER for one in others)
    for one in others:
        one.leave()
    await asyncio.sleep(CALM_S)
    before, clock = _processor_s(process), time.perf_counter()
    told_at: list[float] = []
    for turn in range(POLLS):
        told_at += await asyncio.to_thread(_poll, broadcast, first + turn)
        await asyncio.sleep(max(0.0, clock + (turn + 1) * POLL_S - time.perf_counter()))
    cores = (_processor_s(process) - before) / (time.perf_counter() - clock)
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(one.heard.wait() for one in listeners))
    for one in listeners:
        assert one.closed is None, f"the board closed a client with {one.closed}"
    lags = [came - told for one in listeners for came, told in zip(one.came_at, told_at, strict=True)]
    for one in listeners:
        one.leave()
    size = listeners[0].greeting_bytes
    return Cost(clients, size, greeted_s, refused, cores, lags, _mib(pid, "VmHWM"))


def _poll(broadcast: Broadcast, turn: int) -> list[float]:
    """Publishes what one poll of the feed brings; the wall times at which each event was handed over."""
    told_at = []
    made = forecast(revision=turn, distribution=bell(5.0, 6.0))
    events = [("score", game_id, score(home, away, home_score=44 + turn)) for game_id, home, away in TONIGHT]
    for kind, game_id, data in [*events, ("forecast", TONIGHT[0][0], made)]:
        told_at.append(time.time())
        broadcast.publish(Event(kind, game_id, datetime.now(UTC), data))  # type: ignore[arg-type]
    return told_at


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _mib(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{field}:"))) / 1024
