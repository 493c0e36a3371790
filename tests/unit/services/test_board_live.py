"""Following the event stream: what a read hands over, and where the next one goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from services.board_live import Live
from tests.support.board_night import MemoryStore, MemoryStream, forecast, score
from tests.support.waiting import until

GAME, OTHER = "0022200760", "0022200761"


@asynccontextmanager
async def following(stream: MemoryStream, memory: int = 2048) -> AsyncIterator[Live]:
    live = Live(stream, MemoryStore(), memory=memory)
    task = asyncio.create_task(live.run())
    try:
        await asyncio.wait_for(live.ready.wait(), 10)
        yield live
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_unreadable_entries_at_the_end_are_passed_while_catching_up() -> None:
    stream = MemoryStream()
    stream.add("score", GAME, score())
    last = stream.add("score", GAME, {})
    stream.unreadable.add(last.id)
    async with following(stream) as live:
        assert live.hub.newest == last.id
        assert len(live.nights.games()) == 1


async def test_a_whole_batch_of_unreadable_entries_does_not_end_the_catching_up() -> None:
    stream = MemoryStream()
    stream.unreadable.update(stream.add("score", GAME, {}).id for _ in range(600))
    stream.add("score", GAME, score())
    async with following(stream) as live:
        assert len(live.nights.games()) == 1


async def test_unreadable_entries_at_the_end_are_passed_while_following() -> None:
    stream = MemoryStream()
    stream.add("score", GAME, score())
    async with following(stream) as live:
        stream.unreadable.add(f"{1000 + len(stream.events) + 1}-0")
        last = stream.add("score", GAME, {})
        await asyncio.to_thread(until, lambda: live.hub.newest == last.id)
        client = live.hub.join(last.id)
        after = stream.add("score", GAME, score(home_score=46))
        await client.next()
        assert after.id in await client.next()


def lag(live: Live, what: str) -> float:
    (family,) = live.lag.collect()
    return next(sample.value for sample in family.samples if sample.name == f"halftime_broadcast_lag_seconds_{what}")


async def test_the_lag_is_that_of_the_events_that_came_while_following() -> None:
    stream = MemoryStream()
    stream.add("score", GAME, score(), datetime(2023, 2, 4, tzinfo=UTC))
    async with following(stream) as live:
        last = stream.add("score", GAME, score(home_score=46), datetime.now(UTC) - timedelta(seconds=3))
        await asyncio.to_thread(until, lambda: live.hub.newest == last.id)
        assert lag(live, "count") == 1
        assert 3.0 <= lag(live, "sum") < 30.0


async def test_an_event_from_a_clock_ahead_has_no_lag_and_one_without_a_zone_is_not_measured() -> None:
    stream = MemoryStream()
    stream.add("score", GAME, score())
    async with following(stream) as live:
        stream.add("score", GAME, score(home_score=46), datetime.now(UTC) + timedelta(hours=1))
        last = stream.add("score", GAME, score(home_score=48), datetime(2023, 2, 4))
        await asyncio.to_thread(until, lambda: live.hub.newest == last.id)
        assert (lag(live, "count"), lag(live, "sum")) == (1, 0.0)


async def test_an_event_that_is_refused_is_broadcast_to_nobody_and_has_no_lag() -> None:
    stream = MemoryStream()
    stream.add("score", GAME, score())
    async with following(stream) as live:
        last = stream.add("score", GAME, {"home": 1})
        await asyncio.to_thread(until, lambda: live.hub.newest == last.id)
        assert (live.refused, lag(live, "count")) == (1, 0)


async def greeting(live: Live, last_id: str) -> list[str]:
    """All that a client gets at once who comes back with this id."""
    client = live.hub.join(last_id)
    return [await client.next() for _ in range(client.waiting)]


async def test_a_board_that_has_just_started_resumes_a_client_as_one_that_was_there_all_along() -> None:
    stream = MemoryStream()
    async with following(stream) as old:
        events = [stream.add("score", GAME, score(home_score=points)) for points in range(40, 46)]
        events.append(stream.add("pattern", GAME, {"minute": 2, "margins": [1, 2]}))
        events.append(stream.add("forecast", GAME, forecast()))
        await asyncio.to_thread(until, lambda: old.hub.newest == events[-1].id)
        async with following(stream) as new:
            for place, event in enumerate(events):
                told = await greeting(new, event.id)
                assert json.loads(told[0])["type"] == "resumed"
                assert [json.loads(one)["id"] for one in told[1:]] == [later.id for later in events[place + 1 :]]
                assert told == await greeting(old, event.id)


async def test_a_board_that_has_just_started_gives_the_state_where_the_stream_may_hold_less_than_was_missed() -> None:
    stream = MemoryStream()
    before = stream.add("score", GAME, score())
    seen = stream.add("score", GAME, score(home_score=46))
    # Another game becomes known: what a client is told then is the whole state.
    other = stream.add("score", OTHER, score("DEN", "GSW", league_date="2023-02-04"))
    after = stream.add("score", OTHER, score("DEN", "GSW", league_date="2023-02-04", home_score=46))
    async with following(stream) as live:
        for last_id in (before.id, seen.id, "0-0", "1000-5"):
            (told,) = await greeting(live, last_id)
            assert json.loads(told)["type"] == "state"
        assert [json.loads(one).get("id") for one in await greeting(live, other.id)] == [None, after.id]


async def test_what_a_board_that_has_just_started_can_resume_is_bounded() -> None:
    stream = MemoryStream()
    events = [stream.add("score", GAME, score(home_score=points)) for points in range(40, 50)]
    async with following(stream, memory=3) as live:
        assert len(await greeting(live, events[-4].id)) == 4
        (told,) = await greeting(live, events[-5].id)
        assert json.loads(told)["type"] == "state"
