"""The hub: nobody waits for a slow client, and a client that comes back misses nothing and gets nothing twice."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.hub import SERVICE_RESTART, TRY_AGAIN_LATER, Client, ClientClosedError, Hub, HubFullError, Message, id_key


def make(**options: int) -> Hub:
    hub = Hub(lambda: json.dumps({"type": "state", "last_id": hub.newest}), **options)
    return hub


def message(number: int) -> Message:
    return Message(f"{number}-0", json.dumps({"id": f"{number}-0"}))


async def taken(client: Client) -> list[str]:
    """Ids (or, of a greeting, its type) of everything waiting."""
    out = []
    while client.waiting:
        body = json.loads(await client.next())
        out.append(body.get("id") or body["type"])
    return out


async def test_first_message_is_the_present_state_and_then_come_the_events() -> None:
    hub = make()
    hub.publish(message(1))
    client = hub.join()
    hub.publish(message(2))
    assert json.loads(await client.next()) == {"type": "state", "last_id": "1-0"}
    assert await taken(client) == ["2-0"]


async def test_resuming_gives_exactly_what_was_missed() -> None:
    hub = make()
    for number in range(1, 6):
        hub.publish(message(number))
    client = hub.join("3-0")
    hub.publish(message(6))
    assert await taken(client) == ["resumed", "4-0", "5-0", "6-0"]


async def test_resuming_at_the_newest_id_gives_no_event() -> None:
    hub = make()
    hub.publish(message(1))
    assert await taken(hub.join("1-0")) == ["resumed"]


@pytest.mark.parametrize("last_id", ["1-0", "99-0", "", "nonsense", "1-0-0", "-", "1" * 60 + "-0", "²-0"])
async def test_an_id_that_is_forgotten_unknown_or_malformed_gives_the_whole_state(last_id: str) -> None:
    hub = make(memory=2)
    for number in range(1, 6):
        hub.publish(message(number))
    assert await taken(hub.join(last_id)) == ["state"]


async def test_the_oldest_id_that_can_be_resumed_is_the_one_just_forgotten() -> None:
    hub = make(memory=2)
    for number in range(1, 6):
        hub.publish(message(number))
    assert await taken(hub.join("3-0")) == ["resumed", "4-0", "5-0"]


async def test_hidden_events_move_the_newest_id_without_reaching_clients() -> None:
    hub = make()
    hub.publish(message(1))
    hub.advance("2-0")
    hub.publish(message(3))
    assert await taken(hub.join("1-0")) == ["resumed", "3-0"]
    assert await taken(hub.join("2-0")) == ["resumed", "3-0"]


async def test_an_event_seen_before_is_not_sent_again() -> None:
    hub = make()
    client = hub.join()
    hub.publish(message(2))
    hub.publish(message(2))
    hub.publish(message(1))
    assert await taken(client) == ["state", "2-0"]


async def test_a_client_that_does_not_read_is_dropped_and_the_others_lose_nothing() -> None:
    hub = make(room=3)
    slow, quick = hub.join(), hub.join()
    got = []
    for number in range(1, 11):
        hub.publish(message(number))
        got += await taken(quick)
    assert got == ["state", *[f"{number}-0" for number in range(1, 11)]]
    with pytest.raises(ClientClosedError) as closed:
        await slow.next()
    assert closed.value.code == TRY_AGAIN_LATER
    assert slow.ended.is_set()
    assert (hub.dropped, hub.clients) == (1, 1)


async def test_what_a_client_is_greeted_with_does_not_count_against_its_room() -> None:
    hub = make(room=2)
    for number in range(1, 9):
        hub.publish(message(number))
    client = hub.join("1-0")
    hub.publish(message(9))
    hub.publish(message(10))
    assert await taken(client) == ["resumed", *[f"{number}-0" for number in range(2, 11)]]


async def test_a_dropped_client_may_come_back_and_resume() -> None:
    hub = make(room=1)
    slow = hub.join()
    first = await slow.next()
    for number in range(1, 4):
        hub.publish(message(number))
    assert slow.closed is not None
    assert await taken(hub.join(json.loads(first)["last_id"])) == ["resumed", "1-0", "2-0", "3-0"]


async def test_closing_ends_every_client_with_1012_and_takes_no_more() -> None:
    hub = make()
    client = hub.join()
    waiting = asyncio.create_task(taken_until_closed(client))
    await asyncio.sleep(0)
    hub.close()
    assert (await waiting).code == SERVICE_RESTART
    with pytest.raises(ClientClosedError):
        hub.join()


async def taken_until_closed(client: Client) -> ClientClosedError:
    try:
        while True:
            await client.next()
    except ClientClosedError as closed:
        return closed


async def test_a_heartbeat_goes_only_to_clients_that_keep_up() -> None:
    hub = make(room=1)
    behind, even = hub.join(), hub.join()
    await even.next()
    hub.whisper(json.dumps({"type": "heartbeat"}))
    assert await taken(even) == ["heartbeat"]
    assert await taken(behind) == ["state"]
    assert hub.dropped == 0


async def test_the_number_of_clients_is_limited() -> None:
    hub = make(max_clients=1)
    first = hub.join()
    with pytest.raises(HubFullError, match="1 clients"):
        hub.join()
    hub.leave(first)
    hub.join()


@pytest.mark.parametrize("bad", ["", "1", "1-", "-1", "a-1", "1-a", "1.0-0", "+1-0"])
def test_an_id_of_another_form_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="event id"):
        id_key(bad)


@given(
    published=st.integers(0, 30),
    memory=st.integers(1, 10),
    seen=st.lists(st.integers(0, 30), max_size=6),
)
def test_any_sequence_of_leaving_and_resuming_sees_every_event_once_or_the_state(
    published: int, memory: int, seen: list[int]
) -> None:
    async def scenario() -> None:
        hub = make(memory=memory)
        known: list[str] = []
        last: str | None = None
        pauses = sorted(number for number in seen if number <= published)
        for number in range(published + 1):
            if number:
                hub.publish(message(number))
            for _ in range(pauses.count(number)):
                client = hub.join(last)
                got = await taken(client)
                hub.leave(client)
                if got[0] == "state":
                    known = [f"{one}-0" for one in range(1, number + 1)]
                else:
                    known += got[1:]
                last = hub.newest
                assert known == [f"{one}-0" for one in range(1, number + 1)]

    asyncio.run(scenario())
