"""Each image's program, run as its Containerfile says from its part of the lock and its copied files alone.

There is no daemon: what stands for it is tests/support/image_room.py. Each part is installed by pip into an environment
that holds nothing else; the worker's are two gigabytes for as long as its tests run. Some minutes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import redis
import yaml  # type: ignore[import-untyped]

from infra import compose_secrets
from infra import postgres as pg
from infra.binaries import redis_server
from infra.lock_parts import part_file, read_parts
from services.settings import ROOT
from tests.support.containerfiles import Containerfile
from tests.support.image_room import able, room
from tests.support.running_forecaster import NO_DATABASE, PATTERN, small_bundle
from tests.support.servers import end, free_port, temporary_folder
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not able(), reason="only root can lay out namespaces, on Linux")]
COMPOSE = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text(encoding="utf-8"))["services"]
PAGE = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:4200/').read().decode())"
POST = "import sys, json, httpx; print(httpx.post(sys.argv[1], json=json.loads(sys.argv[2])).text)"
LISTENS = "print(*(line.split()[1] for line in open('/proc/net/tcp') if line.split()[3] == '0A'))"


def grace_s(service: str) -> float:
    return float(COMPOSE[service]["stop_grace_period"].removesuffix("s"))


def install(name: str, root: Path) -> None:
    """An image's part of the lock in a virtual environment without pip, as the builder does it.

    But for compiled modules: nothing is written there later, so each start compiles what it imports.
    """
    place = root / "opt" / "halftime"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    pip = [sys.executable, "-m", "pip", "--python", place / "bin" / "python", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-compile", "--no-deps", "-r", part_file(name)], check=True)
    subprocess.run([*pip, "check"], check=True)


@pytest.fixture
def root() -> Iterator[Path]:
    with temporary_folder("image") as folder:
        yield folder / "root"


@pytest.mark.parametrize("name", ["exporter", "board", "forecaster"])
def test_an_image_of_its_part_alone_answers_its_health_check_and_ends_when_told(name: str, root: Path) -> None:
    image = Containerfile.read(name)
    install(name, root)
    image.lay(root / "app")
    env = {"DATABASE_URL": NO_DATABASE, "REDIS_URL": "redis://127.0.0.1:1/0"}
    if name == "forecaster":
        small_bundle(root / "var" / "lib" / "halftime" / "bundle")
        (root / "key").write_text("k" * 32)
        env |= {"HALFTIME_BUNDLE": "/var/lib/halftime/bundle", "HALFTIME_API_KEY_FILE": "/key"}
    with room(image, root, **env) as running:
        running.wait_healthy()
        port = int(image.one("EXPOSE"))
        assert f"00000000:{port:04X}" in running.ask(["python", "-c", LISTENS]).stdout.split(), "on every address"
        if name == "forecaster":
            asked = ["python", "-c", POST, f"http://127.0.0.1:{port}/predict", json.dumps({"pattern": PATTERN})]
            # It is alive before it is ready.
            until(lambda: "point_forecast" in running.ask(asked).stdout)
        assert running.ask(["touch", "/app/file"]).stderr.endswith("Read-only file system\n")
        assert running.ask(["id", "-u"]).stdout == f"{image.one('USER').split(':')[0]}\n"
        assert running.stop(grace_s(name)) == 0, running.log.read_text()[-2000:]


@pytest.fixture(scope="module")
def worker() -> Iterator[Path]:
    """The worker's image: two gigabytes of packages, so its programs share one."""
    with temporary_folder("worker") as folder:
        root = folder / "root"
        install("worker", root)
        Containerfile.read("worker").lay(root / "app")
        yield root


def test_every_program_of_the_worker_is_imported_from_its_part_alone(worker: Path) -> None:
    programs = [*read_parts()["worker"].entry, "infra.with_secrets", "models.lstm_training", "mlflow.server"]
    code = f"import importlib, torch, sklearn, asyncpg\nfor name in {programs!r}: importlib.import_module(name)"
    with room(Containerfile.read("worker"), worker, ["python", "-c", code]) as running:
        assert running.process.wait(180) == 0, running.log.read_text()[-3000:]


def test_the_worker_brings_the_programs_that_the_nightly_backup_runs(worker: Path) -> None:
    code = "from infra.backup_programs import programs_for; print(programs_for(180000))"
    with room(Containerfile.read("worker"), worker, ["python", "-c", code]) as running:
        assert running.process.wait(60) == 0, running.log.read_text()[-3000:]
        assert running.log.read_text().startswith("/opt/halftime/"), "not those of the machine"


@pytest.mark.parametrize("name", ["poller", "predictor", "alerts", "replay", "evidently", "prefect"])
def test_a_program_of_the_worker_answers_its_health_check_and_ends_when_told(name: str, worker: Path) -> None:
    image = Containerfile.read("worker")
    command = [*json.loads(image.one("ENTRYPOINT")), *COMPOSE[name]["command"]]
    env = {"DATABASE_URL": NO_DATABASE, "REDIS_URL": "redis://127.0.0.1:1/0", "HALFTIME_FEED": "nba"}
    check = COMPOSE[name].get("healthcheck", {"test": ["CMD", *image.healthcheck]})["test"][1:]
    with room(image, worker, command, **env) as running:
        until(lambda: running.process.poll() is not None or running.ask(check).returncode == 0, timeout_s=180)
        assert running.process.poll() is None, running.log.read_text()[-3000:]
        if name == "prefect":
            # It writes its pages before it serves them, elsewhere than in its package when told so.
            assert "<!DOCTYPE html>" in running.ask(["python", "-c", PAGE]).stdout
        assert running.stop(grace_s(name)) == 0, running.log.read_text()[-2000:]


def test_mlflow_of_the_worker_answers_its_health_check(worker: Path) -> None:
    image = Containerfile.read("worker")
    command = [*json.loads(image.one("ENTRYPOINT")), *COMPOSE["mlflow"]["command"]]
    check = COMPOSE["mlflow"]["healthcheck"]["test"][1:]
    with room(image, worker, command, MLFLOW_BACKEND_STORE_URI="sqlite:////var/lib/halftime/mlflow.db") as running:
        until(lambda: running.process.poll() is not None or running.ask(check).returncode == 0, timeout_s=180)
        assert running.process.poll() is None, running.log.read_text()[-3000:]
        # It handles no SIGTERM, which process 1 then never gets: Compose puts an init before it, and here is none.
        assert COMPOSE["mlflow"]["init"]


def test_redis_takes_its_password_from_a_file_and_its_options_from_the_command(tmp_path: Path) -> None:
    made = compose_secrets.made()
    (tmp_path / "conf").write_text(made["redis_conf"] + "\n")
    places = {"/run/secrets/redis_conf": str(tmp_path / "conf"), "/data": str(tmp_path)}
    places["redis-server"] = str(redis_server())
    port = free_port()
    command = [places.get(word, word) for word in COMPOSE["redis"]["command"]]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        password = re.match("redis://:(.*)@", made["redis_url"])[1]  # type: ignore[index]
        asked = redis.Redis(port=port, password=password)
        until(lambda: pings(asked))
        assert asked.config_get("appendonly") == {"appendonly": "yes"}
        assert asked.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        with pytest.raises(redis.AuthenticationError, match=r"(?i)auth"):
            redis.Redis(port=port).ping()
    finally:
        end(process)


def pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


DEBIAN = sorted(Path("/usr/share/postgresql").glob("*/extension/pg_trgm.control"))


@pytest.mark.skipif(not DEBIAN, reason="the wheel's PostgreSQL has no pg_trgm, and Debian's is not installed")
def test_the_first_start_of_postgresql_makes_a_role_and_a_database_for_each_tool() -> None:
    programs = Path("/usr/lib/postgresql") / DEBIAN[-1].parts[4] / "bin"
    with temporary_folder("secrets") as folder:
        made = compose_secrets.made()
        for name, text in made.items():
            (folder / name).write_text(f"{text}\n")
        cluster = pg.Cluster(folder / "data", free_port(), pg.new_password(), durable=False, bin_dir=programs)
        pg.init_cluster(cluster)
        pg.start(cluster, folder / "log")
        try:
            # The image's superuser is `postgres`; the one that we give our clusters has the name of a role to be made.
            sql(cluster, "halftime", f"CREATE ROLE postgres SUPERUSER LOGIN PASSWORD '{cluster.password}'")
            sql(cluster, "postgres", "ALTER ROLE halftime RENAME TO first")
            env = {
                "PATH": f"{programs}:/usr/bin:/bin", "SECRETS": str(folder),
                "PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGPASSWORD": cluster.password,
            }  # fmt: skip
            done = subprocess.run(
                [ROOT / "infra" / "compose" / "databases.sh"], env=env, capture_output=True, text=True
            )
            assert (done.returncode, done.stderr) == (0, "")
            for name in ("database_url", "mlflow_database_url", "prefect_database_url"):
                url = re.sub(r"\+\w+", "", made[name]).replace("@postgres:5432", f"@127.0.0.1:{cluster.port}")
                with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
                    cursor.execute("CREATE TABLE alembic_version (version_num text)")
                    cursor.execute("SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'")
                    assert cursor.fetchone() == (int(name.startswith("prefect")),)
                    # Ours makes a database for the restore test.
                    cursor.execute("SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user")
                    assert cursor.fetchone() == (name == "database_url",)
            other = url.rpartition("/")[0] + "/halftime"
            with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
                psycopg2.connect(other)
        finally:
            pg.stop(cluster)


def sql(cluster: pg.Cluster, user: str, statement: str) -> None:
    at = {"host": cluster.host, "port": cluster.port, "user": user, "password": cluster.password, "dbname": "postgres"}
    with closing(psycopg2.connect(**at)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
