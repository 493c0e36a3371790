"""Spans over the real live path: poller and predictor here, forecaster and board as processes, a sink that listens.

Redis, PostgreSQL, BentoML and the board are real; the feed is a replay whose clock the test turns.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from flows.trace_logs import heard_in_logs
from monitoring.journey_rows import journeys_of_trace
from services.answer import Prediction
from services.broadcast import Broadcast
from services.client import ForecasterClient
from services.store import Store
from services.ticks import TickStream
from services.trace import new_trace, traceparent
from services.trace_spans import exporting
from tests.support.board_process import board_process
from tests.support.live_rig import Rig
from tests.support.otlp_sink import SeenSpan, Sink, otlp_sink
from tests.support.running_forecaster import running_forecaster, small_bundle
from tests.support.servers import PostgresServer, free_port, running_redis
from tests.support.waiting import until

# Span -> what it lies under, and whose it is.
WAY = {
    "poll": ("", "live-path"),
    "queue": ("poll", "live-path"),
    "predict.request": ("poll", "live-path"),
    "predict": ("predict.request", "forecaster"),
    "store": ("predict", "forecaster"),
    "commit": ("poll", "live-path"),
    "broadcast": ("poll", "board"),
}


class TeamlessForecaster:
    """The forecaster's client; the small model knows none of the night's teams."""

    def __init__(self, client: ForecasterClient) -> None:
        self._client = client

    def predict(self, pattern: Sequence[float], **fields: Any) -> Prediction:
        return self._client.predict(pattern, **(fields | {"home": None, "away": None}))


def forecasts(store: Store) -> list[tuple[object, ...]]:
    """What was forecast, without its times and ids."""
    with store.engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT f.game_id, f.minute, f.revision, f.persistence, p.point, p.lower, p.upper, p.pattern"
                " FROM forecasts f JOIN predictions p ON p.id = f.prediction_id"
                " ORDER BY f.game_id, f.minute, f.revision"
            )
        )
        return [tuple(row) for row in found]


def traces(store: Store) -> dict[int, str]:
    """Minute -> trace id of each forecast."""
    with store.engine.connect() as connection:
        return {row.minute: row.trace_id for row in connection.execute(text("SELECT minute, trace_id FROM forecasts"))}


def whole(sink: Sink, trace_id: str) -> dict[str, SeenSpan]:
    until(lambda: len([span for span in list(sink.spans) if span.trace_id == trace_id]) >= len(WAY))
    return sink.of(trace_id)


def test_one_trace_holds_a_forecasts_way_from_poll_to_broadcast(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    bundle = small_bundle(tmp_path / "bundle", minutes=tuple(range(24)))
    rig = Rig(store, games=1)
    with otlp_sink() as sink, running_redis() as redis:
        env = {"HALFTIME_OTLP_ENDPOINT": sink.url, "REDIS_URL": redis.url, "DATABASE_URL": database_url}
        with (
            running_forecaster(
                tmp_path / "home", bundle, database_url=database_url, HALFTIME_OTLP_ENDPOINT=sink.url
            ) as forecaster,
            board_process(tmp_path / "board.log", wait_for="/readyz", ended_by=signal.SIGTERM, **env),
            ForecasterClient(str(forecaster.http.base_url)) as client,
            exporting(sink.url, "live-path"),
        ):
            rig.forecaster, rig.stream = TeamlessForecaster(client), TickStream(redis.url)  # type: ignore[assignment]
            rig.told = Broadcast(redis.url)  # type: ignore[assignment]
            rig.poller, rig.predictor = rig.new_poller(), rig.new_predictor()
            rig.play(rig.half_s() - 60.0)
            made = traces(store)
            assert {3, 12, 18} <= made.keys()
            seen = {minute: whole(sink, made[minute]) for minute in (3, 12, 18)}
        rig.close()
    for minute, spans in seen.items():
        assert {name: (parent_name(spans, span), span.service) for name, span in spans.items()} == WAY
        for span in spans.values():
            assert span.began_ns <= span.ended_ns
            assert not span.failed
            if span.parent:
                assert span.began_ns >= next(one for one in spans.values() if one.span_id == span.parent).began_ns
        assert {spans[name].said["minute"] for name in ("predict.request", "predict", "commit", "broadcast")} == {
            minute
        }
        assert spans["poll"].said.keys() == {"game_id", "period", "clock_s"}
        assert len({span.said["game_id"] for span in spans.values() if "game_id" in span.said}) == 1
    for row in journeys_of_trace(store.engine, made[18]):
        told = heard_in_logs(tmp_path, row)
        assert told.broadcast_at is not None, "the board's own log has it, without any collector"
        assert told.broadcast_at >= row.committed_at
        predicted = heard_in_logs(tmp_path / "home" / "logs", row)
        assert predicted.made_at is not None
        assert row.asked_at <= predicted.made_at
    polled = {span.trace_id for span in sink.spans if span.name == "poll"}
    assert {span.trace_id for span in sink.spans} == polled, "each poll's trace is its own"


def parent_name(spans: dict[str, SeenSpan], span: SeenSpan) -> str:
    return next((one.name for one in spans.values() if one.span_id == span.parent), "")


@pytest.mark.parametrize("collector", ["dead", "hanging"])
def test_a_collector_that_is_away_changes_no_forecast(
    store: Store, postgres_server: PostgresServer, collector: str
) -> None:
    without = Rig(store, games=1)
    without.play()
    without.close()
    expected = forecasts(store)
    assert len(expected) >= 24
    postgres_server.emptied()
    with otlp_sink(held=True) as sink:
        url = sink.url if collector == "hanging" else f"http://127.0.0.1:{free_port()}"
        with exporting(url, "live-path"):
            rig = Rig(store, games=1)
            rig.play()
            rig.close()
        assert not sink.let_go.is_set(), "nobody waited for it"
    assert forecasts(store) == expected
    assert len(set(traces(store).values())) == len(traces(store)), "traces go on without it"


def test_a_forecaster_whose_collector_is_dead_answers_and_says_so_once(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    bundle = small_bundle(tmp_path / "bundle")
    with running_forecaster(tmp_path / "home", bundle, HALFTIME_OTLP_ENDPOINT=url) as forecaster:
        said = {"traceparent": traceparent(new_trace())}
        with_trace = forecaster.predict(headers=said).raise_for_status().json()
        until(lambda: "cannot be sent" in forecaster.log.read_text())
        without_trace = forecaster.predict().raise_for_status().json()
        assert with_trace["point_forecast"] == without_trace["point_forecast"]
        forecaster.predict(headers=said).raise_for_status()
    assert forecaster.log.read_text().count("cannot be sent") == 1
    assert "opentelemetry" not in forecaster.log.read_text()


def test_a_forecaster_makes_no_span_of_a_request_that_nobody_traces(tmp_path: Path) -> None:
    with otlp_sink() as sink:
        bundle = small_bundle(tmp_path / "bundle")
        with running_forecaster(tmp_path / "home", bundle, HALFTIME_OTLP_ENDPOINT=sink.url) as forecaster:
            forecaster.predict().raise_for_status()
            forecaster.predict(headers={"traceparent": "00-nonsense"}).raise_for_status()
            traced = new_trace()
            forecaster.predict(headers={"traceparent": traceparent(traced)}).raise_for_status()
            until(lambda: sink.spans)
        assert {(span.trace_id, span.name) for span in sink.spans} == {(traced.trace_id, "predict")}, (
            "BentoML's are off"
        )
