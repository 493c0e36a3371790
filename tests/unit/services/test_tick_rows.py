"""Ticks and events as the stream's fields: nothing is lost, nothing else is accepted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.game import Play, Snapshot, Status
from services import broadcast, tick_rows
from services.broadcast import Event, EventError, gap, place
from services.tick_rows import Tick, TickError
from services.trace import Ids

MOMENTS = st.datetimes(
    datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])
)
IDS = st.tuples(st.integers(0, 2**40), st.integers(0, 1000)).map(lambda pair: f"{pair[0]}-{pair[1]}")


def snapshot(t: float = 100.0) -> Snapshot:
    return Snapshot("0022200781", "BOS", "PHX", Status.LIVE, 1, t, False, (Play(1, 1, 12.5, 2, 0),))


@given(
    t=st.floats(0, 720), polled_at=MOMENTS, tip_at=st.none() | MOMENTS, queued_at=MOMENTS,
    status_text=st.text(st.characters(blacklist_categories=["Cs"]), max_size=20),
)  # fmt: skip
def test_decoding_gives_back_what_was_encoded(
    t: float, polled_at: datetime, tip_at: datetime | None, queued_at: datetime, status_text: str
) -> None:
    sent = Tick("0022200781", snapshot(t), date(2023, 2, 3), "recorded", polled_at, tip_at, status_text, queued_at)
    assert tick_rows.decode(tick_rows.encode(sent, queued_at)) == sent


@given(
    field=st.sampled_from(["game_id", "snapshot", "digest", "league_date", "polled_at"]), rubbish=st.text(max_size=30)
)
def test_a_changed_field_is_refused_or_harmless(field: str, rubbish: str) -> None:
    moment = datetime(2023, 2, 3, tzinfo=UTC)
    fields = tick_rows.encode(Tick("0022200781", snapshot(), date(2023, 2, 3), "recorded", moment), moment)
    try:
        read = tick_rows.decode(fields | {field: rubbish})
    except TickError:
        return
    assert (read.game_id, read.snapshot) == ("0022200781", snapshot()), "a state that was not sent is never accepted"


def traced_fields(trace: Ids | None) -> dict[str, str]:
    moment = datetime(2023, 2, 3, tzinfo=UTC)
    sent = Tick("0022200781", snapshot(), date(2023, 2, 3), "recorded", moment, trace=trace)
    return tick_rows.encode(sent, moment)


@pytest.mark.parametrize("trace", [None, Ids("a" * 32), Ids("a" * 32, "b" * 16)])
def test_a_tick_carries_its_trace_and_the_span_of_its_poll(trace: Ids | None) -> None:
    assert tick_rows.decode(traced_fields(trace)).trace == trace


def test_a_tick_of_an_older_release_is_read_with_what_it_has() -> None:
    fields = traced_fields(Ids("a" * 32, "b" * 16))
    del fields["span_id"]
    assert tick_rows.decode(fields).trace == Ids("a" * 32)
    del fields["trace_id"]
    assert tick_rows.decode(fields).trace is None


@given(trace_id=st.text(max_size=40), span_id=st.text(max_size=20))
def test_malformed_ids_cost_a_tick_its_trace_and_nothing_else(trace_id: str, span_id: str) -> None:
    fields = traced_fields(None)
    read = tick_rows.decode(fields | {"trace_id": trace_id, "span_id": span_id})
    assert (read.trace, read.snapshot) == (None, snapshot())


def test_a_missing_field_is_named() -> None:
    moment = datetime(2023, 2, 3, tzinfo=UTC)
    fields = tick_rows.encode(Tick("0022200781", snapshot(), date(2023, 2, 3), "recorded", moment), moment)
    del fields["league_date"]
    with pytest.raises(TickError, match="league_date"):
        tick_rows.decode(fields)


@given(
    at=MOMENTS,
    data=st.dictionaries(
        st.text(max_size=8), st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    ),
)
def test_events_survive_the_stream(at: datetime, data: dict[str, object]) -> None:
    sent = Event("score", "0022200781", at, data, "5-0")
    assert broadcast.decode("5-0", broadcast.encode(sent)) == sent


def test_an_event_carries_the_span_that_its_broadcast_belongs_under() -> None:
    at = datetime(2023, 2, 3, tzinfo=UTC)
    for trace, kept in ((Ids("a" * 32, "b" * 16), Ids("a" * 32, "b" * 16)), (Ids("a" * 32), None), (None, None)):
        fields = broadcast.encode(Event("forecast", "0022200781", at, {}, trace=trace))
        assert broadcast.decode("5-0", fields).trace == kept
    assert broadcast.decode("5-0", fields | {"traceparent": "00-nonsense"}).trace is None


@given(IDS, IDS, IDS)
def test_a_gap_is_seen_exactly_outside_of_what_the_stream_holds(after: str, one: str, other: str) -> None:
    oldest, latest = sorted((one, other), key=place)
    expected = place(after) != (0, 0) and not place(oldest) <= place(after) <= place(latest)
    assert gap(after, oldest, latest) == expected


@given(st.text(max_size=12))
def test_places_are_ids_and_nothing_else(text: str) -> None:
    try:
        milliseconds, sequence = place(text)
    except EventError:
        return
    head, _, tail = text.partition("-")
    assert (int(head), int(tail)) == (milliseconds, sequence)
