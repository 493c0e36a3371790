"""The exporter: ``python -m monitoring.exporter`` serves /metrics on the exporter's port (9090).

Each scrape reads the database and Redis anew and keeps nothing, so one exporter is right for any number of workers and
after any restart. A scrape never fails: with the database away it shows ``halftime_database_up 0`` and no stale figure.
"""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import FrameType

import redis
import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from monitoring.facts import read_facts
from monitoring.families import fact_families, gauge, stream_families
from monitoring.rows import Facts
from monitoring.streams import PREFIX, open_redis, read_streams
from services.database import StoreError, make_engine
from services.settings import Settings, SettingsError, get_settings
from services.telemetry import configure_logging

log = structlog.get_logger("exporter")
STATEMENT_TIMEOUT_S = 3.0
# Prometheus of the local stack gives a scrape 5 s.
DEADLINE_S = 4.0


class DatabaseCollector(Collector):
    """Reads the tables at every scrape, and waits ``deadline_s`` seconds for them at most.

    A server that is frozen answers nothing, not even an error. Then the scrape says that the database is down, instead
    of being late and making Prometheus believe that the exporter is. One reading at a time: those that wait do not
    pile up.
    """

    def __init__(self, engine: Engine, deadline_s: float = DEADLINE_S) -> None:
        self._engine, self._deadline_s = engine, deadline_s
        self._lock = threading.Lock()
        self._reading: Future[Facts] | None = None

    def describe(self) -> list[Metric]:
        """Nothing: registering must not need the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families, or only ``halftime_database_up 0`` when the database cannot be read."""
        began = time.perf_counter()
        try:
            families = list(fact_families(self._facts()))
        except (StoreError, TimeoutError) as error:
            log.warning("scrape without the database", error=str(error) or f"no answer in {self._deadline_s:g} s")
            families = []
        up = float(bool(families))
        yield gauge("halftime_database_up", "1 when the database could be read for this scrape", up)
        yield gauge("halftime_scrape_seconds", "Time this scrape's reading took", time.perf_counter() - began)
        yield from families

    def _facts(self) -> Facts:
        """Raises StoreError, TimeoutError after the deadline."""
        with self._lock:
            if self._reading is None or self._reading.done():
                self._reading = Future()
                # A daemon: one that hangs in a frozen server must not keep the process from ending.
                threading.Thread(target=self._read, args=(self._reading,), name="facts", daemon=True).start()
            reading = self._reading
        return reading.result(self._deadline_s)

    def _read(self, into: Future[Facts]) -> None:
        try:
            into.set_result(read_facts(self._engine))
        except Exception as error:  # noqa: BLE001 - carried to the scrape that waits
            into.set_exception(error)


class RedisCollector(Collector):
    """Reads the streams at every scrape."""

    def __init__(self, client: redis.Redis, prefix: str = PREFIX) -> None:
        self._client, self._prefix = client, prefix

    def describe(self) -> list[Metric]:
        """Nothing: registering must not need Redis."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All stream families, or only ``halftime_redis_up 0`` when Redis cannot be read."""
        try:
            families = list(stream_families(read_streams(self._client, self._prefix)))
        except (redis.RedisError, OSError) as error:
            log.warning("scrape without Redis", error=str(error))
            families = []
        yield gauge("halftime_redis_up", "1 when Redis could be read for this scrape", float(bool(families)))
        yield from families


class DiskCollector(Collector):
    """Asks how full the disk of a folder is at every scrape."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def describe(self) -> list[Metric]:
        """Nothing, as the others."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Size and free bytes; nothing while the folder is not there."""
        try:
            disk = shutil.disk_usage(self._folder)
        except OSError as error:
            log.warning("scrape without the disk", error=str(error))
            return
        yield gauge("halftime_disk_size_bytes", "Size of the disk that holds the data folder", disk.total)
        yield gauge("halftime_disk_free_bytes", "What is free on it", disk.free)


def make_registry(
    engine: Engine, client: redis.Redis | None = None, prefix: str = PREFIX, folder: Path | None = None
) -> CollectorRegistry:
    """A registry of its own, without the process's figures, so that the page is exactly what the stores say; the disk
    of ``folder`` when one is named."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DatabaseCollector(engine))
    if client is not None:
        registry.register(RedisCollector(client, prefix))
    if folder is not None:
        registry.register(DiskCollector(folder))
    return registry


def serve(settings: Settings, stop: threading.Event) -> None:
    """Serve until ``stop`` is set. Raises SettingsError, and OSError when the port is taken."""
    # One connection and no queue: scrapes pile up behind a frozen database only until the pool's own time limit.
    engine = make_engine(
        settings.resolved_database_url,
        application="halftime-exporter",
        pool_size=1,
        max_overflow=0,
        statement_timeout_s=STATEMENT_TIMEOUT_S,
    )
    client = open_redis(settings.resolved_redis_url)
    registry = make_registry(engine, client, folder=settings.home)
    server, thread = start_http_server(settings.exporter_port, settings.host, registry=registry)
    log.info("exporter is up", url=f"http://{settings.host}:{server.server_port}/metrics")
    try:
        stop.wait()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5.0)
        client.close()
        engine.dispose()


def main() -> int:
    """Serve until SIGTERM or SIGINT; 2 when a setting cannot be used, 1 when the port is taken."""
    stop = threading.Event()

    def _stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        settings = get_settings()
        configure_logging(settings.log_level)
        serve(settings, stop)
    except SettingsError as error:
        print(f"exporter: {error}", file=sys.stderr)  # noqa: T201 - logging may not be configured yet
        return 2
    except OSError as error:
        log.error("the exporter cannot listen: free the port or set HALFTIME_EXPORTER_PORT", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
