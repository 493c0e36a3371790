"""Migrations and the connection on the real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from services import migrate
from services.database import DatabaseNotReady, DatabaseUnavailable, StoreError, make_engine, transaction
from services.schema import metadata
from services.store import Store
from tests.support.rows import forecast_row, game_row, prediction_row
from tests.support.servers import PostgresServer, free_port


def test_a_new_database_is_brought_to_the_expected_revision(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    assert migrate.current(url) is None
    assert migrate.upgrade(url) == migrate.expected() == migrate.current(url)
    assert migrate.upgrade(url) == migrate.expected(), "again changes nothing"


def test_twenty_migrations_at_once_are_one(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    barrier = Barrier(20)

    def run(_: int) -> str:
        barrier.wait()
        return migrate.upgrade(url)

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(run, range(20))) == {migrate.expected()}


def test_processes_that_migrate_at_once_wait_for_each_other(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    env = os.environ | {"DATABASE_URL": url}
    command = [sys.executable, "-m", "services.migrate"]
    running = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * 4, said
    assert {out.decode().strip() for out, _ in said} == {migrate.expected()}


FIRST = """
INSERT INTO games (game_id, source, season, season_type, league_date, home, away)
VALUES ('0022200781', 'recorded', 2022, 'regular', '2023-02-03', 'BOS', 'PHX');
INSERT INTO predictions (id, request_id, game_id, minute, pattern, context, alpha, point, lower, upper, components,
    model_version, model_digest, calibration_id, code_version, created_at)
SELECT gen_random_uuid(), 'r' || place, '0022200781', 18, array_fill(place::float, ARRAY[18]), '{}', 0.05, 4.5, -6.5,
    15.5, '{}', '3', repeat('ab', 32), 'cal-' || place, 'test', now() FROM generate_series(1, 2) place;
INSERT INTO official_forecasts (game_id, minute, revision, prediction_id, tick_digest, persistence, forecast_at)
SELECT game_id, minute, right(request_id, 1)::int - 1, id, repeat('ab', 16), 3, now()
FROM predictions ORDER BY request_id;
INSERT INTO dispositions VALUES ('0022200781', 'forecast', 'made');
INSERT INTO actuals (game_id, revision, margin, state, source) VALUES ('0022200781', 0, 7, 'final', 'feed');
INSERT INTO settlements (official_id, actual_id, error, covered, persistence_error) VALUES (2, 1, 2.5, true, 4);
"""


def test_forecasts_of_the_first_tables_stay_what_they_were(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    migrate.upgrade(url, "0001")
    with Store.open(url) as store:
        with transaction(store.engine) as connection:
            connection.execute(text(FIRST))
        assert migrate.upgrade(url) == migrate.expected()
        with transaction(store.engine) as connection:
            query = "SELECT id, minute, revision, role, model_version, calibration_id FROM forecasts ORDER BY id"
            assert connection.execute(text(query)).all() == [
                (1, 18, 0, "champion", "3", "cal-1"), (2, 18, 1, "champion", "3", "cal-2"),
            ]  # fmt: skip
        standing = store.latest_forecast("0022200781")
        assert standing is not None
        assert (standing.forecast_id, standing.revision, standing.pattern[-1]) == (2, 1, 2.0)
        [game] = store.night(game_row().league_date).games
        assert (game.disposition, game.settlement and game.settlement.error) == ("forecast", 2.5)
        assert store.settle("0022200781") == []
        with pytest.raises(StoreError, match="append-only"), transaction(store.engine) as connection:
            connection.execute(text("DELETE FROM forecasts"))


def test_tables_in_code_and_database_are_the_same(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_every_index_and_constraint_carries_its_table_name(store: Store) -> None:
    query = """
        SELECT c.relname, t.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_class t ON t.oid = i.indrelid WHERE t.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT conname, conrelid::regclass::text FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype <> 'n' AND conrelid <> 0
    """
    with store.engine.begin() as connection:
        rows = [(name, table) for name, table in connection.execute(text(query)) if table != "alembic_version"]
    assert rows
    assert [name for name, table in rows if not name.startswith(f"{table}_")] == []


def test_no_time_without_zone_and_no_short_identity(store: Store) -> None:
    query = """
        SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'
        AND (data_type = 'timestamp without time zone' OR data_type = 'real'
             OR column_name = 'id' AND data_type NOT IN ('bigint', 'uuid'))
    """
    with store.engine.begin() as connection:
        assert connection.execute(text(query)).all() == []


def test_a_database_newer_than_the_code_is_named(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    migrate.upgrade(url)
    engine = make_engine(url)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(migrate.MigrationError, match="9999"):
        migrate.upgrade(url)


def test_a_database_without_tables_says_to_migrate(postgres_server: PostgresServer) -> None:
    with (
        Store.open(postgres_server.new_database()) as store,
        pytest.raises(DatabaseNotReady, match=r"services\.migrate"),
    ):
        store.disposition("0022200781")


def test_the_running_system_may_append_and_nothing_more(postgres_server: PostgresServer) -> None:
    url = postgres_server.emptied()
    with Store.open(url) as owner, transaction(owner.engine) as connection:
        connection.execute(text("DROP ROLE IF EXISTS night_app"))
        connection.execute(text("CREATE ROLE night_app LOGIN PASSWORD 'app'"))
    migrate.grant(url, "night_app")
    migrate.grant(url, "night_app")
    address = url.split("@")[1]
    with Store.open(f"postgresql+psycopg2://night_app:app@{address}") as app:
        app.upsert_games([game_row()])
        app.record_forecast(prediction_row(), forecast_row())
        app.record_actual("0022200781", 7, source="feed")
        assert len(app.settle("0022200781")) == 1
        assert app.acquire_lease("poller", "a", 10) == 1
        assert len(app.night(game_row().league_date).games) == 1
        for statement in ("CREATE TABLE mine (x int)", "DROP TABLE predictions", "DELETE FROM predictions",
                          "ALTER TABLE predictions DISABLE TRIGGER ALL"):  # fmt: skip
            with pytest.raises(StoreError, match="lacks a right"), transaction(app.engine) as connection:
                connection.execute(text(statement))
    with Store.open(url) as owner, transaction(owner.engine) as connection:
        connection.execute(text("DROP OWNED BY night_app"))
        connection.execute(text("DROP ROLE night_app"))


def test_a_role_name_that_is_more_than_a_name_is_refused(database_url: str) -> None:
    with pytest.raises(migrate.MigrationError):
        migrate.grant(database_url, 'x" CASCADE; --')


def test_an_unreachable_database_is_a_named_error() -> None:
    store = Store.open(f"postgresql+psycopg2://u:p@127.0.0.1:{free_port()}/x")
    with pytest.raises(DatabaseUnavailable, match="try again"):
        store.ping()
    assert store.reachable() is False


def test_a_statement_that_takes_too_long_is_ended(database_url: str) -> None:
    engine = make_engine(database_url, statement_timeout_s=0.2)
    with pytest.raises(DatabaseUnavailable, match="timeout"), transaction(engine) as connection:
        connection.execute(text("SELECT pg_sleep(30)"))
    engine.dispose()


def test_a_connection_that_the_server_ended_is_replaced(store: Store) -> None:
    store.ping()
    with transaction(store.engine) as connection:
        others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND " \
            "application_name = 'halftime-test' AND datname = current_database()"  # fmt: skip
        connection.execute(text(others))
    store.ping()
    assert store.reachable()
