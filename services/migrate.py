"""Brings the database's tables to what this code expects; safe to run from any number of processes at once.

``python -m services.migrate`` does it for the configured database.
"""

from __future__ import annotations

import io
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from services.database import StoreError, make_engine, transaction
from services.schema import metadata

FOLDER = Path(__file__).resolve().parent / "migrations"
# Any constant: whoever holds this advisory lock is the one that migrates.
LOCK = 4821_1824
MIGRATE_S = 300.0
CHANGING = frozenset({"games", "model_performance", "alarm_states", "leases", "ticks"})

# Alembic keeps the running migration in module globals: one at a time in a process.
_one_at_a_time = threading.Lock()


class MigrationError(StoreError):
    """The database holds a revision that this code does not know, or a role name that cannot be used."""


def expected() -> str:
    """The revision this code needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise MigrationError(f"no migrations found in {FOLDER}")
    return head


def known() -> frozenset[str]:
    """Every revision this code can bring up to date."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def current(url: str) -> str | None:
    """The revision the database has; None when it has none. Raises DatabaseUnavailable."""
    engine = make_engine(url, application="halftime-migrate", pool_size=1)
    try:
        return _current(engine)
    finally:
        engine.dispose()


def upgrade(url: str, revision: str = "head") -> str:
    """Run what is missing up to ``revision``, all or nothing, in one transaction; the revision then in force.

    Raises MigrationError when the database is newer than this code, DatabaseUnavailable when it cannot be reached.
    """
    engine = make_engine(url, application="halftime-migrate", pool_size=1, statement_timeout_s=MIGRATE_S)
    try:
        # In this order: a thread that waits for its turn must not hold a connection.
        with _one_at_a_time, transaction(engine) as connection:
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            config = _config()
            present = MigrationContext.configure(connection).get_current_revision()
            if present is not None and present not in known():
                raise MigrationError(
                    f"the database is at revision {present}, which this code does not know: update the code"
                )
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        return _current(engine) or ""
    finally:
        engine.dispose()


def grant(url: str, role: str) -> None:
    """Give an existing role the rights the running system needs and no more: no DDL, no change to what is append-only.

    Idempotent; run as the owner after ``upgrade``. Raises MigrationError for a role name that is not plain.
    """
    if not role.isidentifier() or not role.isascii():
        raise MigrationError(f"role name {role!r}: use letters, digits and underscores")
    engine = make_engine(url, application="halftime-migrate", pool_size=1)
    try:
        with transaction(engine) as connection:
            connection.execute(text(f'GRANT USAGE ON SCHEMA public TO "{role}"'))
            connection.execute(text(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{role}"'))
            for table in metadata.tables:
                rights = "INSERT, UPDATE" if table in CHANGING else "INSERT"
                connection.execute(text(f'GRANT {rights} ON "{table}" TO "{role}"'))
            connection.execute(text(f'GRANT DELETE ON ticks TO "{role}"'))
    finally:
        engine.dispose()


def _config() -> Config:
    config = Config(stdout=io.StringIO(), output_buffer=io.StringIO())
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _current(engine: Engine) -> str | None:
    with transaction(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def main() -> None:
    """Upgrade the configured database."""
    from services.settings import get_settings

    print(upgrade(get_settings().resolved_database_url))  # noqa: T201


if __name__ == "__main__":
    main()
