"""Secrets are changed as docs/deploy.md says, on real servers, while programs that read them run: none is refused.

The folder of secrets is swapped as kubelet does it, and a restart is as Kubernetes does it: the new process is up
before the old one is told to end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg2
import pytest
import redis
from psycopg2 import sql

from infra.postgres import new_password
from services import migrate
from services.settings import DRIVER, ROOT
from services.store import Store
from tests.support.manifests import pod, workloads
from tests.support.mounted_secrets import Program, Secrets, program
from tests.support.servers import PostgresServer, running_redis
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    return Secrets(tmp_path / "secrets")


@dataclass(frozen=True)
class Roles:
    """A database of ours whose tables belong to one role, and what its administrator does there."""

    server: PostgresServer
    database: str
    owner: str

    def do(self, statement: str, role: str | None = None, password: str = "") -> list[tuple[object, ...]]:
        """Run one statement as the administrator, of a role and its password where it names them."""
        text = sql.SQL(statement).format(
            role=sql.Identifier(role or ""), owner=sql.Identifier(self.owner), database=sql.Identifier(self.database),
            name=sql.Literal(role), password=sql.Literal(password),
        )  # fmt: skip
        with closing(psycopg2.connect(self.server.cluster.url(self.database).replace("+psycopg2", ""))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall() if cursor.description else []

    def add(self, role: str) -> str:
        """A further role that logs in and acts as the owner does: the URL for it."""
        password = new_password()
        self.do("CREATE ROLE {role} LOGIN PASSWORD {password} IN ROLE {owner}", role, password)
        self.do("ALTER ROLE {role} SET role TO {owner}", role)
        return self.url(role, password)

    def url(self, role: str, password: str) -> str:
        cluster = self.server.cluster
        return f"{DRIVER}{role}:{password}@{cluster.host}:{cluster.port}/{self.database}"

    def close(self, role: str) -> None:
        """Nobody logs in as this role any more: the owner stays as such, any other is gone."""
        self.do("ALTER ROLE {role} NOLOGIN PASSWORD NULL" if role == self.owner else "DROP ROLE {role}", role)

    def sessions(self, role: str) -> int:
        """How many sessions the role has."""
        return len(self.do("SELECT pid FROM pg_stat_activity WHERE usename = {name}", role))

    def cut(self, role: str) -> int:
        """End the role's sessions, so that each program must log in again; how many there were."""
        ended = self.do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {name}", role)
        return len(ended)


@pytest.fixture
def roles(postgres_server: PostgresServer) -> Iterator[tuple[Roles, str]]:
    """The database with its first role, and that role's URL."""
    url = postgres_server.new_database()
    made = Roles(postgres_server, url.rpartition("/")[2], "rotation_first")
    password = new_password()
    made.do("CREATE ROLE {owner} LOGIN PASSWORD {password}", password=password)
    try:
        made.do("ALTER DATABASE {database} OWNER TO {owner}")
        made.do("GRANT ALL ON SCHEMA public TO {owner}")
        first = made.url("rotation_first", password)
        migrate.upgrade(first)
        yield made, first
    finally:
        for role in ("rotation_first", "rotation_second", "rotation_third"):
            made.cut(role)
        made.do("DROP OWNED BY {owner} CASCADE")
        for role in ("rotation_third", "rotation_second", "rotation_first"):
            made.do("ALTER DATABASE {database} OWNER TO CURRENT_USER")
            made.do("DROP ROLE IF EXISTS {role}", role)


UP = ("halftime_database_up 1.0", "halftime_redis_up 1.0")


def exporter(secrets: Secrets, home: Path) -> AbstractContextManager[Program]:
    return program("monitoring.exporter", "HALFTIME_EXPORTER_PORT", secrets, home)


def poller(secrets: Secrets, home: Path) -> AbstractContextManager[Program]:
    return program("flows.poller", "HALFTIME_POLLER_METRICS_PORT", secrets, home)


def board(secrets: Secrets, home: Path) -> AbstractContextManager[Program]:
    return program("services.board", "HALFTIME_BOARD_PORT", secrets, home)


def holder(store: Store) -> int | None:
    """Process that holds the pollers' lease."""
    with store.engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT holder FROM leases WHERE name = 'poller' AND expires_at > clock_timestamp()"
        ).scalar()
    return None if found is None else int(found.rpartition(":")[2])


@dataclass(frozen=True)
class Running:
    """An exporter, and the poller that holds the lease."""

    exports: Program
    polls: Program
    watch: Store

    def work(self) -> bool:
        """Whether both are let in."""
        return self.exports.says(*UP) and holder(self.watch) == self.polls.process.pid

    def work_as(self, database: Roles, role: str) -> bool:
        """Whether both have a session under this role too."""
        return self.work() and database.sessions(role) >= 2


def test_the_database_password_is_changed_twice_and_no_program_is_refused(
    roles: tuple[Roles, str], redis_url: str, secrets: Secrets, tmp_path: Path
) -> None:
    database, url = roles
    with ExitStack() as ends, Store.open(database.server.cluster.url(database.database)) as watch:

        def started() -> Running:
            exports = ends.enter_context(exporter(secrets, tmp_path))
            return Running(exports, ends.enter_context(poller(secrets, tmp_path)), watch)

        secrets.put(database_url=url, redis_url=redis_url)
        running = started()
        until(running.work)
        for before, after in (("rotation_first", "rotation_second"), ("rotation_second", "rotation_third")):
            old_url, url = url, database.add(after)
            secrets.put(database_url=url, redis_url=redis_url)
            # Those that run know the old password alone, and may log in again with it.
            assert database.cut(before) >= 2
            until(partial(running.work_as, database, before))

            last, running = running, started()
            until(partial(running.exports.says, *UP))
            assert last.work(), "both passwords are good at once"
            assert (last.exports.stop(), last.polls.stop()) == (0, 0)
            until(running.work, timeout_s=60)

            assert database.sessions(before) == 0, "nobody uses the old one any more"
            database.close(before)
            with pytest.raises(psycopg2.OperationalError, match=r"not permitted to log in|authentication failed"):
                psycopg2.connect(old_url.replace("+psycopg2", ""))
            assert database.cut(after) >= 2
            until(partial(running.work_as, database, after))
    # What a migration makes belongs to the one that owns the rest, so no role is in the way of its end.
    with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE made_later ()")
        connection.commit()
    owners = database.do("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert owners == [("rotation_first",)]


def test_the_redis_password_is_changed_and_no_program_is_refused(
    database_url: str, secrets: Secrets, tmp_path: Path
) -> None:
    with running_redis() as server, ExitStack() as ends:

        def told(password: str) -> str:
            return server.url.replace("redis://", f"redis://:{password}@")

        # As `requirepass first` in its configuration.
        redis.Redis.from_url(server.url).config_set("requirepass", "first")
        secrets.put(database_url=database_url, redis_url=told("first"))
        admin = ends.enter_context(closing(redis.Redis.from_url(told("first"))))
        exports = ends.enter_context(exporter(secrets, tmp_path))
        shows = ends.enter_context(board(secrets, tmp_path))
        until(lambda: exports.says(*UP) and shows.ready())

        admin.execute_command("ACL", "SETUSER", "default", ">second")
        secrets.put(database_url=database_url, redis_url=told("second"))
        cut(admin)
        until(lambda: exports.says(*UP) and shows.ready())  # with the old one

        exports_after = ends.enter_context(exporter(secrets, tmp_path))
        shows_after = ends.enter_context(board(secrets, tmp_path))
        until(lambda: exports_after.says(*UP) and shows_after.ready())
        assert exports.says(*UP), "two passwords at once"
        assert shows.ready()
        assert exports.stop() == 0

        admin = ends.enter_context(closing(redis.Redis.from_url(told("second"))))
        admin.execute_command("ACL", "SETUSER", "default", "<first")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(told("first")).ping()
        cut(admin)
        until(lambda: exports_after.says(*UP) and shows_after.ready())
        # It was not restarted: this is what the test would see of a program that is refused.
        until(lambda: not shows.ready(), timeout_s=60)


def cut(admin: redis.Redis) -> None:
    """End every session but the administrator's: each program must log in again."""
    assert admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") >= 1


@pytest.mark.parametrize("secret", ["database", "redis", "api-key"])
def test_the_page_restarts_whoever_reads_the_secret_and_runs_on(secret: str) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (told,) = re.findall(rf"^\| `{secret}` \|.*\| ([a-z, ]+) \| [^|]+ \|$", page, re.MULTILINE)
    reading = {
        name
        for name, workload in workloads("production").items()
        for volume in pod(workload)["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if source["secret"]["name"] == secret and workload["kind"] != "Job"
    }
    assert set(told.split(", ")) == reading
