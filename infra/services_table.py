"""Which services the local stack has, in the order they are started in, and which of them somebody else runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from infra import programs_table, prometheus, tools_table
from infra.ports import PortWanted
from infra.service import Service
from services.settings import Settings

BASE = ("postgres", "redis", "prefect", "mlflow", "migrate")
SERVING = ("worker", "deployments", "forecaster", "board", "exporter")
LIVE = ("predictor", "poller")
REPLAY = ("replay",)
ALERTING = ("alerts", "alertmanager", "prometheus")
UP = (*BASE, *SERVING, "evidently")

# The slow ones that others wait for come first.
MAKERS: dict[str, Callable[[Settings], Service]] = {
    "postgres": tools_table.postgres,
    "redis": tools_table.redis,
    "prefect": tools_table.prefect,
    "mlflow": tools_table.mlflow,
    "migrate": programs_table.migrate,
    "worker": programs_table.worker,
    "forecaster": programs_table.forecaster,
    "board": programs_table.board,
    "exporter": programs_table.exporter,
    "evidently": tools_table.evidently,
    "alerts": programs_table.alerts,
    "alertmanager": tools_table.alertmanager,
    "prometheus": tools_table.prometheus,
    "deployments": programs_table.deployments,
    "predictor": programs_table.predictor,
    "replay": programs_table.replay,
    "poller": programs_table.poller,
}


def external(settings: Settings) -> frozenset[str]:
    """The services that somebody else runs, because their address is set."""
    named = {
        "postgres": settings.database_url,
        "redis": settings.redis_url,
        "prefect": settings.prefect_api_url,
        "mlflow": settings.mlflow_tracking_uri,
    }
    return frozenset(name for name, url in named.items() if url)


def here(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that can be started here: alerts are evaluated where Prometheus and Alertmanager are."""
    able = prometheus.installed()
    return tuple(name for name in names if able or name not in ALERTING)


def wanted_ports(settings: Settings, names: Iterable[str]) -> list[PortWanted]:
    """The ports these services will listen on, each with the setting that moves it."""
    outside = external(settings)
    own = [name for name in names if name not in outside]
    # The live loops listen for nothing but those who read their metrics.
    fields = [(name, field) for name in own for field in (f"{name}_port", f"{name}_metrics_port")]
    return [
        PortWanted(name, settings.host, getattr(settings, field), f"HALFTIME_{field.upper()}")
        for name, field in fields
        if field in type(settings).model_fields
    ]


def build(settings: Settings, names: Iterable[str]) -> list[Service]:
    """The named services in the order above, without those that are external. Raises KeyError for an unknown name."""
    wanted = set(names)
    if unknown := wanted - MAKERS.keys():
        raise KeyError(f"no such service: {', '.join(sorted(unknown))}; there are {', '.join(MAKERS)}")
    outside = external(settings)
    return [make(settings) for name, make in MAKERS.items() if name in wanted and name not in outside]
