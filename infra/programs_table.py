"""Halftime's own programs as services of the local stack."""

from __future__ import annotations

from functools import partial

from infra.environment import child_env, forecaster_env
from infra.prefect_pool import ensure_pool
from infra.readiness import always, http_ok, tcp_ok, worker_online
from infra.service import Service
from infra.tools_table import cluster, python
from services.settings import ROOT, Settings

WORKER = "local"


def ours(settings: Settings) -> dict[str, str]:
    """The environment of a program that uses the database.

    The database's password is made here when there is none yet, so that every child can be told before it exists.
    """
    return child_env(settings) | {"DATABASE_URL": settings.database_url or cluster(settings).url("halftime")}


def migrate(settings: Settings) -> Service:
    """Bring our database's tables up to date."""
    return Service("migrate", python("-m", "services.migrate"), env=ours(settings), depends_on=("postgres",), task=True)


def worker(settings: Settings) -> Service:
    """The one process that runs scheduled flows."""
    api, pool = settings.resolved_prefect_api_url, settings.work_pool
    return Service(
        "worker",
        python(
            "-m", "prefect", "--no-prompt", "worker", "start", "--pool", pool, "--type", "process", "--name", WORKER
        ),
        env=ours(settings),
        depends_on=("prefect", "migrate"),
        prepare=partial(ensure_pool, api, pool),
        ready=worker_online(api, pool, WORKER),
        # The Prefect server being away is no reason to end runs that are going on.
        alive=always,
        stop_grace_s=3.0,
    )


def deployments(settings: Settings) -> Service:
    """Tell Prefect the flows and schedules of prefect.yaml."""
    return Service(
        "deployments",
        python("-m", "prefect", "--no-prompt", "deploy", "--all"),
        env=ours(settings),
        depends_on=("prefect",),
        prepare=partial(ensure_pool, settings.resolved_prefect_api_url, settings.work_pool),
        task=True,
        stop_grace_s=1.0,
    )


def forecaster(settings: Settings) -> Service:
    """The BentoML service that answers with forecasts."""
    base = f"http://{settings.host}:{settings.forecaster_port}"
    arguments = ["serve", "bentos.forecaster:Forecaster", "--working-dir", str(ROOT)]
    arguments += ["--host", settings.host, "--port", str(settings.forecaster_port)]
    return Service(
        "forecaster",
        python("-m", "bentoml", *arguments),
        env=ours(settings) | forecaster_env(settings),
        depends_on=("migrate", "mlflow"),
        # Alive, not ready: without a champion it answers that it has none, and no restart would give it one.
        ready=http_ok(f"{base}/livez"),
        start_timeout_s=60.0,
        start_attempts=2,
        port=settings.forecaster_port,
        url=f"{base}/docs",
    )


def board(settings: Settings) -> Service:
    """The live board: page, WebSocket, reports."""
    base = f"http://{settings.host}:{settings.board_port}"
    return Service(
        "board",
        python("-m", "services.board"),
        env=ours(settings),
        depends_on=("migrate", "redis"),
        ready=http_ok(f"{base}/healthz"),
        port=settings.board_port,
        url=base,
    )


def exporter(settings: Settings) -> Service:
    """Gauges for Prometheus, computed from the database."""
    return Service(
        "exporter",
        python("-m", "monitoring.exporter"),
        env=ours(settings),
        depends_on=("migrate",),
        ready=tcp_ok(settings.host, settings.exporter_port),
        port=settings.exporter_port,
        url=f"http://{settings.host}:{settings.exporter_port}/metrics",
    )


def alerts(settings: Settings) -> Service:
    """Takes Alertmanager's alerts and starts the flows that they ask for."""
    base = f"http://{settings.host}:{settings.alerts_port}"
    return Service(
        "alerts",
        python("-m", "flows.alert_receiver"),
        env=ours(settings),
        depends_on=("migrate", "prefect"),
        ready=http_ok(f"{base}/livez"),
        port=settings.alerts_port,
        url=f"{base}/alerts",
    )


def predictor(settings: Settings) -> Service:
    """Asks for the forecasts of live games and settles them."""
    return Service(
        "predictor",
        python("-m", "flows.predictor"),
        env=ours(settings),
        depends_on=("migrate", "redis", "forecaster"),
        ends_before=("prefect",),
        settle_s=2.0,
        port=settings.predictor_metrics_port,
        url=f"http://{settings.host}:{settings.predictor_metrics_port}/metrics",
    )


def replay(settings: Settings) -> Service:
    """The replay feed, on its own faster clock."""
    arguments = ["--speed", f"{settings.replay_speed:g}", "--port", str(settings.replay_port)]
    if settings.replay_hold:
        arguments.append("--hold")
    if settings.replay_date is not None:
        arguments += ["--date", settings.replay_date.isoformat()]
    if settings.league_source == "simulated":
        arguments += ["--simulated", "--seed", str(settings.simulated_seed)]
    else:
        arguments += ["--data", str(settings.data)]
    return Service(
        "replay",
        python("-m", "services.replay", *arguments),
        env=ours(settings),
        # Its clock runs from its start: those who listen come first.
        depends_on=("forecaster", "predictor", "board"),
        ready=http_ok(f"{settings.replay_url}/replay/state"),
        port=settings.replay_port,
        url=f"{settings.replay_url}/replay/state",
    )


def poller(settings: Settings) -> Service:
    """Polls the feed, live or replayed."""
    return Service(
        "poller",
        python("-m", "flows.poller"),
        env=ours(settings),
        depends_on=("migrate", "redis", "replay"),
        ends_before=("prefect",),
        settle_s=2.0,
        port=settings.poller_metrics_port,
        url=f"http://{settings.host}:{settings.poller_metrics_port}/metrics",
    )
