"""What waits in Redis: every stream of ours, and of each consumer group what it has not taken or not acknowledged.

Entry ids carry Redis's own milliseconds, so ages need no other clock and no ``lag`` field, which Redis 6.2 lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import Redis

PREFIX = "halftime"
TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """One consumer group; ages in seconds, 0 when nothing waits."""

    name: str
    pending: int
    oldest_pending_s: float
    lag_s: float


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream and its groups."""

    name: str
    entries: int
    groups: tuple[GroupFacts, ...]


def open_redis(url: str) -> Redis:
    """A client that gives up after TIMEOUT_S; connects when first used."""
    client: Redis = Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    return client


def read_streams(client: Redis, prefix: str = PREFIX) -> tuple[StreamFacts, ...]:
    """Every stream whose name starts with ``prefix``. Raises redis.RedisError."""
    seconds, micros = client.time()
    now_ms = seconds * 1000.0 + micros / 1000.0
    names = sorted(_text(name) for name in client.scan_iter(match=f"{prefix}*", _type="STREAM"))
    return tuple(
        StreamFacts(
            name,
            int(client.xlen(name)),
            tuple(_group(client, name, group, now_ms) for group in client.xinfo_groups(name)),
        )
        for name in names
    )


def _group(client: Redis, stream: str, group: dict[str, Any], now_ms: float) -> GroupFacts:
    name = _text(group["name"])
    pending = int(group["pending"])
    oldest_pending = client.xpending_range(stream, name, min="-", max="+", count=1) if pending else []
    undelivered = client.xrange(stream, min=f"({_text(group['last-delivered-id'])}", count=1)
    return GroupFacts(
        name=name,
        pending=pending,
        oldest_pending_s=_age_s(oldest_pending[0]["message_id"], now_ms) if oldest_pending else 0.0,
        lag_s=_age_s(undelivered[0][0], now_ms) if undelivered else 0.0,
    )


def _age_s(entry_id: Any, now_ms: float) -> float:
    return max((now_ms - float(_text(entry_id).partition("-")[0])) / 1000.0, 0.0)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
