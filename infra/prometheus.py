"""Prometheus and Alertmanager over the local stack: their programs, commands and configuration, made from the settings.

The files are written anew before every start, as JSON, which is YAML: a path or a host with odd characters is quoted.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.settings import ROOT, Settings

RULES = ROOT / "monitoring" / "rules" / "halftime.yml"
RETENTION = "15d"
HostOf = Callable[[str], str]
NOT_EDITED = "# Made from the settings at every start of the stack: what is changed here is lost.\n"


@dataclass(frozen=True)
class Pace:
    """Seconds between two scrapes and rule evaluations (groups of rules may name their own), from a group's first alert
    to its first message, between two messages about a group that changed, and about one that did not."""

    scrape_s: int = 5
    group_wait_s: int = 10
    group_interval_s: int = 60
    repeat_s: int = 4 * 3600


PACE = Pace()


def prometheus_program() -> str | None:
    """Path of the program, None when it is not on PATH."""
    return shutil.which("prometheus")


def alertmanager_program() -> str | None:
    """Path of the program under its own name or Debian's, None when it is not on PATH."""
    return shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")


def installed() -> bool:
    """Whether both programs are here: one is of no use to us without the other."""
    return prometheus_program() is not None and alertmanager_program() is not None


def prometheus_address(settings: Settings) -> str:
    """host:port it listens on."""
    return f"{settings.host}:{settings.prometheus_port}"


def alertmanager_address(settings: Settings) -> str:
    """host:port it listens on."""
    return f"{settings.host}:{settings.alertmanager_port}"


def alerts_url(settings: Settings) -> str:
    """Where our receiver takes alerts (POST) and shows them (GET)."""
    return f"http://{settings.host}:{settings.alerts_port}/alerts"


def folder(settings: Settings) -> Path:
    """Both configurations, and the data of each in a folder of its own."""
    return settings.home / "prometheus"


def targets(settings: Settings, host_of: HostOf | None = None) -> dict[str, str]:
    """Job -> host:port of everything with metrics. The live loops may be down: no rule asks whether they are up."""
    ports = {
        "halftime-exporter": settings.exporter_port,
        "halftime-forecaster": settings.forecaster_port,
        "halftime-board": settings.board_port,
        "halftime-poller": settings.poller_metrics_port,
        "halftime-predictor": settings.predictor_metrics_port,
    }
    host_of = host_of or (lambda _: settings.host)
    return {job: f"{host_of(job.removeprefix('halftime-'))}:{port}" for job, port in ports.items()}


def prometheus_config(
    settings: Settings, *, pace: Pace = PACE, rules: Path = RULES, host_of: HostOf | None = None
) -> dict[str, Any]:
    """What prometheus.yml says: whom to scrape, which rules to evaluate, whom to tell.

    ``host_of`` names the host of each service where they do not share one.
    """
    manager = f"{(host_of or (lambda _: settings.host))('alertmanager')}:{settings.alertmanager_port}"
    every = f"{pace.scrape_s}s"
    return {
        # A scrape that takes longer than the interval would be refused as a configuration.
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(rules)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [manager]}]}]},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]}
            for job, target in targets(settings, host_of).items()
        ],
    }


def alertmanager_config(settings: Settings, *, pace: Pace = PACE, host_of: HostOf | None = None) -> dict[str, Any]:
    """What alertmanager.yml says: everything goes to our receiver, its end too, but the Watchdog, which never ends."""
    url = alerts_url(settings) if host_of is None else f"http://{host_of('alerts')}:{settings.alerts_port}/alerts"
    return {
        "route": {
            "receiver": "halftime",
            "group_by": ["alertname", "severity"],
            "group_wait": f"{pace.group_wait_s}s",
            "group_interval": f"{pace.group_interval_s}s",
            "repeat_interval": f"{pace.repeat_s}s",
            "routes": [{"matchers": ['alertname="Watchdog"'], "receiver": "nobody"}],
        },
        "receivers": [
            {"name": "nobody"},
            {"name": "halftime", "webhook_configs": [{"url": url, "send_resolved": True}]},
        ],
    }


def write_prometheus(settings: Settings, *, pace: Pace = PACE, rules: Path = RULES) -> Path:
    """Write prometheus.yml and make its data folder; the file's path. Raises OSError."""
    (folder(settings) / "data").mkdir(parents=True, exist_ok=True)
    return _write(folder(settings) / "prometheus.yml", prometheus_config(settings, pace=pace, rules=rules))


def write_alertmanager(settings: Settings, *, pace: Pace = PACE) -> Path:
    """Write alertmanager.yml and make its data folder; the file's path. Raises OSError."""
    (folder(settings) / "alertmanager").mkdir(parents=True, exist_ok=True)
    return _write(folder(settings) / "alertmanager.yml", alertmanager_config(settings, pace=pace))


def prometheus_command(settings: Settings) -> list[str]:
    """How it is started; without the program, with its bare name, which the supervisor then reports as missing."""
    address = prometheus_address(settings)
    return [
        prometheus_program() or "prometheus",
        f"--config.file={folder(settings) / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder(settings) / 'data'}",
        f"--storage.tsdb.retention.time={RETENTION}",
        f"--web.listen-address={address}",
        f"--web.external-url=http://{address}",
        # By default any web page may read everything through the browser of whoever opens it.
        f"--web.cors.origin=http://{re.escape(address)}",
        "--log.level=warn",
    ]


def alertmanager_command(settings: Settings) -> list[str]:
    """How it is started: by itself, without the port on all addresses that a cluster would listen on."""
    address = alertmanager_address(settings)
    return [
        alertmanager_program() or "alertmanager",
        f"--config.file={folder(settings) / 'alertmanager.yml'}",
        f"--storage.path={folder(settings) / 'alertmanager'}",
        f"--web.listen-address={address}",
        f"--web.external-url=http://{address}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]


def _write(path: Path, config: dict[str, Any]) -> Path:
    path.write_text(NOT_EDITED + json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
