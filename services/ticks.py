"""The tick stream: from the poller to the predictor through Redis, at least once, in order.

A consumer group remembers what was handed out and not yet acknowledged. An entry whose consumer died is claimed by
another one; one that was handed out ``max_deliveries`` times without an end is poison and goes to the dead letters, as
does what cannot be read at all. The stream is trimmed: a snapshot holds the whole game so far, so only the newest
matters. ``services.ticks_memory`` is the same without a server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from redis.exceptions import ResponseError

from services.redis_link import UNAVAILABLE, block, cannot_write, connect
from services.tick_rows import DeadLetter, Delivery, Tick, TickError, TicksUnavailable, decode, encode

__all__ = ["DeadLetter", "Delivery", "Tick", "TickError", "TickStream", "TicksUnavailable"]

Entry = tuple[str, dict[str, str]]

MAX_LENGTH = 10_000
MAX_DEAD = 1_000
MAX_DELIVERIES = 5
BEHIND_ALL = f"{2**64 - 2}-0"  # an id above every entry's; the one above all means ">" to the server


class TickStream:
    """Publisher and consumer of ticks. Thread-safe, except that one consumer name belongs to one thread."""

    def __init__(
        self,
        url: str,
        prefix: str = "halftime",
        *,
        group: str = "predictors",
        max_length: int = MAX_LENGTH,
        max_deliveries: int = MAX_DELIVERIES,
    ) -> None:
        self._redis: Any = connect(url)
        self.key = f"{prefix}:ticks"
        self.dead_key = f"{prefix}:ticks:dead"
        self._group = group
        self._max_length = max_length
        self._max_deliveries = max_deliveries
        # Per consumer, how far it has been handed again what it left behind; None once that is over.
        self._behind: dict[str, str | None] = {}

    def publish(self, tick: Tick) -> str:
        """Append a tick; its entry id. Raises TicksUnavailable, TickError."""
        fields = encode(tick, tick.queued_at or datetime.now(UTC))
        return str(self._call(lambda: self._redis.xadd(self.key, fields, maxlen=self._max_length, approximate=True)))

    def consume(self, consumer: str, *, block_ms: int = 1000, count: int = 100) -> list[Delivery]:
        """New ticks for ``consumer``, waiting up to ``block_ms`` (2 s at most; 0: not at all) for the first.

        The first calls for a name hand out again what an earlier process of that name left unacknowledged.
        Raises TicksUnavailable.
        """
        cursor = self._behind.get(consumer, "0")
        if cursor is not None:
            left = self._read(consumer, cursor, count, 0)
            self._behind[consumer] = left[-1][0] if left else None
            if left:
                return self._counted(self._whole(left))
        try:
            new = self._whole(self._read(consumer, ">", count, block_ms))
        except TicksUnavailable:
            # The answer may be what was lost: the server then holds entries as ours that we never saw.
            del self._behind[consumer]
            raise
        return self._readable([(entry_id, fields, 1) for entry_id, fields in new])

    def claim_stale(self, consumer: str, *, min_idle_ms: int = 30_000, count: int = 100) -> list[Delivery]:
        """Take over what was handed out at least ``min_idle_ms`` ago, never acknowledged and not held since.

        Entries handed out too often are put to the dead letters instead. A consumer's own entries are taken too: what
        it works on it holds, and what it does not know of came in an answer that was lost. Raises TicksUnavailable.
        """
        pending = self._call(
            lambda: self._redis.xpending_range(
                self.key, self._group, min="-", max="+", count=count, idle=min_idle_ms or None
            )
        )
        ids = [str(entry["message_id"]) for entry in pending]
        if not ids:
            return []
        claimed = self._call(lambda: self._redis.xclaim(self.key, self._group, consumer, min_idle_ms, ids))
        taken = [(str(entry_id), fields) for entry_id, fields in claimed if entry_id is not None and fields]
        for missing in set(ids) - {entry_id for entry_id, _ in taken}:
            # Another consumer was quicker, or the entry was trimmed from the stream.
            if not self._call(partial(self._redis.xrange, self.key, missing, missing, 1)):
                self.ack([missing])
        return self._counted(taken)

    def hold(self, consumer: str, entry_ids: Sequence[str]) -> None:
        """Say that ``consumer`` is at work, and still on these entries, so that nobody claims them.

        Raises TicksUnavailable.
        """
        # Waiting for new entries is no sign of life to every release of Redis; looking through one's own always is.
        self._read(consumer, BEHIND_ALL, 1, 0)
        if entry_ids:
            ids = list(entry_ids)
            self._call(lambda: self._redis.xclaim(self.key, self._group, consumer, 0, ids, justid=True))

    def at_work(self, consumer: str, *, within_ms: int) -> list[str]:
        """Other consumers that said so, or got ticks, within that time, by name. Raises TicksUnavailable."""
        return sorted(name for name, idle, _ in self._consumers() if name != consumer and idle <= within_ms)

    def forget(self, *, min_idle_ms: int) -> int:
        """Take the names of consumers that were silent for so long, and have nothing outstanding, off the group: each
        process has a name of its own. How many. Raises TicksUnavailable."""
        gone = [name for name, idle, pending in self._consumers() if idle >= min_idle_ms and not pending]
        for name in gone:
            self._call(partial(self._redis.xgroup_delconsumer, self.key, self._group, name))
        return len(gone)

    def ack(self, entry_ids: Sequence[str]) -> int:
        """Acknowledge entries whose effects are committed; how many were outstanding. Raises TicksUnavailable."""
        if not entry_ids:
            return 0
        return int(self._call(lambda: self._redis.xack(self.key, self._group, *entry_ids)))

    def backlog(self) -> int:
        """Entries handed out and not acknowledged. Raises TicksUnavailable."""
        return int(self._call(lambda: self._redis.xpending(self.key, self._group))["pending"])

    def length(self) -> int:
        """Entries the stream holds. Raises TicksUnavailable."""
        return int(self._call(lambda: self._redis.xlen(self.key)))

    def dead_letters(self, count: int = 100) -> list[DeadLetter]:
        """What was given up, newest first. Raises TicksUnavailable."""
        letters = []
        for _, fields in self._call(lambda: self._redis.xrevrange(self.dead_key, count=count)):
            entry_id, reason, deliveries = (fields.pop(name) for name in ("_entry", "_reason", "_deliveries"))
            letters.append(DeadLetter(entry_id, reason, int(deliveries), fields))
        return letters

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _consumers(self) -> list[tuple[str, int, int]]:
        """Name, milliseconds of silence and outstanding entries of each."""
        found = self._call(lambda: self._redis.xinfo_consumers(self.key, self._group))
        return [(str(one["name"]), int(one["idle"]), int(one["pending"])) for one in found]

    def _read(self, consumer: str, after: str, count: int, block_ms: int) -> list[tuple[str, dict[str, str] | None]]:
        reply = self._call(
            lambda: self._redis.xreadgroup(self._group, consumer, {self.key: after}, count=count, block=block(block_ms))
        )
        return list(reply[0][1]) if reply else []

    def _whole(self, entries: list[tuple[str, dict[str, str] | None]]) -> list[Entry]:
        # Trimmed while it was outstanding: nothing is left to work on.
        self.ack([entry_id for entry_id, fields in entries if not fields])
        return [(entry_id, fields) for entry_id, fields in entries if fields]

    def _counted(self, entries: list[Entry]) -> list[Delivery]:
        """Give up what was handed out too often; the rest with its count."""
        kept = []
        for entry_id, fields in entries:
            found = self._call(partial(self._redis.xpending_range, self.key, self._group, entry_id, entry_id, 1))
            deliveries = int(found[0]["times_delivered"]) if found else 1
            if deliveries > self._max_deliveries:
                reason = f"handed out {deliveries - 1} times and never acknowledged"
                self._give_up(entry_id, fields, reason, deliveries - 1)
            else:
                kept.append((entry_id, fields, deliveries))
        return self._readable(kept)

    def _readable(self, entries: list[tuple[str, dict[str, str], int]]) -> list[Delivery]:
        """Give up what cannot be read: trying again cannot help."""
        out = []
        for entry_id, fields, deliveries in entries:
            try:
                out.append(Delivery(entry_id, decode(fields), deliveries))
            except TickError as error:
                self._give_up(entry_id, fields, f"not a tick: {error}", deliveries)
        return out

    def _give_up(self, entry_id: str, fields: dict[str, str], reason: str, deliveries: int) -> None:
        letter = {**fields, "_entry": entry_id, "_reason": reason[:500], "_deliveries": str(deliveries)}

        def move() -> None:
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.xadd(self.dead_key, letter, maxlen=MAX_DEAD, approximate=True)
                pipe.xack(self.key, self._group, entry_id)
                pipe.execute()

        self._call(move)

    def _call(self, act: Callable[[], Any]) -> Any:
        """``act``, with the group made when it is missing: at the first start, or after Redis lost its memory."""
        try:
            try:
                return act()
            except ResponseError as error:
                if "NOGROUP" not in str(error) and "no such key" not in str(error):
                    raise
            self._make_group()
            return act()
        except (*UNAVAILABLE, ResponseError) as error:
            if isinstance(error, ResponseError) and not (isinstance(error, UNAVAILABLE) or cannot_write(error)):
                raise
            raise TicksUnavailable(f"tick stream unavailable, try again: {error}") from error

    def _make_group(self) -> None:
        try:
            # From the beginning: what was published before the first consumer came is not missed.
            self._redis.xgroup_create(self.key, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
