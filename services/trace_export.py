"""Spans by OpenTelemetry's SDK, sent in batches over OTLP/HTTP. Imported only where an endpoint is set.

A provider of our own, that no library finds: BentoML's spans, Prefect's and MLflow's do not come here, and ours do not
go there. A collector that is away costs its spans, one line in the log, and nothing else: ended spans wait in a queue
that forgets, and a daemon thread sends them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from services.telemetry import mask_secrets
from services.trace import Ids
from services.trace_spans import Kind, Said

TRACES_PATH: Final = "/v1/traces"
SEND_EVERY_MS: Final = 500
BATCH_SPANS: Final = 256
MAX_WAITING: Final = 4096
TRY_S: Final = 2.0
FLUSH_S: Final = 2.0

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final[dict[Kind, SpanKind]] = {
    "internal": SpanKind.INTERNAL,
    "client": SpanKind.CLIENT,
    "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
# They tell every batch that was not sent; we say once that it is so.
_TALKATIVE: Final = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")

log = logging.getLogger(__name__)


class Exporting:
    """Makes the spans of one process; ``endpoint`` is the collector's base URL. Close it, or the last ones are lost."""

    def __init__(self, endpoint: str, service: str) -> None:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        sender = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + TRACES_PATH, timeout=TRY_S)
        # All limits are named, so that no OTEL_* variable meant for somebody else changes them.
        self._waiting = BatchSpanProcessor(
            _SaysOnce(sender, mask_secrets(endpoint)),
            max_queue_size=MAX_WAITING,
            schedule_delay_millis=SEND_EVERY_MS,
            max_export_batch_size=BATCH_SPANS,
            export_timeout_millis=1000 * TRY_S,
        )
        provider = _Provider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.namespace": "halftime", "service.name": service}),
            shutdown_on_exit=False,
            id_generator=(ids := _GivenTrace()),
        )
        provider.add_span_processor(self._waiting)
        self._ids, self._tracer = ids, provider.get_tracer("halftime")

    def begin(self, name: str, parent: Ids | None, kind: Kind, at: datetime | None, said: Said) -> _Begun:
        """A span under ``parent``; without a span there it is the first one of its trace."""
        context = Context()
        if parent is not None and parent.span_id is not None:
            flags = TraceFlags(TraceFlags.SAMPLED)
            above = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
            context = trace.set_span_in_context(NonRecordingSpan(above), context)
        self._ids.wanted.trace_id = None if parent is None else parent.trace_id
        made = self._tracer.start_span(
            name,
            context,
            _KINDS[kind],
            {key: value for key, value in said.items() if value is not None},
            start_time=_ns(at),
        )
        return _Begun(made)

    def close(self) -> None:
        """Send what waits, for ``FLUSH_S`` at most."""
        # The SDK's own shutdown takes as long as the collector does.
        ending = threading.Thread(target=self._waiting.shutdown, name="spans-end", daemon=True)
        ending.start()
        ending.join(FLUSH_S)
        if ending.is_alive():
            log.warning("the collector of traces takes too long: the last spans are given up")


class _Begun:
    """A span of the SDK as ``services.trace_spans`` has it."""

    def __init__(self, made: trace.Span) -> None:
        self._made = made
        context = made.get_span_context()
        self.ids = Ids(f"{context.trace_id:032x}", f"{context.span_id:016x}")

    def fail(self, error: BaseException) -> None:
        """It ended by an error, whose class and sentence the span keeps."""
        self._made.set_attribute("error.type", type(error).__name__)
        self._made.set_status(StatusCode.ERROR, mask_secrets(str(error)))

    def end(self, at: datetime | None = None) -> None:
        """It is over."""
        self._made.end(_ns(at))


class _Provider(TracerProvider):
    """OTEL_SDK_DISABLED keeps BentoML from tracing every request; these spans have a setting of their own."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._disabled = False


class _GivenTrace(RandomIdGenerator):
    """The first span of a trace takes the trace's id, which was given away before any span was made."""

    def __init__(self) -> None:
        self.wanted = threading.local()

    def generate_trace_id(self) -> int:
        given: str | None = self.wanted.trace_id
        return super().generate_trace_id() if given is None else int(given, 16)


class _SaysOnce(SpanExporter):
    """Says once that spans are lost, and once that they arrive again."""

    def __init__(self, sender: SpanExporter, endpoint: str) -> None:
        self._sender, self._endpoint = sender, endpoint
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._sender.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                log.warning(
                    "traces cannot be sent to %s: their spans are lost, and nothing else;"
                    " start the collector or unset HALFTIME_OTLP_ENDPOINT",
                    self._endpoint,
                )
            self._lost += len(spans)
        elif self._lost:
            log.warning("traces are sent again; %d spans were lost", self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._sender.shutdown()


def _ns(at: datetime | None) -> int | None:
    """Nanoseconds since 1970, to the microsecond; a float would not hold them."""
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1) * 1000
