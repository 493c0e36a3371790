"""Brings a backup back: into an empty database, and then compares every table with what was kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import errors, sql
from sqlalchemy import make_url

from infra.backup_contents import plain_name, snapshot
from infra.backup_manifest import (
    BackupError,
    DumpFile,
    Manifest,
    RestoreDiffers,
    RestoreRefused,
    TableContents,
    check_backup,
)
from infra.backup_programs import Address, address, programs_for, run
from services import migrate
from services.database import first_line
from services.schema import metadata

REVISIONS = "alembic_version"


@dataclass(frozen=True)
class Target:
    """A database that can be restored into: whether it has tables, all empty, and the programs for its server."""

    tables: bool
    programs: Path


def check_usable(dump: Path) -> Manifest:
    """The manifest of a backup that is whole and that this code can use. Raises BackupDamaged, RestoreRefused."""
    manifest = check_backup(dump)
    if manifest.revision not in migrate.known():
        raise RestoreRefused(
            f"{dump.name} has tables of revision {manifest.revision}, which this code (revision {migrate.expected()})"
            " does not know: restore it with the code that made it, or newer"
        )
    return manifest


def restore_dump(dump: Path, part: DumpFile, url: str) -> None:
    """Restore one dump of a backup into an empty database and compare.

    ``dump`` is the backup's own file, ``part`` the dump of it that is meant. All or nothing, except that a database
    with empty tables has none when this fails. Raises RestoreRefused, RestoreDiffers, BackupError,
    DatabaseUnavailable.
    """
    at = address(url)
    found = check_empty(url, part)
    if found.tables:
        _drop_tables(at)
    options = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]
    run(found.programs / "pg_restore", [*options, str(dump.with_name(part.file))], at)
    with snapshot(at) as back:
        compare(part.tables, back.contents(), at.database)


def compare(kept: dict[str, TableContents], back: dict[str, TableContents], database: str) -> None:
    """Raises RestoreDiffers, naming every table that is not what it was."""
    told = []
    for table in sorted(kept.keys() | back.keys()):
        was, now = kept.get(table), back.get(table)
        if was is None or now is None:
            told.append(f"{table} is {'missing' if now is None else 'not in the backup'}")
        elif was.rows != now.rows:
            told.append(f"{table} has {now.rows} rows and had {was.rows}")
        elif was.sha256 != now.sha256:
            told.append(f"the {now.rows} rows of {table} are not the same")
    if told:
        raise RestoreDiffers(f"database {database} is not what was kept: {'; '.join(told)}")


def restore_test(dump: Path, url: str) -> Manifest:
    """Restore a backup's dumps into a throwaway database beside the one at ``url``, compare, and drop it.

    Raises BackupError and its kinds, DatabaseUnavailable.
    """
    at = address(url)
    name = f"{at.database[:50]}_restore_test"
    manifest = check_usable(dump)
    for part in manifest.dumps:
        with _throwaway(at, name):
            restore_dump(dump, part, make_url(url).set(database=name).render_as_string(hide_password=False))
    return manifest


def check_empty(url: str, part: DumpFile) -> Target:
    """See that the database holds no row, and nobody is in it. Raises RestoreRefused, BackupError, DatabaseUnavailable.

    Tables without rows are what migrations make of an empty database.
    """
    at = address(url)
    with snapshot(at) as before:
        tables = before.tables()
        filled = [plain_name(*table) for table in tables if table[1] != REVISIONS and before.holds_rows(*table)]
        strange = {plain_name(*table) for table in tables} - part.tables.keys() - metadata.tables.keys() - {REVISIONS}
        others, version = before.others(), before.server_version
    if filled or strange:
        raise RestoreRefused(
            f"database {at.database} is not empty ({', '.join(filled or sorted(strange))}), and a restore overwrites"
            " nothing: name an empty one with --into, or a new data folder with HALFTIME_HOME"
        )
    if others:
        raise RestoreRefused(f"{others} other connections to database {at.database} are open: stop what uses it first")
    return Target(bool(tables), programs_for(version))


def _drop_tables(at: Address) -> None:
    try:
        _execute(at, sql.SQL("DROP SCHEMA public CASCADE"), sql.SQL("CREATE SCHEMA public"))
    except psycopg2.Error as error:
        raise BackupError(f"the empty tables of {at.database} cannot be dropped: {first_line(error)}") from error


@contextmanager
def _throwaway(at: Address, name: str) -> Iterator[None]:
    drop = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
    try:
        # One that a killed test left goes first; one that is in use is another test's, and stays.
        _execute(at, drop)
        _execute(at, sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    except errors.ObjectInUse as error:
        raise BackupError(f"database {name} is in use: another restore test is running, wait for it to end") from error
    except errors.InsufficientPrivilege as error:
        raise BackupError(
            f"the restore test may not make the database {name}: let its role do so (ALTER ROLE .. CREATEDB), or try"
            " the backup on another server with `./halftime restore FILE --into URL`"
        ) from error
    except psycopg2.Error as error:
        raise BackupError(f"the database {name} cannot be made: {first_line(error)}") from error
    try:
        yield
    finally:
        _execute(at, drop)


def _execute(at: Address, *statements: sql.Composable) -> None:
    """Each statement by itself, without a transaction around. Raises psycopg2.Error, DatabaseUnavailable."""
    connection = at.connect()
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()
