"""What the live loops count for Prometheus: a page of the poller and one of the predictor, each served by its process.

Each has a registry of its own, so a page shows its loop and nothing else. Labels are few and known beforehand, so no
sender can make them grow, and all are there from the start: a rate sees the first failure too. Counts begin at zero
with each process; what must outlive one comes from the tables. Seconds are wall seconds, also of a replay.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal, Protocol, get_args
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.settings import Settings

log = structlog.get_logger("metrics")

# The first trouble of a poll: the feed's states (services.feed_errors), and Redis not taking a tick.
NOT_QUEUED = "not_queued"
OUTCOMES = (
    "ok", "blocked", "throttled", "server_error", "timeout", "unreachable", "gone", "truncated", "malformed",
    "too_large", "unexpected", NOT_QUEUED, "other",
)  # fmt: skip
Failure = Literal["stream", "database", "forecaster", "row_refused", "not_told"]
HOPS = ("feed_to_queue", "queue_to_forecast", "forecast_to_commit")
LAST_HOP = "commit_to_broadcast"
POLL_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
HOP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class PollFigures(Protocol):
    """A poller's own counts, read when scraped; ``last_poll_at`` is the last scoreboard's, None before the first."""

    @property
    def play_by_plays(self) -> int: ...
    @property
    def ticks(self) -> int: ...
    @property
    def stale(self) -> int: ...
    @property
    def late_polls(self) -> int: ...
    @property
    def last_poll_at(self) -> datetime | None: ...


class PollerMetrics(Collector):
    """The poller's page over ``figures``; ``now`` is the clock of ``last_poll_at``."""

    def __init__(self, figures: PollFigures, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._figures, self._now = figures, now
        self.registry = CollectorRegistry()
        self._polls = Counter("halftime_polls", "Polls, by their first trouble", ["outcome"], registry=self.registry)
        for outcome in OUTCOMES:
            self._polls.labels(outcome)
        self._seconds = Histogram(
            "halftime_poll_seconds",
            "From a poll's request for the scoreboard to its end",
            buckets=POLL_SECONDS,
            registry=self.registry,
        )
        self.registry.register(self)

    def polled(self, outcome: str, seconds: float) -> None:
        """Count a poll that has ended."""
        self._polls.labels(outcome if outcome in OUTCOMES else "other").inc()
        self._seconds.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """The figures as of now; no age of the feed before it has answered once."""
        seen = self._figures
        asked = "Games whose play-by-play was asked for"
        yield CounterMetricFamily("halftime_play_by_plays", asked, value=seen.play_by_plays)
        yield CounterMetricFamily("halftime_ticks_published", "New states that Redis took", value=seen.ticks)
        yield CounterMetricFamily("halftime_stale_snapshots", "Older copies that were left aside", value=seen.stale)
        late = "Polls that ended after the next one was due"
        yield CounterMetricFamily("halftime_late_polls", late, value=seen.late_polls)
        if (at := seen.last_poll_at) is not None:
            age_s = max(0.0, (self._now() - at).total_seconds())
            yield GaugeMetricFamily("halftime_feed_age_seconds", "Since the last scoreboard that was read", value=age_s)


class PredictorMetrics:
    """The predictor's page."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._issued = Counter(
            "halftime_forecasts_issued", "Forecasts this process committed", ["minute_kind"], registry=self.registry
        )
        self._settlements = Counter(
            "halftime_settlements_made", "Settlements of official forecasts", registry=self.registry
        )
        self._failures = Counter(
            "halftime_predictor_failures", "Troubles by what gave them", ["kind"], registry=self.registry
        )
        self._hops = Histogram(
            "halftime_hop_seconds",
            "Hops of the forecasts this process committed, of every minute",
            ["hop"],
            buckets=HOP_SECONDS,
            registry=self.registry,
        )
        for kind in ("official", "other"):
            self._issued.labels(kind)
        for failure in get_args(Failure):
            self._failures.labels(failure)
        for hop in (*HOPS, LAST_HOP):
            self._hops.labels(hop)

    def issued(
        self,
        *,
        official: bool,
        polled_at: datetime | None,
        queued_at: datetime | None,
        forecast_at: datetime,
        committed_at: datetime,
    ) -> None:
        """Count a forecast that this process committed, and the hops whose two ends are known."""
        self._issued.labels("official" if official else "other").inc()
        for hop, (begun, ended) in zip(HOPS, pairwise((polled_at, queued_at, forecast_at, committed_at)), strict=True):
            if begun is not None and ended is not None:
                self._hop(hop, begun, ended)

    def told(self, committed_at: datetime, at: datetime) -> None:
        """Note when a forecast was in the stream of events."""
        self._hop(LAST_HOP, committed_at, at)

    def settled(self, count: int) -> None:
        """Count settlements of official forecasts."""
        self._settlements.inc(count)

    def failed(self, kind: Failure) -> None:
        """Count one try that failed."""
        self._failures.labels(kind).inc()

    def _hop(self, hop: str, begun: datetime, ended: datetime) -> None:
        # The database's clock is another machine's: a hop shorter than nothing counts as none.
        self._hops.labels(hop).observe(max(0.0, (ended - begun).total_seconds()))


class MetricsServer:
    """A page that is being served; ``url`` is where."""

    def __init__(self, server: WSGIServer, thread: threading.Thread, host: str) -> None:
        self._server, self._thread = server, thread
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/metrics"

    def close(self) -> None:
        """Stops serving and lets the port go, within a second."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5.0)


def serve(registry: CollectorRegistry, host: str, port: int) -> MetricsServer:
    """Serves ``registry`` in threads of its own; port 0 is a free one. Raises OSError when the port cannot be had."""
    try:
        server, thread = start_http_server(port, host, registry=registry)
    except OverflowError as error:
        raise OSError(f"{port} is no port") from error
    return MetricsServer(server, thread, host)


@contextmanager
def served(
    registry: CollectorRegistry, settings: Settings, field: Literal["poller_metrics_port", "predictor_metrics_port"]
) -> Iterator[MetricsServer | None]:
    """Serves ``registry`` on the port that ``field`` of ``settings`` names, while the block runs.

    A port that cannot be had is logged, and no more (None): the loop goes on without its page.
    """
    port = settings.poller_metrics_port if field == "poller_metrics_port" else settings.predictor_metrics_port
    try:
        server = serve(registry, settings.host, port)
    except OSError as error:
        what = f"no metrics are served: free the port or set HALFTIME_{field.upper()}"
        log.error(what, host=settings.host, port=port, error=str(error))
        yield None
        return
    log.info("metrics are served", url=server.url)
    try:
        yield server
    finally:
        server.close()
