"""The tick stream: the same promises from the real Redis and from the double that ships."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest
import redis

from infra.redis import RedisServer
from models.game import Play, Snapshot, Status
from services.tick_rows import TickError, decode, encode
from services.ticks import Tick, TickStream, TicksUnavailable
from services.ticks_memory import MemoryTickStream
from tests.support.servers import free_port, running_redis

NOON = datetime(2023, 2, 3, 12, 0, tzinfo=UTC)
Stream = TickStream | MemoryTickStream
Make = Callable[..., Stream]


def tick(number: int = 1, game_id: str = "0022200781") -> Tick:
    plays = (Play(1, 1, 12.5, 2, 0), Play(2, 1, 30.0 + number, 2, 3))
    snapshot = Snapshot(game_id, "BOS", "PHX", Status.LIVE, 1, 30.0 + number, False, plays, NOON, NOON)
    return Tick(game_id, snapshot, date(2023, 2, 3), "recorded", NOON, tip_at=NOON, status_text="Q1 11:29")


@pytest.fixture(params=["redis", "memory"])
def make(request: pytest.FixtureRequest, redis_prefix: str) -> Iterator[Make]:
    """Makes further handles on one stream: as another process would see it."""
    if request.param == "memory":
        streams: list[MemoryTickStream] = []

        def shared(**options: Any) -> Stream:
            if not streams or options:
                streams.append(MemoryTickStream(**options))
            return streams[-1]

        yield shared
        return
    url = request.getfixturevalue("redis_url")
    opened: list[TickStream] = []

    def connected(**options: Any) -> Stream:
        opened.append(TickStream(url, redis_prefix, **options))
        return opened[-1]

    yield connected
    for stream in opened:
        stream.close()


@pytest.fixture
def stream(make: Make) -> Stream:
    return make()


def test_a_tick_arrives_as_it_was_sent(stream: Stream) -> None:
    before = datetime.now(UTC)
    stream.publish(tick())
    [delivery] = stream.consume("a", block_ms=0)
    assert delivery.tick.snapshot == tick().snapshot
    assert (delivery.tick.league_date, delivery.tick.tip_at, delivery.tick.source) == (
        date(2023, 2, 3),
        NOON,
        "recorded",
    )
    assert delivery.tick.queued_at is not None
    assert before <= delivery.tick.queued_at <= datetime.now(UTC)
    assert delivery.deliveries == 1


def test_ticks_arrive_in_order_and_each_goes_to_one_consumer(stream: Stream) -> None:
    for number in range(1, 7):
        stream.publish(tick(number))
    first = stream.consume("a", block_ms=0, count=4)
    second = stream.consume("b", block_ms=0, count=4)
    assert [one.tick.snapshot.t for one in (*first, *second)] == [31.0, 32.0, 33.0, 34.0, 35.0, 36.0]


def test_what_was_published_before_the_first_consumer_is_not_missed(make: Make) -> None:
    make().publish(tick())
    assert len(make().consume("a", block_ms=0)) == 1


def test_an_empty_stream_gives_an_empty_list(stream: Stream) -> None:
    assert stream.consume("a", block_ms=0) == []
    assert stream.consume("a", block_ms=20) == []
    assert stream.claim_stale("a", min_idle_ms=0) == []
    assert stream.ack([]) == 0
    assert (stream.backlog(), stream.dead_letters()) == (0, [])


def test_a_waiting_consumer_wakes_up_for_a_tick(stream: Stream) -> None:
    stream.consume("a", block_ms=0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: next(found for _ in range(60) if (found := stream.consume("a", block_ms=1000))))
        stream.publish(tick())
        assert len(waiting.result()) == 1


def test_acknowledged_entries_are_not_handed_out_again(stream: Stream) -> None:
    stream.publish(tick())
    [delivery] = stream.consume("a", block_ms=0)
    assert stream.backlog() == 1
    assert stream.ack([delivery.entry_id]) == 1
    assert stream.ack([delivery.entry_id]) == 0
    assert stream.claim_stale("b", min_idle_ms=0) == []
    assert stream.backlog() == 0


def test_what_a_dead_consumer_left_is_claimed_by_another(stream: Stream) -> None:
    stream.publish(tick())
    stream.consume("dead", block_ms=0)
    assert stream.claim_stale("b", min_idle_ms=60_000) == [], "it may still be at work"
    [delivery] = stream.claim_stale("b", min_idle_ms=0)
    assert (delivery.tick.snapshot, delivery.deliveries) == (tick().snapshot, 2)


def test_a_consumer_claims_its_own_entries_unless_it_holds_them(stream: Stream) -> None:
    stream.publish(tick())
    [delivery] = stream.consume("a", block_ms=0)
    for _ in range(3):
        stream.hold("a", [delivery.entry_id])
        assert stream.claim_stale("a", min_idle_ms=1000) == []
    time.sleep(1.1)
    [again] = stream.claim_stale("a", min_idle_ms=1000)
    assert (again.entry_id, again.deliveries) == (delivery.entry_id, 2), "it may have come in an answer that was lost"


def test_who_said_so_is_at_work_and_who_was_silent_is_forgotten_unless_something_is_outstanding(stream: Stream) -> None:
    assert stream.at_work("a", within_ms=60_000) == []
    stream.publish(tick())
    assert len(stream.consume("holds", block_ms=0)) == 1
    for name in ("a", "b"):
        stream.hold(name, [])
    assert stream.at_work("a", within_ms=60_000) == ["b", "holds"]
    time.sleep(0.5)
    stream.hold("a", [])
    assert stream.at_work("b", within_ms=400) == ["a"]
    assert stream.forget(min_idle_ms=400) == 1
    assert stream.at_work("a", within_ms=60_000) == ["holds"]
    assert stream.backlog() == 1


def test_held_entries_are_not_stale(stream: Stream) -> None:
    stream.publish(tick())
    [delivery] = stream.consume("a", block_ms=0)
    time.sleep(2.1)
    stream.hold("a", [delivery.entry_id])
    assert stream.claim_stale("b", min_idle_ms=2000) == []
    [claimed] = stream.claim_stale("b", min_idle_ms=0)
    assert claimed.deliveries == 2, "holding is no delivery"


def test_poison_goes_to_the_dead_letters_after_five_deliveries(stream: Stream) -> None:
    stream.publish(tick(1))
    stream.publish(tick(2))
    poison, fine = stream.consume("consumer-1", block_ms=0)
    stream.ack([fine.entry_id])
    for turn in range(2, 6):
        [again] = stream.claim_stale(f"consumer-{turn}", min_idle_ms=0)
        assert again.deliveries == turn
    assert stream.claim_stale("consumer-6", min_idle_ms=0) == []
    [letter] = stream.dead_letters()
    assert (letter.entry_id, letter.deliveries) == (poison.entry_id, 5)
    assert "never acknowledged" in letter.reason
    assert decode(letter.fields).snapshot == tick(1).snapshot
    assert stream.backlog() == 0


def publish_raw(stream: Stream, fields: dict[str, str]) -> None:
    if isinstance(stream, MemoryTickStream):
        stream.publish_fields(fields)
    else:
        stream._redis.xadd(stream.key, fields)


@pytest.mark.parametrize("field", ["snapshot", "digest", "league_date", "polled_at", "game_id"])
def test_what_cannot_be_read_is_given_up_at_once_and_holds_nothing_up(stream: Stream, field: str) -> None:
    publish_raw(stream, encode(tick(), NOON) | {field: "rubbish"})
    stream.publish(tick(2))
    assert [one.tick.snapshot.t for one in stream.consume("a", block_ms=0)] == [32.0]
    [letter] = stream.dead_letters()
    assert letter.reason.startswith("not a tick")
    assert letter.fields[field] == "rubbish"


def test_the_stream_is_trimmed_and_trimmed_entries_do_not_stay_outstanding(make: Make) -> None:
    stream = make(max_length=100)
    stream.publish(tick())
    stream.consume("dead", block_ms=0)
    for number in range(400):
        stream.publish(tick(number))
    assert stream.length() <= 250
    assert stream.claim_stale("b", min_idle_ms=0) == []
    assert stream.backlog() == 0


def test_a_naive_time_or_a_foreign_snapshot_is_refused(stream: Stream) -> None:
    good = tick()
    with pytest.raises(TickError, match="time zone"):
        stream.publish(Tick(good.game_id, good.snapshot, good.league_date, "recorded", datetime(2023, 2, 3)))
    with pytest.raises(TickError, match="snapshot of"):
        stream.publish(Tick("0022200999", good.snapshot, good.league_date, "recorded", NOON))
    assert stream.length() == 0


def test_many_publishers_and_consumers_lose_and_double_nothing(make: Make) -> None:
    streams = [make() for _ in range(4)]
    seen: list[str] = []
    lock, done = threading.Lock(), threading.Event()

    def consume(number: int) -> None:
        while True:
            finished = done.is_set()
            found = streams[number].consume(f"c{number}", block_ms=20, count=7)
            streams[number].ack([one.entry_id for one in found])
            with lock:
                seen.extend(one.entry_id for one in found)
            if finished and not found:
                return

    with ThreadPoolExecutor(6) as pool:
        consumers = [pool.submit(consume, number) for number in range(2)]
        sent = [
            one for part in pool.map(lambda n: [streams[n].publish(tick(k)) for k in range(50)], (2, 3)) for one in part
        ]
        done.set()
        for one in consumers:
            one.result()
    assert sorted(seen) == sorted(sent)


# What only a server can do.


def test_a_consumer_that_comes_back_under_its_name_gets_what_it_left(redis_url: str, redis_prefix: str) -> None:
    first = TickStream(redis_url, redis_prefix)
    for number in range(1, 6):
        first.publish(tick(number))
    first.consume("pod", block_ms=0, count=3)
    again = TickStream(redis_url, redis_prefix)
    batches = [again.consume("pod", block_ms=0, count=2) for _ in range(4)]
    assert [[one.tick.snapshot.t for one in batch] for batch in batches] == [[31.0, 32.0], [33.0], [34.0, 35.0], []]
    assert [one.deliveries for one in (*batches[0], *batches[2])] == [2, 2, 1, 1]


def test_a_group_that_is_lost_is_made_anew(redis_url: str, redis_prefix: str) -> None:
    stream = TickStream(redis_url, redis_prefix)
    stream.publish(tick())
    assert len(stream.consume("a", block_ms=0)) == 1
    redis.Redis.from_url(redis_url).delete(stream.key)
    assert stream.consume("a", block_ms=0) == []
    stream.publish(tick(2))
    assert len(stream.consume("a", block_ms=0)) == 1


def test_a_server_that_is_away_is_a_named_error() -> None:
    stream = TickStream(f"redis://127.0.0.1:{free_port()}/0")
    for act in (
        lambda: stream.publish(tick()), lambda: stream.consume("a", block_ms=0), lambda: stream.claim_stale("a"),
        lambda: stream.ack(["1-1"]), lambda: stream.hold("a", []),
        lambda: stream.at_work("a", within_ms=1), lambda: stream.forget(min_idle_ms=1),
        stream.backlog, stream.length, stream.dead_letters,
    ):  # fmt: skip
        with pytest.raises(TicksUnavailable, match="try again"):
            act()


def test_the_stream_goes_on_after_the_server_was_killed(redis_prefix: str) -> None:
    with running_redis(durable=True) as server:
        stream = TickStream(server.url, redis_prefix)
        stream.publish(tick())
        [delivery] = stream.consume("a", block_ms=0)
        port = server.port
    with pytest.raises(TicksUnavailable):
        stream.consume("a", block_ms=0)
    with running_redis(port):
        assert stream.consume("a", block_ms=0) == []
        stream.publish(tick(2))
        assert [one.tick.snapshot.t for one in stream.consume("a", block_ms=0)] == [32.0]
        assert stream.ack([delivery.entry_id]) == 0


def test_a_full_redis_refuses_instead_of_forgetting(redis_prefix: str, redis_server: RedisServer) -> None:
    control = redis.Redis.from_url(redis_server.url)
    stream = TickStream(redis_server.url, redis_prefix)
    control.config_set("maxmemory", 1)
    try:
        with pytest.raises(TicksUnavailable):
            stream.publish(tick())
    finally:
        control.config_set("maxmemory", "256mb")
    assert stream.publish(tick())
