"""Spans: nothing at all unless a collector is named, and then one each, under what asked for it."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from services.settings import ROOT, Settings
from services.trace import HERE, Ids, new_trace, traced
from services.trace_spans import MAX_LATER, Later, exporting, note_span, span
from tests.support.otlp_sink import otlp_sink
from tests.support.servers import free_port
from tests.support.waiting import until

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PARENT = Ids("a" * 32, "b" * 16)
NOON_NS = 1_767_614_400 * 10**9


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        # redis-py brings a part of the SDK along, and BentoML all of it, whatever is set.
        ("flows.poller, flows.predictor, services.board", ("opentelemetry.exporter", "opentelemetry.sdk.trace")),
        ("bentos.forecaster", ("opentelemetry.exporter", "services.trace_export")),
    ],
)
def test_without_a_collector_nothing_that_makes_or_sends_spans_is_imported(
    modules: str, absent: tuple[str, ...]
) -> None:
    code = (
        f"import sys, {modules}\n"
        "from services.trace import new_trace\n"
        "from services.trace_spans import exporting, span\n"
        "with exporting(None, 'test'), span('poll', new_trace()): pass\n"
        f"print([name for name in sys.modules if name.startswith({absent!r})])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_a_collector_a_span_is_the_ids_it_was_given() -> None:
    with span("poll", PARENT) as here:
        assert here == HERE.get() == PARENT
    with span("poll", None) as here:
        assert here is HERE.get() is None
    note_span("queue", PARENT, NOON, NOON)
    later = Later("store")
    with traced(PARENT):
        later.begin("row")
    later.end(["row"])


def test_spans_lie_under_each_other_in_one_trace() -> None:
    root = new_trace()
    with otlp_sink() as sink:
        with exporting(sink.url, "test"):
            with span("poll", root, {"game_id": "1", "clock_s": None}, kind="producer", began_at=NOON) as poll:
                assert poll is not None
                with span("predict.request", poll) as request:
                    pass
            note_span("queue", poll, NOON, NOON + timedelta(microseconds=1500), kind="consumer")
        seen = sink.of(root.trace_id)
    assert {name: each.parent for name, each in seen.items()} == {
        "poll": "",
        "predict.request": poll.span_id,
        "queue": poll.span_id,
    }
    assert request == Ids(root.trace_id, seen["predict.request"].span_id)
    assert (seen["queue"].began_ns, seen["queue"].ended_ns) == (NOON_NS, NOON_NS + 1_500_000)
    assert (seen["poll"].began_ns, seen["poll"].said) == (NOON_NS, {"game_id": "1"})
    assert {each.service for each in seen.values()} == {"test"}


def test_what_breaks_inside_a_span_is_said_by_it_and_goes_on() -> None:
    root = new_trace()
    with otlp_sink() as sink:
        with exporting(sink.url, "test"), pytest.raises(LookupError), span("commit", root):
            raise LookupError("postgresql://user:secret@host/x is not there")
        broken = sink.of(root.trace_id)["commit"]
    assert broken.failed
    assert broken.said == {"error.type": "LookupError"}


def test_bentoml_may_be_told_to_trace_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    root = new_trace()
    with otlp_sink() as sink:
        with exporting(sink.url, "test"), span("predict", root):
            pass
        assert sink.of(root.trace_id)


def test_a_span_of_two_clocks_that_disagree_does_not_end_before_it_began() -> None:
    with otlp_sink() as sink:
        with exporting(sink.url, "test"):
            note_span("broadcast", PARENT, NOON, NOON - timedelta(seconds=1))
        [seen] = sink.of(PARENT.trace_id).values()
    assert seen.began_ns == seen.ended_ns == NOON_NS


def test_a_wait_ends_in_another_thread_under_what_began_it_and_none_is_kept_for_ever() -> None:
    later = Later("store")
    with otlp_sink() as sink:
        with exporting(sink.url, "test"):
            with traced(PARENT):
                for key in range(MAX_LATER + 1):
                    later.begin(key)
            later.end([0, 7, "somebody else's"])
            later.end([7])
        [seen] = sink.of(PARENT.trace_id).values()
    assert (seen.name, seen.parent) == ("store", PARENT.span_id)


def test_a_dead_collector_is_told_of_without_its_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with exporting(f"http://user:secret@127.0.0.1:{free_port()}", "test"):
        note_span("queue", PARENT, NOON, NOON)
        until(lambda: "cannot be sent" in caplog.text)
    assert "secret" not in caplog.text
    assert {record.name for record in caplog.records} == {"services.trace_export"}


def test_a_collector_that_refuses_is_told_of_once_and_once_when_it_takes_spans_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    with otlp_sink(status=400) as sink, exporting(sink.url, "test"):
        for batch in range(1, 4):
            note_span("queue", PARENT, NOON, NOON)
            until(lambda: sink.refused >= batch)  # noqa: B023 - waited for within the turn
        sink.status = 200
        note_span("queue", PARENT, NOON, NOON)
        until(lambda: "sent again" in caplog.text)
    assert [record.getMessage()[:22] for record in caplog.records] == [
        "traces cannot be sent ",
        "traces are sent again;",
    ]
    assert "3 spans were lost" in caplog.text


def test_a_collector_that_never_answers_does_not_hold_the_end_up(caplog: pytest.LogCaptureFixture) -> None:
    with otlp_sink(held=True) as sink:
        with exporting(sink.url, "test"):
            note_span("queue", PARENT, NOON, NOON)
            sink.arrived.wait()
        assert not sink.let_go.is_set()
    # Whichever comes first: the one try, or the wait for all of them.
    assert "the last spans are given up" in caplog.text or "traces cannot be sent" in caplog.text


def test_a_collector_that_hangs_holds_up_no_span_and_the_queue_forgets() -> None:
    with otlp_sink(held=True) as sink, exporting(sink.url, "test"):
        for _ in range(10_000):
            with span("poll", new_trace()):
                pass
        assert not sink.let_go.is_set()
        assert not sink.spans


def test_an_address_that_is_none_is_refused_without_repeating_a_password() -> None:
    with pytest.raises(ValueError, match=r"HALFTIME_OTLP_ENDPOINT must start with http") as refused:
        Settings(otlp_endpoint="grpc://user:secret@collector:4317")
    assert "secret" not in str(refused.value)
    assert Settings(otlp_endpoint="").otlp_endpoint is None
