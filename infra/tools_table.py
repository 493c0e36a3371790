"""The tools' own servers as services of the local stack: those that keep data, and those that watch the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from infra import postgres as postgres_server
from infra import prometheus as prometheus_server
from infra import redis as redis_server
from infra.environment import child_env, mlflow_env
from infra.readiness import http_ok, redis_ok
from infra.service import Service
from services.settings import Settings

DATABASES = ("halftime", "mlflow")


def cluster(settings: Settings) -> postgres_server.Cluster:
    """The local PostgreSQL cluster; makes its password when there is neither cluster nor password yet.

    Raises PostgresError when the cluster is there and its password is not.
    """
    folder, secret = settings.home / "postgres", settings.postgres_password_file
    if not secret.exists():
        if (folder / "PG_VERSION").exists():
            raise postgres_server.PostgresError(
                f"the database in {folder} is there, but its password {secret} is gone: restore the file,"
                f" or move {folder} away to begin with an empty database"
            )
        secret.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(postgres_server.new_password())
    return postgres_server.Cluster(folder, settings.postgres_port, secret.read_text().strip(), host=settings.host)


def python(*arguments: str) -> Callable[[], list[str]]:
    """A command of this virtual environment's interpreter."""
    return lambda: [sys.executable, *arguments]


def make_folder(path: Path) -> None:
    """Make a data folder and those above it."""
    path.mkdir(parents=True, exist_ok=True)


def postgres(settings: Settings) -> Service:
    """PostgreSQL over our own cluster, with one database per tool."""
    server = cluster(settings)

    def make_databases() -> None:
        for name in DATABASES:
            postgres_server.create_database(server, name)

    return Service(
        "postgres",
        lambda: postgres_server.server_command(server, dies_with_parent=True).argv,
        env={"LC_ALL": "C", "TZ": "UTC"},
        cwd=Path("/"),
        prepare=lambda: postgres_server.init_cluster(server),
        ready=lambda: postgres_server.ping(server),
        finish=make_databases,
        stop_signal=postgres_server.STOP_SIGNAL,
        stop_grace_s=postgres_server.STOP_S,
        port=settings.postgres_port,
    )


def redis(settings: Settings) -> Service:
    """Redis with its append-only file in the data folder."""
    server = redis_server.RedisServer(settings.home / "redis", settings.redis_port, host=settings.host)
    return Service(
        "redis",
        lambda: redis_server.server_command(server),
        ready=redis_ok(server.url),
        port=settings.redis_port,
    )


def prefect(settings: Settings) -> Service:
    """The Prefect server on SQLite: the PostgreSQL wheel lacks an extension that Prefect's migrations need."""
    base = f"http://{settings.host}:{settings.prefect_port}"
    arguments = ["--no-prompt", "server", "start", "--host", settings.host, "--port", str(settings.prefect_port)]
    return Service(
        "prefect",
        python("-m", "prefect", *arguments),
        env=child_env(settings),
        prepare=partial(make_folder, settings.home / "prefect"),
        ready=http_ok(f"{base}/api/health"),
        port=settings.prefect_port,
        url=base,
    )


def mlflow(settings: Settings) -> Service:
    """The MLflow server, which also hands out the artifacts, so that clients need no shared disk."""
    folder = settings.home / "mlflow"
    # One database per tool. In a server that is not ours we make no databases, so MLflow then keeps its own file.
    store = f"sqlite:///{folder / 'mlflow.db'}" if settings.database_url else cluster(settings).url("mlflow")
    arguments = ["--host", settings.host, "--port", str(settings.mlflow_port), "--workers", "1"]
    arguments += ["--artifacts-destination", str(folder / "artifacts")]
    environment = child_env(settings)
    # The server answers from its store; with this set it would ask itself.
    del environment["MLFLOW_TRACKING_URI"]
    base = f"http://{settings.host}:{settings.mlflow_port}"
    return Service(
        "mlflow",
        python("-m", "mlflow", "server", *arguments),
        env=environment | mlflow_env(settings, store),
        cwd=folder,
        depends_on=("postgres",),
        prepare=partial(make_folder, folder / "artifacts"),
        ready=http_ok(f"{base}/health"),
        port=settings.mlflow_port,
        url=base,
    )


def evidently(settings: Settings) -> Service:
    """Evidently's own UI over the snapshots that the nightly report leaves in the data folder, and its page of any
    report of the database."""
    base = f"http://{settings.host}:{settings.evidently_port}"
    return Service(
        "evidently",
        python("-m", "monitoring.report_server"),
        env=child_env(settings) | {"DATABASE_URL": settings.database_url or cluster(settings).url("halftime")},
        depends_on=("migrate",),
        prepare=partial(make_folder, settings.home / "evidently"),
        ready=http_ok(f"{base}/api/projects"),
        start_timeout_s=90.0,
        port=settings.evidently_port,
        url=base,
    )


def alertmanager(settings: Settings) -> Service:
    """Alertmanager, which groups alerts and tells our receiver."""
    base = f"http://{prometheus_server.alertmanager_address(settings)}"
    return Service(
        "alertmanager",
        lambda: prometheus_server.alertmanager_command(settings),
        depends_on=("alerts",),
        prepare=partial(prometheus_server.write_alertmanager, settings),
        ready=http_ok(f"{base}/-/ready"),
        port=settings.alertmanager_port,
        url=base,
    )


def prometheus(settings: Settings) -> Service:
    """Prometheus, which scrapes the stack and evaluates the alert rules."""
    base = f"http://{prometheus_server.prometheus_address(settings)}"
    return Service(
        "prometheus",
        lambda: prometheus_server.prometheus_command(settings),
        depends_on=("alertmanager",),
        prepare=partial(prometheus_server.write_prometheus, settings),
        ready=http_ok(f"{base}/-/ready"),
        port=settings.prometheus_port,
        url=base,
    )
