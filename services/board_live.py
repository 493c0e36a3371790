"""The board's live side: reads the event stream, keeps the night's state, and feeds the hub.

One task per process. Any number of boards may run: each reads the same stream, so ids mean the same on all of them and
a client may resume on another one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import structlog
from prometheus_client import Histogram

from services.board_night import Change, Nights, event_text, state_text
from services.board_reads import NightStore, Reads, SourceDownError
from services.board_state import BadEventError, EventLike
from services.hub import FIRST_ID, Hub, Memory, Message, id_key
from services.trace_spans import note_span

BATCH = 500
BREATH = 32
BLOCK_MS = 1000
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
LAG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class EventSource(Protocol):
    """Where events come from; ``read_after`` raises SourceDownError.

    It answers the events after ``last_id`` and the id to read on from: beyond the last event when entries behind it
    could not be read, ``last_id`` itself when nothing came in ``block_ms``.
    """

    async def read_after(self, last_id: str, *, block_ms: int, count: int) -> tuple[Sequence[EventLike], str]: ...


class Live:
    """State and hub of one board process; ``run`` follows the stream until it is cancelled.

    ``ready`` is set once there is a state to show, be it the database's alone while the stream is away.
    """

    def __init__(
        self,
        source: EventSource,
        store: NightStore,
        *,
        heartbeat_s: float = 15.0,
        room: int = 256,
        memory: int = 2048,
        max_clients: int = 1000,
    ) -> None:
        self.nights = Nights()
        self.hub = Hub(self._present, room=room, memory=memory, max_clients=max_clients)
        self.refused = 0
        self.lag = Histogram(
            "halftime_broadcast_lag_seconds",
            "From an event's time to its broadcast to the clients, wall seconds",
            buckets=LAG_SECONDS,
            registry=None,
        )
        self.stream_up = False
        self.ready = asyncio.Event()
        self._caught_up = False
        self._source = source
        self.store = store
        self.reads = Reads()
        self._heartbeat_s = heartbeat_s
        self._log = structlog.get_logger("board")

    def _present(self) -> str:
        return state_text(self.nights, self.hub.newest)

    async def run(self) -> None:
        """Catches up, then follows. A stream that is away is tried again with growing pauses; nothing is lost by it."""
        beat = asyncio.create_task(self._beat())
        pause = FIRST_PAUSE_S
        try:
            while True:
                try:
                    if not self._caught_up:
                        await self._catch_up()
                    await self._follow_once()
                    pause = FIRST_PAUSE_S
                except SourceDownError as error:
                    if self.stream_up or pause == FIRST_PAUSE_S:
                        self._log.warning("event stream is down", reason=str(error))
                    self._mark(up=False)
                    # What was trimmed or lost meanwhile cannot be known: afterwards everything is read anew.
                    self._caught_up = False
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_S)
        finally:
            beat.cancel()
            self.hub.close()
            self.reads.close()

    async def _catch_up(self) -> None:
        """Everything the stream still holds, then what only the database knows of the night that is on.

        What clients of another board were told meanwhile is remembered, so that they may resume here.
        """
        nights, last_id = Nights(), FIRST_ID
        memory: Memory | None = None
        try:
            while True:
                events, read_to = await self._source.read_after(last_id, block_ms=0, count=BATCH)
                for event in events:
                    if self._take(nights, event) is Change.EVENT and memory is not None:
                        memory.add(Message(event.id, event_text(event, nights.game(event.game_id))))
                    else:
                        # Before the first event some may have been trimmed; and what another board told of one that is
                        # more or less than an event depends on what it knew: then only the state will do.
                        memory = self.hub.memory_from(event.id)
                if read_to == last_id:
                    break
                last_id = read_to
        except SourceDownError:
            if not self.ready.is_set():
                await self._add_stored(self.nights)
                self.ready.set()
            raise
        await self._add_stored(nights)
        if nights.league_date is not None or self.nights.league_date is None:
            self.nights = nights
        self.hub.start_at(last_id, memory)
        self.hub.restate()
        self._caught_up = True
        self._mark(up=True)
        self.ready.set()

    async def _add_stored(self, nights: Nights) -> None:
        try:
            shown = nights.league_date or await self.reads(self.store.newest_night)
            if shown is not None:
                nights.load(shown, await self.reads(partial(self.store.games, shown)))
        except SourceDownError as error:
            self._log.warning("database is down: the board starts from the event stream alone", reason=str(error))

    async def _follow_once(self) -> None:
        events, read_to = await self._source.read_after(self.hub.newest, block_ms=BLOCK_MS, count=BATCH)
        self._mark(up=True)
        for place, event in enumerate(events):
            if place % BREATH == BREATH - 1:
                # Lets the senders take what they have, or a burst alone would cost quick clients their places.
                await asyncio.sleep(0)
            if id_key(event.id) <= id_key(self.hub.newest):
                continue
            change = self._take(self.nights, event)
            if change is Change.EVENT:
                self.hub.publish(Message(event.id, event_text(event, self.nights.game(event.game_id))))
            elif change is Change.NIGHT:
                self.hub.publish(Message(event.id, state_text(self.nights, event.id)))
            else:
                self.hub.advance(event.id)
                continue
            self._note(event)
        self.hub.advance(read_to)

    def _note(self, event: EventLike) -> None:
        """It went out to the clients: how late, and of a traced forecast when."""
        now = datetime.now(UTC)
        # A time without its zone cannot be compared; between two machines' clocks less than nothing counts as none.
        if event.at.tzinfo is not None:
            self.lag.observe(max(0.0, (now - event.at).total_seconds()))
        if event.type == "forecast" and (trace_id := event.data.get("trace_id")) is not None:
            about = {"game_id": event.game_id, "minute": event.data["minute"], "clients": self.hub.clients}
            self._log.info("forecast broadcast", trace_id=trace_id, broadcast_at=now.isoformat(), **about)
            note_span("broadcast", event.trace, event.at, now, about | {"event_id": event.id}, kind="consumer")

    def _take(self, nights: Nights, event: EventLike) -> Change:
        try:
            return nights.apply(event)
        except BadEventError as error:
            self.refused += 1
            self._log.error("event refused", reason=str(error))
            return Change.HIDDEN

    def _mark(self, *, up: bool) -> None:
        if up != self.stream_up:
            self.stream_up = up
            self.hub.whisper(self._heartbeat())

    def _heartbeat(self) -> str:
        stream = "up" if self.stream_up else "down"
        return json.dumps({"type": "heartbeat", "at": datetime.now(UTC).isoformat(), "stream": stream})

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            self.hub.whisper(self._heartbeat())
