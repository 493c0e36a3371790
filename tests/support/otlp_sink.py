"""A collector of traces for tests: takes OTLP over HTTP on the loopback and keeps every span, decoded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


@dataclass(frozen=True)
class SeenSpan:
    """A span as it arrived; ``parent`` is "" for the first one of a trace, times are nanoseconds since 1970."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    began_ns: int
    ended_ns: int
    failed: bool
    said: dict[str, object]


@dataclass
class Sink:
    """``url`` is what HALFTIME_OTLP_ENDPOINT names; a sink that is ``held`` answers nobody until it is let go.

    ``refused`` counts the batches that it answered with a ``status`` other than 200.
    """

    url: str
    status: int = 200
    refused: int = 0
    spans: list[SeenSpan] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def of(self, trace_id: str) -> dict[str, SeenSpan]:
        """The spans of a trace by name; AssertionError when one came twice."""
        found = [span for span in list(self.spans) if span.trace_id == trace_id]
        named = {span.name: span for span in found}
        assert len(named) == len(found), [span.name for span in found]
        return named


@contextmanager
def otlp_sink(*, held: bool = False, status: int = 200) -> Iterator[Sink]:
    """A running sink that answers ``status`` until it is changed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.arrived.set()
            sink.let_go.wait()
            status = sink.status if self.path == "/v1/traces" else 404
            if status == 200:
                sink.spans.extend(_decoded(body))
            else:
                sink.refused += 1
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test says what went wrong."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sink = Sink(f"http://127.0.0.1:{server.server_address[1]}", status)
    if not held:
        sink.let_go.set()
    thread = threading.Thread(target=server.serve_forever, name="otlp-sink", daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        sink.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _decoded(body: bytes) -> Iterator[SeenSpan]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        named = {each.key: each.value.string_value for each in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield SeenSpan(
                    named["service.name"],
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    span.status.code == 2,
                    {each.key: _value(each.value) for each in span.attributes},
                )


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)
