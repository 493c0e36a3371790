"""Our own PostgreSQL cluster and Redis server: made, started, killed, started again, stopped."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import redis

from infra import postgres as pg
from services.store import Store
from tests.support.servers import free_port, running_redis, temporary_folder
from tests.support.waiting import until


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder("cluster") as made:
        yield made


@pytest.fixture
def cluster(folder: Path) -> Iterator[pg.Cluster]:
    made = pg.Cluster(folder / "data", free_port(), pg.new_password(), durable=False)
    pg.init_cluster(made)
    yield made
    pg.stop(made)


def test_a_cluster_is_made_once(cluster: pg.Cluster) -> None:
    assert cluster.exists
    assert pg.init_cluster(cluster) is False
    assert not (cluster.data_dir.parent / "data.new").exists()
    assert [one for one in cluster.data_dir.parent.iterdir() if one.name.startswith(".pw")] == []


def test_a_half_made_cluster_is_made_again(folder: Path) -> None:
    (folder / "data.new").mkdir()
    (folder / "data.new" / "PG_VERSION").write_text("18")
    made = pg.Cluster(folder / "data", free_port(), pg.new_password(), durable=False)
    assert pg.init_cluster(made) is True
    assert made.exists


def test_a_folder_with_other_things_is_left_alone(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "thesis.txt").write_text("mine")
    with pytest.raises(pg.PostgresError, match="neither empty nor"):
        pg.init_cluster(pg.Cluster(folder / "data", free_port(), "x"))
    assert (folder / "data" / "thesis.txt").read_text() == "mine"


def test_the_server_starts_on_loopback_with_a_password_and_stops(cluster: pg.Cluster) -> None:
    pg.start(cluster, cluster.data_dir.parent / "log")
    assert pg.running_pid(cluster) is not None
    url = pg.create_database(cluster, "halftime")
    assert pg.create_database(cluster, "halftime") == url
    with Store.open(url) as store:
        store.ping()
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host=cluster.host, port=cluster.port, user="halftime", password="guess", dbname="postgres")
    pg.stop(cluster)
    assert pg.running_pid(cluster) is None
    pg.stop(cluster)


def test_the_server_does_not_run_as_root(cluster: pg.Cluster) -> None:
    pg.start(cluster, cluster.data_dir.parent / "log")
    pid = pg.running_pid(cluster)
    assert Path(f"/proc/{pid}").stat().st_uid != 0
    assert cluster.data_dir.stat().st_uid != 0
    assert stat.S_IMODE(cluster.data_dir.stat().st_mode) == 0o700


def test_a_killed_server_comes_back_with_its_data(cluster: pg.Cluster) -> None:
    log = cluster.data_dir.parent / "log"
    pg.start(cluster, log)
    url = pg.create_database(cluster, "kept")
    pid = pg.running_pid(cluster)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: pg.running_pid(cluster) is None)
    until(lambda: _starts(cluster, log))
    with Store.open(url) as store:
        store.ping()


def _starts(cluster: pg.Cluster, log: Path) -> bool:
    # Backends of the killed server notice its end after a moment; until then PostgreSQL refuses to start beside them.
    try:
        pg.start(cluster, log)
    except pg.PostgresError:
        return False
    return True


def test_a_stale_lock_whose_process_id_belongs_to_another_program_does_not_stop_a_start(cluster: pg.Cluster) -> None:
    (cluster.data_dir / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster.data_dir}\n")
    assert pg.running_pid(cluster) is None
    pg.start(cluster, cluster.data_dir.parent / "log")
    assert pg.running_pid(cluster) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="skipped: only root can hide a folder from the server's user")
def test_a_cluster_below_a_folder_closed_to_its_user_works(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    made = pg.Cluster(closed / "data", free_port(), pg.new_password(), durable=False)
    pg.init_cluster(made)
    try:
        pg.start(made, closed / "log")
        assert Path(f"/proc/{pg.running_pid(made)}").stat().st_uid != 0
    finally:
        pg.stop(made)


def test_the_server_ends_with_the_process_that_started_it(cluster: pg.Cluster) -> None:
    launch = pg.server_command(cluster, dies_with_parent=True)
    middle = subprocess.Popen(["/bin/sh", "-c", '"$@" & wait', "sh", *launch.argv], env=launch.env, cwd="/",
                              stderr=subprocess.DEVNULL)  # fmt: skip
    pg.wait_ready(cluster)
    middle.kill()
    middle.wait()
    until(lambda: pg.running_pid(cluster) is None)


def test_redis_keeps_a_file_forgets_nothing_and_listens_on_loopback() -> None:
    with running_redis(durable=True) as server:
        client = redis.Redis.from_url(server.url)
        kept = {name: client.config_get(name)[name] for name in ("maxmemory-policy", "appendonly", "bind")}
        assert kept == {"maxmemory-policy": "noeviction", "appendonly": "yes", "bind": "127.0.0.1"}
