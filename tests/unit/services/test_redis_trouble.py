"""A Redis whose disk is full answers, but refuses every write: that is a state to wait out, not a bug."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from redis.exceptions import ResponseError

from models.game import Snapshot, Status
from services.broadcast import Broadcast, BroadcastUnavailable, Event
from services.ticks import Tick, TickStream, TicksUnavailable

AT = datetime(2023, 2, 4, 1, 0, tzinfo=UTC)
GAME = "0022200785"
DISK_FULL = "MISCONF Errors writing to the AOF file: No space left on device"


class Refusing:
    """Answers every command with an error."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __getattr__(self, _: str) -> Any:
        def refuse(*_: Any, **__: Any) -> None:
            raise ResponseError(self._text)

        return refuse


def ticks(text: str) -> TickStream:
    stream = TickStream("redis://127.0.0.1:1/0")
    stream._redis = Refusing(text)
    return stream


def events(text: str) -> Broadcast:
    broadcast = Broadcast("redis://127.0.0.1:1/0")
    broadcast._redis = Refusing(text)
    return broadcast


TICK = Tick(GAME, Snapshot(GAME, "DET", "CHA", Status.SCHEDULED), date(2023, 2, 3), "live", AT)
EVENT = Event("disposition", GAME, AT)


def test_a_full_disk_makes_the_tick_stream_unavailable() -> None:
    with pytest.raises(TicksUnavailable, match="No space left"):
        ticks(DISK_FULL).publish(TICK)
    with pytest.raises(TicksUnavailable, match="No space left"):
        ticks(DISK_FULL).consume("a", block_ms=0)


def test_a_full_disk_makes_the_broadcast_unavailable() -> None:
    with pytest.raises(BroadcastUnavailable, match="No space left"):
        events(DISK_FULL).publish(EVENT)


def test_any_other_refusal_stays_an_error_to_see() -> None:
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        ticks("WRONGTYPE Operation against a key").publish(TICK)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        events("WRONGTYPE Operation against a key").publish(EVENT)
