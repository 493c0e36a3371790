"""The stack that a drill puts its faults into: all real, at the pace it has in use, with a day of quiet behind it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis

from infra import prometheus, services_table
from infra.local import LocalStack
from infra.service import State
from services.registry import Registry
from services.settings import Settings
from services.store import Store
from tests.drills.steered import SteeredFeed, steered_feed
from tests.drills.watch import Expected, Record, SideEffect, Watch
from tests.support.receiver import Prefect, receiving
from tests.support.running_forecaster import PATTERN, small_bundle
from tests.support.running_prometheus import Prometheus
from tests.support.servers import (
    PostgresServer,
    free_port,
    running_mlflow,
    running_postgres,
    running_redis,
    temporary_folder,
)
from tests.support.waiting import until

NIGHT = date(2023, 3, 10)
# A game at 6:00 of its second quarter after so many feed seconds; each is live from three quarters of an hour before.
MARKS_S = (1200.0, 3900.0, 6600.0, 9300.0)
PORTS = (
    "forecaster",
    "board",
    "exporter",
    "poller_metrics",
    "predictor_metrics",
    "alerts",
    "alertmanager",
    "prometheus",
)
SERVICES = ("forecaster", "exporter", "predictor", "poller", "alertmanager", "prometheus")
DISK = "1g"
QUIET_S = 6 * 3600


@dataclass
class Fault:
    """A fault that is in force; the alerts it must bring about."""

    drill: Drill
    text: str
    alerts: list[Expected]
    within_s: float

    def seen(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Waits until every alert fires; ``meanwhile`` is called once a second."""
        deadline = time.monotonic() + self.within_s
        for alert in self.alerts:
            while alert.fired_at is None:
                if (firing := self.drill.record.watch.firing(alert)) is not None:
                    alert.fired_at = firing.began_at
                    self.drill.record.say(f"  {alert.name} fires after {alert.row()['fired_s']} s: {self.text}")
                    break
                assert time.monotonic() < deadline, f"{alert.name} did not fire in {self.within_s:.0f} s: {self.text}"
                meanwhile()
                time.sleep(1.0)


@dataclass
class Drill:
    """Everything that runs."""

    settings: Settings
    stack: LocalStack
    store: Store
    feed: SteeredFeed
    postgres: PostgresServer
    redis: redis.Redis
    registry: Registry
    prometheus: Prometheus
    record: Record
    bundles: Path

    @contextlib.contextmanager
    def fault(
        self, text: str, *names: str, within_s: float, also: tuple[str, ...] = (), **labels: str
    ) -> Iterator[Fault]:
        """A fault that lasts as long as the block. ``also`` names alerts that may fire beside those it is about."""
        at = datetime.now(UTC)
        alerts = [Expected(name, text, at, labels) for name in names]
        firing = self.record.watch.names()
        assert not firing & set(names), f"{firing} fire already"
        self.record.expected += alerts
        self.record.say(text)
        beside = SideEffect(also, at)
        self.record.side_effects.append(beside)
        yield Fault(self, text, alerts, within_s)
        healed_at = datetime.now(UTC)
        for alert in alerts:
            alert.healed_at = healed_at
        # What a fault brings about may be noticed later: rules look back a quarter of an hour.
        beside.ended_at = healed_at + timedelta(minutes=16)

    def cleared(self, within_s: float) -> None:
        """Waits until no alert of a healed fault fires any more, and notes since when."""
        deadline = time.monotonic() + within_s
        for alert in self.record.expected:
            until(lambda alert=alert: self.record.watch.firing(alert) is None, max(1.0, deadline - time.monotonic()))
            ended = [one.ended_at for one in self.record.watch.seen if alert.is_of(one.name, one.labels)]
            # It may have fired again since, beside another fault.
            healed_at = alert.healed_at or alert.injected_at
            alert.cleared_at = min((at for at in ended if at is not None and at >= healed_at), default=None)

    def told(self) -> None:
        """Notes when the receiver was told of each alert."""
        rows = sorted(self.store.alert_history(limit=1000), key=lambda row: row.received_at or row.starts_at)
        for alert in self.record.expected:
            of = [row for row in rows if row.status == "firing" and alert.is_of(row.alertname, row.labels)]
            times = [row.received_at for row in of if row.received_at and row.received_at >= alert.injected_at]
            alert.told_at = times[0] if times else None

    def processes(self, service: str) -> list[psutil.Process]:
        """A service's process and all below it, once it runs."""
        until(lambda: self.state(service) == State.READY, 60.0)
        found = self.stack.status().service(service)
        assert found is not None
        assert found.pid is not None
        process = psutil.Process(found.pid)
        return [process, *process.children(recursive=True)]

    def state(self, service: str) -> str | None:
        """State of a service of the stack."""
        found = self.stack.status().service(service)
        return None if found is None else found.state

    @contextlib.contextmanager
    def frozen(self, processes: list[psutil.Process]) -> Iterator[None]:
        """These processes hang, all at once, until the end of the block."""
        signal_all(processes, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_all(processes, signal.SIGCONT)

    def predict(self, timeout_s: float = 30.0) -> int:
        """One request for a forecast that is nobody's; its status."""
        answer = httpx.post(f"{self.settings.forecaster_url}/predict", json={"pattern": PATTERN}, timeout=timeout_s)
        return answer.status_code

    def value(self, query: str) -> float:
        """The greatest value a query has now; NaN when it has none."""
        return max((value for _, value in self.prometheus.ask(query)), default=float("nan"))

    def scrape_also(self, *addresses: str) -> None:
        """Forecasters that Prometheus asks beside the stack's own."""
        beside_targets(self.settings).write_text(json.dumps([{"targets": list(addresses)}]), encoding="utf-8")


def signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Sends a signal to those that still live."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            os.kill(process.pid, number)


def beside_targets(settings: Settings) -> Path:
    """File that names further forecasters to scrape; read again whenever it changes."""
    return prometheus.folder(settings) / "beside.json"


def write_prometheus(settings: Settings) -> None:
    """The stack's own configuration, with the further forecasters, over a past without an event."""
    path = prometheus.write_prometheus(settings)
    config = prometheus.prometheus_config(settings)
    for job in config["scrape_configs"]:
        if job["job_name"] == "halftime-forecaster":
            job["file_sd_configs"] = [{"files": [str(beside_targets(settings))], "refresh_interval": "1s"}]
    beside_targets(settings).write_text("[]", encoding="utf-8")
    path.write_text(json.dumps(config), encoding="utf-8")
    data = prometheus.folder(settings) / "data"
    if not any(data.iterdir()):
        plant_quiet(settings, data)


def plant_quiet(settings: Settings, data: Path) -> None:
    """What Prometheus would hold had the stack been up for six hours without a game: rules that look back need it."""
    target = prometheus.targets(settings)
    series: dict[str, tuple[Mapping[str, str], float]] = {
        name: ({"job": "halftime-exporter", "instance": target["halftime-exporter"]}, value)
        for name, value in (("halftime_database_up", 1.0), ("halftime_redis_up", 1.0), ("nba_active_games", 0.0))
    }
    now, lines = int(time.time()), []
    for name, (labels, value) in series.items():
        lines.append(f"# TYPE {name} gauge")
        text = ",".join(f'{key}="{one}"' for key, one in labels.items())
        lines += [f"{name}{{{text}}} {value:g} {at}" for at in range(now - QUIET_S, now - 30, 30)]
    file = data.parent / "quiet.openmetrics"
    file.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(file), str(data)]
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A disk of its own for a folder, which a drill may fill; whether it could be had (root may mount one)."""
    folder.mkdir()
    had = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "halftime-drill", str(folder)],
            check=False, capture_output=True,
        ).returncode == 0
    )  # fmt: skip
    try:
        yield had
    finally:
        if had:
            subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


@contextlib.contextmanager
def running_drill() -> Iterator[Drill]:
    """The whole stack on a night of simulated games, and the watch over its alerts."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("drill"))
        stack.enter_context(small_disk(folder / "home"))
        postgres = stack.enter_context(running_postgres())
        redis_server = stack.enter_context(running_redis())
        mlflow = stack.enter_context(running_mlflow())
        feed = stack.enter_context(steered_feed(NIGHT, MARKS_S))
        url = postgres.emptied()
        given: dict[str, Any] = {f"{name}_port": free_port() for name in PORTS}
        given |= {"home": folder / "home", "data": None, "database_url": url, "redis_url": redis_server.url}
        given |= {"mlflow_tracking_uri": mlflow, "prefect_api_url": f"http://127.0.0.1:{free_port()}/api"}
        given |= {"feed": "replay", "feed_base_url": feed.url, "replay_speed": 1.0}
        settings = Settings(_env_file=None, **given)
        registry = Registry(mlflow, settings.model_name, folder / "cache")
        stack.callback(registry.close)
        first = registry.register(small_bundle(folder / "bundle-1", seed=1, minutes=tuple(range(24))))
        registry.set_alias("champion", first.version)
        store = stack.enter_context(Store.open(url, application="halftime-drill"))
        stack.enter_context(receiving(store, settings, Prefect()))
        services = [
            replace(one, prepare=lambda: write_prometheus(settings)) if one.name == "prometheus" else one
            for one in services_table.build(settings, SERVICES)
        ]
        running = stack.enter_context(LocalStack(settings, SERVICES, services=services))
        asked = Prometheus(f"http://{prometheus.prometheus_address(settings)}")
        stack.callback(asked.close)
        watch = Watch(asked)
        stack.callback(watch.close)
        client = redis.Redis.from_url(redis_server.url)
        stack.callback(client.close)
        drill = Drill(settings, running, store, feed, postgres, client, registry, asked, Record(watch), folder)
        until(lambda: drill.value("nba_active_games") > 0 and "Watchdog" in watch.names(), 120.0)
        yield drill
