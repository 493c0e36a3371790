"""The broadcast on a real Redis."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from infra.redis import RedisServer
from services.broadcast import FIRST_ID, AsyncBroadcast, Broadcast, BroadcastUnavailable, Event, EventError
from tests.support.servers import free_port

NOON = datetime(2023, 2, 3, 12, 0, tzinfo=UTC)


def event(number: int = 1, **changes: Any) -> Event:
    values: dict[str, Any] = {"type": "score", "game_id": "0022200781", "at": NOON, "data": {"home": number}}
    return Event(**values | changes)


@pytest.fixture
def broadcast(redis_url: str, redis_prefix: str) -> Broadcast:
    return Broadcast(redis_url, redis_prefix)


def test_a_reader_gets_what_follows_its_place(broadcast: Broadcast) -> None:
    assert (broadcast.latest_id(), broadcast.read_after(FIRST_ID)) == (FIRST_ID, ([], FIRST_ID))
    ids = [broadcast.publish(event(number)) for number in range(5)]
    assert [one.id for one in broadcast.read_after(FIRST_ID).events] == ids
    found, last_id = broadcast.read_after(ids[2])
    assert last_id == ids[4]
    assert [one.data for one in found] == [{"home": 3}, {"home": 4}]
    assert (found[0].type, found[0].game_id, found[0].at) == ("score", "0022200781", NOON)
    assert broadcast.read_after(ids[4]) == ([], ids[4])
    assert broadcast.latest_id() == ids[4]
    first = broadcast.read_after(FIRST_ID, count=2)
    assert (len(first.events), first.last_id) == (2, ids[1])


def test_every_reader_sees_everything_with_the_same_ids(
    broadcast: Broadcast, redis_url: str, redis_prefix: str
) -> None:
    broadcast.publish(event())
    assert Broadcast(redis_url, redis_prefix).read_after(FIRST_ID) == broadcast.read_after(FIRST_ID)


async def test_a_waiting_reader_wakes_up(broadcast: Broadcast, redis_url: str, redis_prefix: str) -> None:
    reader = AsyncBroadcast(redis_url, redis_prefix)
    assert await reader.read_after(FIRST_ID, block_ms=0) == ([], FIRST_ID)
    assert await reader.read_after(FIRST_ID, block_ms=20) == ([], FIRST_ID)
    waiting = asyncio.create_task(reader.read_after(FIRST_ID, block_ms=2000))
    await asyncio.sleep(0)
    entry = await asyncio.to_thread(broadcast.publish, event())
    assert [one.id for one in (await waiting).events] == [entry]
    assert await reader.latest_id() == entry
    await reader.close()


def test_of_one_subject_each_version_is_published_once_and_none_after_a_later_one(
    broadcast: Broadcast, redis_url: str, redis_prefix: str
) -> None:
    another = Broadcast(redis_url, redis_prefix)
    assert broadcast.publish(event(1), "score", 5) is not None
    assert another.publish(event(2), "score", 5) is None
    assert another.publish(event(3), "score", 4) is None
    assert another.publish(event(4), "score", 6) is not None
    assert broadcast.publish(event(5), "pattern", 5) is not None, "another subject"
    assert broadcast.publish(event(6, game_id="0022200782"), "score", 1) is not None, "another game"
    assert broadcast.publish(event(7)) is not None, "without a subject nothing is compared"
    assert [one.data["home"] for one in broadcast.read_after(FIRST_ID).events] == [1, 4, 5, 6, 7]
    assert [one.at for one in broadcast.read_after(FIRST_ID).events] == [NOON] * 5


def test_what_was_told_is_remembered_for_two_days(broadcast: Broadcast, redis_url: str) -> None:
    broadcast.publish(event(), "score", 1_770_000_000_000_000)
    assert broadcast.publish(event(), "score", 1_770_000_000_000_001) is not None, "microseconds are told apart"
    client = redis.Redis.from_url(redis_url)
    assert 0 < client.ttl(f"{broadcast.key}:told:0022200781") <= 2 * 86_400


def test_an_event_for_which_there_is_no_room_was_not_told(broadcast: Broadcast, redis_server: RedisServer) -> None:
    control = redis.Redis.from_url(redis_server.url)
    broadcast.publish(event(1), "score", 1)
    control.config_set("maxmemory", 1)
    try:
        with pytest.raises(BroadcastUnavailable):
            broadcast.publish(event(2), "score", 2)
    finally:
        control.config_set("maxmemory", "256mb")
    assert broadcast.publish(event(2), "score", 2) is not None


async def test_a_reader_that_was_away_too_long_is_told(redis_url: str, redis_prefix: str) -> None:
    broadcast, reader = Broadcast(redis_url, redis_prefix, max_length=100), AsyncBroadcast(redis_url, redis_prefix)
    ids = [broadcast.publish(event(number)) for number in range(500)]
    for has_gap in (broadcast.has_gap(ids[0]), await reader.has_gap(ids[0])):
        assert has_gap
    assert not broadcast.has_gap(ids[-1])
    assert not broadcast.has_gap(ids[-50])
    assert not broadcast.has_gap(FIRST_ID), "who starts at the beginning takes what there is"
    await reader.close()


def test_a_stream_that_began_anew_is_a_gap(broadcast: Broadcast, redis_url: str) -> None:
    entry = broadcast.publish(event())
    redis.Redis.from_url(redis_url).delete(broadcast.key)
    assert broadcast.has_gap(entry)
    assert not broadcast.has_gap(FIRST_ID)


@pytest.mark.parametrize("wrong", [{"data": {"x": math.nan}}, {"data": {"x": object()}}, {"type": "gossip"}])
def test_what_is_no_event_is_refused(broadcast: Broadcast, wrong: dict[str, Any]) -> None:
    with pytest.raises(EventError):
        broadcast.publish(event(**wrong))
    with pytest.raises(EventError, match="time zone"):
        broadcast.publish(event(at=datetime(2023, 2, 3)))
    assert broadcast.read_after(FIRST_ID).events == []


@pytest.mark.parametrize("place", ["", "1", "$", "0-0-0", "-", "+", "1-x", "１-0", "9" * 50 + "-0"])
def test_an_id_that_is_none_is_refused(broadcast: Broadcast, place: str) -> None:
    with pytest.raises(EventError):
        broadcast.read_after(place)
    with pytest.raises(EventError):
        broadcast.has_gap(place)


async def test_an_entry_that_cannot_be_read_holds_nothing_up(
    broadcast: Broadcast, redis_url: str, redis_prefix: str
) -> None:
    client = redis.Redis.from_url(redis_url)
    client.xadd(broadcast.key, {"type": "score"})
    broadcast.publish(event(7))
    assert [one.data for one in broadcast.read_after(FIRST_ID).events] == [{"home": 7}]
    last_id = client.xadd(broadcast.key, {"type": "gossip", "data": "{}"}).decode()
    reader = AsyncBroadcast(redis_url, redis_prefix)
    for events, read_to in (broadcast.read_after(FIRST_ID), await reader.read_after(FIRST_ID)):
        assert [one.data for one in events] == [{"home": 7}]
        assert read_to == last_id, "it is passed, or a reader at the end would read it again and again"
    await reader.close()


async def test_a_server_that_is_away_is_a_named_error() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    broadcast, reader = Broadcast(url), AsyncBroadcast(url)
    publish = (lambda: broadcast.publish(event()), lambda: broadcast.publish(event(), "score", 1))
    for act in (*publish, lambda: broadcast.read_after(FIRST_ID), broadcast.latest_id):
        with pytest.raises(BroadcastUnavailable):
            act()
    for wait in (reader.read_after(FIRST_ID), reader.latest_id(), reader.has_gap(FIRST_ID)):
        with pytest.raises(BroadcastUnavailable):
            await wait
