"""Waiting for a fact instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from redis import Redis

from monitoring.streams import PREFIX, read_streams


def until(fact: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Return when the fact holds; AssertionError when it does not come true (generous: machines are busy)."""
    deadline = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def drained(client: Redis, prefix: str = PREFIX) -> bool:
    """Whether every consumer group has taken and acknowledged all that is in its stream."""
    groups = [group for stream in read_streams(client, prefix) for group in stream.groups]
    return bool(groups) and all(group.pending == 0 and group.lag_s == 0 for group in groups)
