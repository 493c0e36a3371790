"""What a worker counts. Labels are few and known beforehand, so no sender can make them grow.

With several workers prometheus_client writes to PROMETHEUS_MULTIPROC_DIR, which BentoML sets; the page then sums over
all of them. Coverage, error and everything else that must outlive a process comes from the database, not from here.
"""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from bentos.answering import ServedModel
from services.spool import SpoolStats

ROUTES = (
    "/predict",
    "/record_actual",
    "/metrics/summary",
    "/model",
    "/health",
    "/livez",
    "/readyz",
    "/metrics",
    "/docs",
)
METHODS = ("GET", "POST", "HEAD")
POSTED = ("/predict", "/record_actual")
# What alerts and dashboard take rates of: a failure, and a request that was refused with a sentence.
FAILED = ("500", "503")
REFUSED_CODES = ("400", "401", "403", "404", "409", "413", "415", "421")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS = Counter("halftime_http_requests_total", "Requests answered", ["route", "method", "code"])
LATENCY = Histogram(
    "halftime_http_request_seconds",
    "From the first byte in to the last byte out, every status",
    ["route"],
    buckets=SECONDS,
)
IN_FLIGHT = Gauge("halftime_http_requests_in_flight", "Requests being answered now", multiprocess_mode="livesum")
PREDICTIONS = Counter("halftime_predictions_total", "Predictions served", ["minute"])
SPOOL_WAITING = Gauge("halftime_spool_rows", "Predictions not yet in the database", multiprocess_mode="livesum")
SPOOL_OLDEST = Gauge("halftime_spool_oldest_seconds", "Age of the oldest of them", multiprocess_mode="livemax")
SPOOL_REJECTED = Gauge("halftime_spool_rejected_rows", "Rows the database refused", multiprocess_mode="livesum")
# Named as the exporter's, so that one alert watches every disk that predictions lie on.
DISK_SIZE = Gauge("halftime_disk_size_bytes", "Size of the disk that holds the spool", multiprocess_mode="livemin")
DISK_FREE = Gauge("halftime_disk_free_bytes", "What is free on it", multiprocess_mode="livemin")
MODEL = Gauge(
    "halftime_model_info", "1 for the version being served", ["version", "digest"], multiprocess_mode="livemax"
)
SWAPS = Counter("halftime_model_swaps_total", "Models that took the place of another")
REFUSED = Gauge(
    "halftime_model_refused", "1 while the registry's champion cannot be loaded", multiprocess_mode="livemax"
)

FALLBACK = Gauge(
    "halftime_model_fallback", "1 while persistence answers in place of a model", multiprocess_mode="livemax"
)
MOVES = Counter("halftime_calibration_moves_total", "Times that calibration moved over newly settled games")
MOVED_OVER = Gauge(
    "halftime_calibration_games_since", "Games that calibration has moved over since the version was made",
    multiprocess_mode="livemax",
)  # fmt: skip


def start_at_zero() -> None:
    """Have the series that rates are taken of there before anything is counted: a series that is born at 1 has not
    risen, so its first failure would be seen by nobody."""
    for route in ROUTES:
        LATENCY.labels(route)
        for code in FAILED + (REFUSED_CODES if route in POSTED else ()):
            REQUESTS.labels(route, "POST" if route in POSTED else "GET", code)


start_at_zero()


def observe_request(path: str, method: str, code: int, seconds: float) -> None:
    """Count one answered request."""
    route = path if path in ROUTES else "other"
    REQUESTS.labels(route, method if method in METHODS else "other", str(code)).inc()
    LATENCY.labels(route).observe(seconds)


def observe_model(old: ServedModel | None, new: ServedModel) -> None:
    """Show which version is being served."""
    if old is not None:
        MODEL.labels(old.version, old.digest).set(0)
        SWAPS.inc()
        MOVED_OVER.set(new.games_since)
    MODEL.labels(new.version, new.digest).set(1)


def observe_move(model: ServedModel) -> None:
    """Count a calibration that moved."""
    MOVES.inc()
    MOVED_OVER.set(model.games_since)


def observe_look(*, refused: bool, fallback: bool) -> None:
    """Show whether the last look found a champion that cannot be served in place of the present one, and whether
    anything serves at all."""
    REFUSED.set(1 if refused else 0)
    FALLBACK.set(1 if fallback else 0)


def observe_spool(stats: SpoolStats) -> None:
    """Show what waits, and the room that is left for more."""
    SPOOL_WAITING.set(stats.waiting)
    SPOOL_OLDEST.set(stats.oldest_s)
    SPOOL_REJECTED.set(stats.rejected)
    if stats.disk_size is not None and stats.disk_free is not None:
        DISK_SIZE.set(stats.disk_size)
        DISK_FREE.set(stats.disk_free)


def exposition() -> tuple[bytes, str]:
    """The page for Prometheus and its content type."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def forget_dead_workers() -> None:
    """A worker that was killed leaves its live gauges behind: drop those of processes that are gone."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is None:
        return
    for path in Path(folder).glob("gauge_live*_*.db"):
        pid = path.stem.rsplit("_", 1)[-1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            multiprocess.mark_process_dead(int(pid))  # type: ignore[no-untyped-call]
