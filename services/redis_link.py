"""How every Redis client here is made: bounded waits, one quick retry, one reply format on every server version."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

SOCKET_S = 5.0
LONGEST_BLOCK_MS = 2000
"""Blocking reads are cut to this, well below the socket's time limit."""

# What passes by itself or with a hand on the server; everything else is a programming error and stays one.
UNAVAILABLE = (ConnectionError, TimeoutError, BusyLoadingError, OutOfMemoryError, ReadOnlyError)


def cannot_write(error: ResponseError) -> bool:
    """Whether the server refuses writes until it has room: its disk is full. redis-py has no class for that, nor for
    what a script hands on, which older servers put behind the script's name."""
    said = str(error)
    return said.startswith("MISCONF") or any(f"-{code} " in said for code in ("MISCONF", "OOM", "READONLY"))


def _options() -> dict[str, Any]:
    return {
        "socket_timeout": SOCKET_S,
        "socket_connect_timeout": 2.0,
        "socket_keepalive": True,
        "health_check_interval": 15,
        "decode_responses": True,
        "protocol": 2,
    }


def connect(url: str) -> redis.Redis:
    """A client for ``url``; connects when first used, safe to share between threads."""
    return redis.Redis.from_url(url, retry=Retry(ExponentialBackoff(cap=0.1, base=0.02), 1), **_options())


def connect_async(url: str) -> redis.asyncio.Redis:
    """The same for one event loop."""
    return redis.asyncio.Redis.from_url(url, retry=AsyncRetry(ExponentialBackoff(cap=0.1, base=0.02), 1), **_options())


def block(block_ms: int) -> int | None:
    """What to pass as ``block``: None means do not wait (0 would mean for ever)."""
    return min(block_ms, LONGEST_BLOCK_MS) if block_ms > 0 else None
