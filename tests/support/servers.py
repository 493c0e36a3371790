"""Real servers for tests: PostgreSQL, Redis and MLflow in temporary folders, gone without a trace afterwards.

Each starts once a session, on a free port, when the first test asks for it. Every test finds the database migrated and
empty, and has its own prefix in Redis.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg2
import pytest
from psycopg2 import sql

from infra import postgres as pg
from infra import redis as rd
from services import migrate
from services.schema import metadata
from services.store import Store
from tests.support.waiting import until

MIGRATED = "halftime"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def die_with_parent() -> None:
    """For ``preexec_fn``: the child gets SIGTERM when the test process is killed."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)


def end(process: subprocess.Popen[bytes], signum: int = signal.SIGTERM, timeout_s: float = 10.0) -> None:
    """End a process and everything in its group."""
    for one in (signum, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, one)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class PostgresServer:
    """A running cluster in which tests make databases."""

    cluster: pg.Cluster
    process: subprocess.Popen[bytes]

    def new_database(self) -> str:
        """URL of a new database without any table."""
        return pg.create_database(self.cluster, f"t_{uuid.uuid4().hex[:16]}")

    def emptied(self) -> str:
        """URL of the migrated database, with every row removed: much quicker than a new one."""
        url = self.cluster.url(MIGRATED)
        connection = psycopg2.connect(url.replace("+psycopg2", ""))
        try:
            with connection, connection.cursor() as cursor:
                # The triggers that keep tables append-only are asleep in this role.
                cursor.execute("SET LOCAL session_replication_role = replica")
                tables = sql.SQL(", ").join(sql.Identifier(name) for name in metadata.tables)
                cursor.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(tables))
        finally:
            connection.close()
        return url


@contextlib.contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """A folder that any user may pass through (PostgreSQL runs as another one when we are root)."""
    folder = Path(tempfile.mkdtemp(prefix=f"halftime-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A fresh cluster with a migrated database; stopped and removed at the end, or with the test process."""
    with temporary_folder("postgres") as folder, (folder / "log").open("wb") as log:
        cluster = pg.Cluster(folder / "data", free_port(), pg.new_password(), durable=False)
        pg.init_cluster(cluster)
        launch = pg.server_command(cluster, dies_with_parent=True)
        process = subprocess.Popen(launch.argv, env=launch.env, cwd="/", stdout=log, stderr=log, start_new_session=True)
        try:
            pg.wait_ready(cluster)
            migrate.upgrade(pg.create_database(cluster, MIGRATED))
            yield PostgresServer(cluster, process)
        finally:
            pg.stop(cluster)
            process.wait()


@contextlib.contextmanager
def running_redis(port: int | None = None, *, durable: bool = False) -> Iterator[rd.RedisServer]:
    """A Redis server, empty; stopped and removed at the end."""
    with temporary_folder("redis") as folder, (folder / "log").open("wb") as log:
        server = rd.RedisServer(folder, port or free_port(), durable=durable)
        process = subprocess.Popen(
            rd.server_command(server), stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent
        )
        try:
            rd.wait_ready(server)
            yield server
        finally:
            end(process)


@contextlib.contextmanager
def running_mlflow() -> Iterator[str]:
    """A real MLflow server with proxied artifacts on SQLite; its URL."""
    with temporary_folder("mlflow") as folder, (folder / "log").open("wb") as log:
        url = f"http://127.0.0.1:{free_port()}"
        arguments = ["--host", "127.0.0.1", "--port", url.rsplit(":", 1)[1], "--workers", "1"]
        arguments += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
        arguments += ["--artifacts-destination", str(folder / "artifacts")]
        env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        env |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *arguments],
            env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        try:
            until(lambda: process.poll() is not None or _healthy(url), timeout_s=120)
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            yield url
        finally:
            end(process)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> str:
    """URL of the migrated database, empty."""
    return postgres_server.emptied()


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store on the migrated database, empty."""
    with Store.open(database_url, application="halftime-test", pool_size=8) as opened:
        yield opened


@pytest.fixture(scope="session")
def redis_server() -> Iterator[rd.RedisServer]:
    """A real Redis, shared by the session's tests."""
    with running_redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: rd.RedisServer) -> str:
    """URL of the Redis server; use ``redis_prefix`` for keys."""
    return redis_server.url


@pytest.fixture
def redis_prefix() -> str:
    """A prefix for keys that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def mlflow_url() -> Iterator[str]:
    """A real MLflow server."""
    with running_mlflow() as url:
        yield url
