"""The tick stream without a server: same promises, one process. For tests and for trying the live path alone."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.tick_rows import DeadLetter, Delivery, Tick, TickError, decode, encode

MAX_LENGTH = 10_000
MAX_DELIVERIES = 5


@dataclass(slots=True)
class _Pending:
    consumer: str
    handed_s: float
    deliveries: int


class MemoryTickStream:
    """One stream with one consumer group. Thread-safe."""

    def __init__(self, *, max_length: int = MAX_LENGTH, max_deliveries: int = MAX_DELIVERIES) -> None:
        self._max_length = max_length
        self._max_deliveries = max_deliveries
        self._entries: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._waiting: list[str] = []
        self._pending: dict[str, _Pending] = {}
        self._dead: list[DeadLetter] = []
        self._heard_s: dict[str, float] = {}
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()

    def publish(self, tick: Tick) -> str:
        """Append a tick; its entry id. Raises TickError."""
        return self.publish_fields(encode(tick, tick.queued_at or datetime.now(UTC)))

    def publish_fields(self, fields: dict[str, str]) -> str:
        """Append raw fields, readable or not; the entry id."""
        with self._changed:
            entry_id = f"{time.time_ns() // 1_000_000}-{next(self._numbers)}"
            self._entries[entry_id] = dict(fields)
            self._waiting.append(entry_id)
            while len(self._entries) > self._max_length:
                trimmed, _ = self._entries.popitem(last=False)
                if trimmed in self._waiting:
                    self._waiting.remove(trimmed)
            self._changed.notify_all()
            return entry_id

    def consume(self, consumer: str, *, block_ms: int = 1000, count: int = 100) -> list[Delivery]:
        """New ticks for ``consumer``, waiting up to ``block_ms`` for the first."""
        with self._changed:
            if not self._waiting and block_ms > 0:
                self._changed.wait_for(lambda: self._waiting, timeout=block_ms / 1000)
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
            return self._hand_out(consumer, taken)

    def claim_stale(self, consumer: str, *, min_idle_ms: int = 30_000, count: int = 100) -> list[Delivery]:
        """Take over what was handed out at least ``min_idle_ms`` ago, never acknowledged and not held since."""
        with self._changed:
            now = time.monotonic()
            stale = [
                entry_id
                for entry_id, pending in self._pending.items()
                if (now - pending.handed_s) * 1000 >= min_idle_ms
            ]
            return self._hand_out(consumer, stale[:count])

    def hold(self, consumer: str, entry_ids: Sequence[str]) -> None:
        """Say that ``consumer`` is at work, and still on these entries, so that nobody claims them."""
        with self._changed:
            self._heard_s[consumer] = time.monotonic()
            for entry_id in entry_ids:
                if entry_id in self._pending:
                    self._pending[entry_id].consumer = consumer
                    self._pending[entry_id].handed_s = time.monotonic()

    def at_work(self, consumer: str, *, within_ms: int) -> list[str]:
        """Other consumers that said so, or got ticks, within that time, by name."""
        with self._changed:
            since = time.monotonic() - within_ms / 1000
            return sorted(name for name, heard in self._heard_s.items() if name != consumer and heard >= since)

    def forget(self, *, min_idle_ms: int) -> int:
        """Forget consumers that were silent for so long and have nothing outstanding; how many."""
        with self._changed:
            before = time.monotonic() - min_idle_ms / 1000
            busy = {pending.consumer for pending in self._pending.values()}
            gone = [name for name, heard in self._heard_s.items() if heard <= before and name not in busy]
            for name in gone:
                del self._heard_s[name]
            return len(gone)

    def ack(self, entry_ids: Sequence[str]) -> int:
        """Acknowledge entries whose effects are committed; how many were outstanding."""
        with self._changed:
            return sum(self._pending.pop(entry_id, None) is not None for entry_id in entry_ids)

    def backlog(self) -> int:
        """Entries handed out and not acknowledged."""
        return len(self._pending)

    def length(self) -> int:
        """Entries the stream holds."""
        return len(self._entries)

    def dead_letters(self, count: int = 100) -> list[DeadLetter]:
        """What was given up, newest first."""
        return self._dead[::-1][:count]

    def close(self) -> None:
        """Nothing to close."""

    def _hand_out(self, consumer: str, entry_ids: list[str]) -> list[Delivery]:
        out = []
        for entry_id in entry_ids:
            fields = self._entries.get(entry_id)
            if fields is None:  # trimmed while it was outstanding
                self._pending.pop(entry_id, None)
                continue
            before = self._pending.get(entry_id)
            deliveries = 1 if before is None else before.deliveries + 1
            if deliveries > self._max_deliveries:
                reason = f"handed out {deliveries - 1} times and never acknowledged"
                self._give_up(entry_id, fields, reason, deliveries - 1)
                continue
            self._pending[entry_id] = _Pending(consumer, time.monotonic(), deliveries)
            self._heard_s[consumer] = time.monotonic()
            try:
                out.append(Delivery(entry_id, decode(fields), deliveries))
            except TickError as error:
                self._give_up(entry_id, fields, f"not a tick: {error}", deliveries)
        return out

    def _give_up(self, entry_id: str, fields: dict[str, str], reason: str, deliveries: int) -> None:
        self._pending.pop(entry_id, None)
        self._dead.append(DeadLetter(entry_id, reason, deliveries, dict(fields)))
