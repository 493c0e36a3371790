"""The local stack with the real PostgreSQL, Redis, Prefect and MLflow, in its own process as `up` runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg2
import pytest
import redis

from infra import machine_checks, services_table, tools_table
from infra.detached import read_status, start_detached, stop_detached
from infra.local import LocalStack
from infra.ports import PortsTakenError, free_port
from infra.processes import StackId, find_marked, lives, same_process
from infra.readiness import http_json
from infra.runfile import ServiceStatus
from services.settings import ROOT, Settings
from tests.support.waiting import until

NAMES = (*services_table.BASE, "worker")


def settings_for(home: Path) -> Settings:
    servers = ("forecaster", "board", "exporter", "prefect", "mlflow", "postgres", "redis", "replay", "poller_metrics",
               "predictor_metrics", "alerts", "alertmanager", "prometheus", "evidently")  # fmt: skip
    ports = {f"{name}_port": free_port() for name in servers}
    unset = {"database_url": None, "redis_url": None, "prefect_api_url": None, "mlflow_tracking_uri": None}
    return Settings(home=home, **{**unset, **ports})  # type: ignore[arg-type]


def left(settings: Settings) -> list[str]:
    return [each.service for each in find_marked(StackId(settings.home).home_prefix) if lives(each.process)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a stack that is up."""
    made = settings_for(tmp_path_factory.mktemp("home"))
    start_detached(made, NAMES)
    yield made
    stop_detached(made)
    assert left(made) == []


def service(settings: Settings, name: str) -> ServiceStatus:
    status = read_status(settings)
    assert status is not None
    assert status.running
    found = status.service(name)
    assert found is not None
    return found


def kill_supervisor(settings: Settings, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: not read_status(settings).running)  # type: ignore[union-attr]


def database(settings: Settings, password: str | None = None) -> psycopg2.extensions.connection:
    cluster = tools_table.cluster(settings)
    return psycopg2.connect(
        host=settings.host,
        port=settings.postgres_port,
        user="halftime",
        password=password or cluster.password,
        dbname="halftime",
    )


def test_every_service_is_up(settings: Settings) -> None:
    status = read_status(settings)
    assert status is not None
    assert {each.name: each.state for each in status.services} == {
        **dict.fromkeys(NAMES, "ready"),
        "migrate": "done",
    }
    assert all(Path(each.log).is_file() for each in status.services)


def test_a_second_start_leaves_the_running_stack_as_it_is(settings: Settings) -> None:
    before = service(settings, "postgres").pid
    assert start_detached(settings, NAMES).service("postgres").pid == before  # type: ignore[union-attr]


def test_the_database_wants_its_password(settings: Settings) -> None:
    connection = database(settings)
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        assert {"halftime", "mlflow"} <= {name for (name,) in cursor.fetchall()}
    connection.close()
    with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
        database(settings, password="wrong")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account to use")
def test_postgres_does_not_run_as_root(settings: Settings) -> None:
    pid = service(settings, "postgres").pid
    assert pid is not None
    process = same_process(pid, service(settings, "postgres").create_time or 0.0)
    assert process is not None
    assert process.uids().effective != 0


def test_our_tables_and_mlflows_are_in_different_databases(settings: Settings) -> None:
    tables = {}
    for name in tools_table.DATABASES:
        connection = psycopg2.connect(settings.local_database_url(name).replace("+psycopg2", ""))
        with connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            tables[name] = {table for (table,) in cursor.fetchall()}
        connection.close()
    assert tables["halftime"] & tables["mlflow"] == {"alembic_version"}
    assert "games" in tables["halftime"]
    assert "experiments" in tables["mlflow"]


def test_artifacts_go_through_the_mlflow_server_into_the_data_folder(settings: Settings) -> None:
    base = settings.resolved_mlflow_uri
    answer = httpx.put(f"{base}/api/2.0/mlflow-artifacts/artifacts/try/hello.txt", content=b"hello", timeout=30)
    assert answer.status_code == 200
    assert (settings.home / "mlflow" / "artifacts" / "try" / "hello.txt").read_bytes() == b"hello"
    made = httpx.post(f"{base}/api/2.0/mlflow/experiments/create", json={"name": "try"}, timeout=30).json()
    found = httpx.get(f"{base}/api/2.0/mlflow/experiments/get", params=made, timeout=30).json()
    assert found["experiment"]["artifact_location"].startswith("mlflow-artifacts:")


def test_mlflow_refuses_a_foreign_host_name(settings: Settings) -> None:
    answer = httpx.get(
        f"{settings.resolved_mlflow_uri}/api/2.0/mlflow/experiments/search?max_results=1",
        headers={"Host": "attacker.example"},
        timeout=30,
    )
    assert answer.status_code == 403


def test_the_work_pool_has_its_worker_and_job_template(settings: Settings) -> None:
    pool = http_json(f"{settings.resolved_prefect_api_url}/work_pools/halftime")
    assert isinstance(pool, dict)
    assert pool["type"] == "process"
    until(lambda: http_json(f"{settings.resolved_prefect_api_url}/work_pools/halftime")["base_job_template"])  # type: ignore[index]
    assert (settings.home / "prefect" / "prefect.db").is_file()


def test_every_server_listens_on_loopback_only(settings: Settings) -> None:
    for name in ("postgres", "redis", "prefect", "mlflow"):
        port = getattr(settings, f"{name}_port")
        with socket.create_connection(("127.0.0.1", port), 5):
            pass
        for address in {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}:
            if not str(address).startswith("127."):
                with pytest.raises(OSError, match=r".*"):
                    socket.create_connection((str(address), port), 2).close()


def test_a_killed_redis_comes_back_with_its_data(settings: Settings) -> None:
    client = redis.Redis.from_url(settings.resolved_redis_url)
    client.set("kept", "yes")
    # One second is what the append-only file may lose.
    client.execute_command("WAITAOF", 1, 0, 5000) if int(client.info()["redis_version"][0]) >= 7 else until(
        lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0
    )
    before = service(settings, "redis")
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: service(settings, "redis").restarts == 1 and service(settings, "redis").state == "ready")
    assert client.get("kept") == b"yes"
    client.close()


def test_a_killed_postgres_comes_back_with_its_data(settings: Settings) -> None:
    connection = database(settings)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (18)")
    before = service(settings, "postgres")
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: service(settings, "postgres").restarts >= 1 and service(settings, "postgres").state == "ready", 60)
    again = database(settings)
    with again, again.cursor() as cursor:
        cursor.execute("SELECT n FROM kept")
        assert cursor.fetchone() == (18,)
    again.close()


def test_the_stacks_own_ports_are_not_taken_by_a_stranger(settings: Settings) -> None:
    assert machine_checks.ports(settings).ok


def test_a_redis_that_outlived_its_supervisor_is_ended_by_the_run_file(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    stack = start_detached(settings, ("redis",))
    found = stack.service("redis")
    assert found is not None
    assert found.pid is not None
    os.kill(found.pid, signal.SIGSTOP)  # it cannot hear the signal that its supervisor's death sends
    kill_supervisor(settings, stack.supervisor_pid)
    stop_detached(settings)
    assert same_process(found.pid, found.create_time or 0.0) is None


def test_a_taken_port_stops_the_start_before_anything_runs(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", settings.mlflow_port))
        holder.listen()
        with pytest.raises(PortsTakenError, match=f"process {os.getpid()}.*HALFTIME_MLFLOW_PORT"):
            start_detached(settings, NAMES)
        with pytest.raises(PortsTakenError), LocalStack(settings, NAMES):
            pytest.fail("it must not come up")
        with pytest.raises(PortsTakenError), LocalStack(settings, ("redis",), later=("mlflow",)):
            pytest.fail("it must not come up")
    assert left(settings) == []
    assert not (tmp_path / "postgres").exists()


def test_servers_are_found_and_ended_after_their_supervisor_was_killed(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    names = ("postgres", "redis", "migrate")
    first = start_detached(settings, names)
    kill_supervisor(settings, first.supervisor_pid)
    second = start_detached(settings, names)
    assert second.supervisor_pid != first.supervisor_pid
    database(settings).close()
    kill_supervisor(settings, second.supervisor_pid)
    stop_detached(settings)
    assert left(settings) == []
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


def test_the_command_line_of_the_supervisor_says_why_it_could_not_start(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "letter.txt").write_text("not a cluster")
    environment = {**os.environ, "HALFTIME_HOME": str(tmp_path), "HALFTIME_POSTGRES_PORT": str(settings.postgres_port)}
    for name in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "infra.detached", "--token", "try", "postgres"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "neither empty nor a PostgreSQL cluster" in done.stdout
    status = read_status(settings)
    assert status is not None
    assert not status.running
    assert "neither empty" in (status.error or "")
