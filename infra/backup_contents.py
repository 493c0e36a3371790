"""What a database holds, table by table, as one snapshot sees it: the same before a dump and after a restore."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg2
from psycopg2 import sql

from infra.backup_manifest import BackupError, TableContents
from infra.backup_programs import Address
from services.database import DatabaseUnavailable, first_line

_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1, 2
"""
# The text of a row is the same in every server and session as long as these are; rows are in order of their digests, so
# neither a key nor a collation matters.
_FORMS = "SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL TimeZone = 'UTC';" \
    " SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1"  # fmt: skip
_ROWS = """
COPY (
    SELECT encode(digest, 'hex')
    FROM (SELECT sha256(convert_to(one::text, 'UTF8')) AS digest FROM {} AS one) AS rows ORDER BY digest
) TO STDOUT
"""


@dataclass(frozen=True)
class Snapshot:
    """A database at one moment, as long as its transaction is open; ``name`` lets pg_dump see the same."""

    name: str
    taken_at: datetime
    server_version: int
    server_name: str
    cursor: psycopg2.extensions.cursor

    def contents(self) -> dict[str, TableContents]:
        """Rows and digest of every table; those of the schema public by their plain name."""
        self.cursor.execute(_FORMS)
        return {plain_name(*table): self._table(*table) for table in self.tables()}

    def tables(self) -> list[tuple[str, str]]:
        """(schema, name) of every table."""
        self.cursor.execute(_TABLES)
        return list(self.cursor.fetchall())

    def holds_rows(self, schema: str, name: str) -> bool:
        """Whether the table has any row."""
        self.cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(schema, name)))
        [(found,)] = self.cursor.fetchall()
        return bool(found)

    def others(self) -> int:
        """Connections of others to this database."""
        self.cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        [(found,)] = self.cursor.fetchall()
        return int(found)

    def revision(self) -> str:
        """The revision of our tables. Raises BackupError when there are none."""
        self.cursor.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL")
        [(there,)] = self.cursor.fetchall()
        if there:
            self.cursor.execute("SELECT version_num FROM public.alembic_version")
            found = self.cursor.fetchall()
            if len(found) == 1:
                return str(found[0][0])
        raise BackupError("the database holds none of Halftime's tables: run the migrations, or check DATABASE_URL")

    def _table(self, schema: str, name: str) -> TableContents:
        digest = _Digest()
        self.cursor.copy_expert(sql.SQL(_ROWS).format(sql.Identifier(schema, name)), digest)
        return TableContents(rows=digest.rows, sha256=digest.sha256.hexdigest())


def plain_name(schema: str, name: str) -> str:
    """A table's name, with its schema when that is not public."""
    return name if schema == "public" else f"{schema}.{name}"


@contextmanager
def snapshot(at: Address) -> Iterator[Snapshot]:
    """The database as it is now, whatever is written meanwhile. Raises DatabaseUnavailable, BackupError."""
    connection = at.connect()
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_export_snapshot(), now(), current_setting('server_version_num')::int,"
                " current_setting('server_version')"
            )
            [(name, taken_at, number, version)] = cursor.fetchall()
            yield Snapshot(name, taken_at, number, version, cursor)
    except psycopg2.OperationalError as error:
        raise DatabaseUnavailable(error) from error
    except psycopg2.Error as error:
        raise BackupError(f"database {at.database} could not be read: {first_line(error)}") from error
    finally:
        connection.close()


class _Digest:
    """Takes the lines of COPY and keeps their number and digest."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.rows = 0

    def write(self, data: bytes) -> None:
        self.sha256.update(data)
        self.rows += data.count(b"\n")
