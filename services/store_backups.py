"""Backups that were made and restores that were tried, and how long each has been owed. Append-only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert

from services.database import transaction
from services.schema import backups

Kind = Literal["backup", "restore_test"]

# Owed is what was recorded after the newest good backup, whatever made it be missed: nights without games owe none.
_AGES = text(
    """
    WITH newest AS (
        SELECT coalesce(max(made_at) FILTER (WHERE kind = 'backup'), '-infinity') AS backup,
               coalesce(max(made_at) FILTER (WHERE kind = 'restore_test'), '-infinity') AS test
        FROM backups WHERE ok
    )
    SELECT extract(epoch FROM clock_timestamp() - nullif(backup, '-infinity')) AS backup_s,
           extract(epoch FROM clock_timestamp() - nullif(test, '-infinity')) AS restore_test_s,
           extract(epoch FROM clock_timestamp() - (
               SELECT min(decided_at) FROM dispositions WHERE decided_at > newest.backup)) AS owed_s,
           extract(epoch FROM clock_timestamp() - (
               SELECT min(made_at) FROM backups WHERE ok AND kind = 'backup' AND made_at > newest.test)) AS untested_s
    FROM newest
    """
)


@dataclass(frozen=True, slots=True)
class BackupRow:
    """A backup, or a restore of one that was tried.

    ``made_at`` is when its snapshot was taken, or the trial began, by the database's clock; ``bytes`` is the size of
    its dumps, ``sha256`` that of the dump ``file_name``; ``tables`` and ``rows`` are those of Halftime's own database.
    """

    kind: Kind
    made_at: datetime
    file_name: str
    bytes: int
    sha256: str
    tables: int
    rows: int
    took_s: float
    ok: bool


@dataclass(frozen=True, slots=True)
class BackupAges:
    """Seconds by the database's clock; None where there is nothing to be old.

    ``owed_s``: since the first game was decided that is in no good backup. ``untested_s``: since the first good backup
    after the newest good restore test.
    """

    backup_s: float | None = None
    restore_test_s: float | None = None
    owed_s: float | None = None
    untested_s: float | None = None


class BackupStore:
    """The part of the store that keeps ``backups``."""

    engine: Engine

    def record_backup(self, row: BackupRow) -> bool:
        """Keep a row; False when it is there. Raises RowRefused."""
        with transaction(self.engine) as connection:
            return connection.execute(insert(backups).values(asdict(row)).on_conflict_do_nothing()).rowcount == 1

    def backup_history(self, limit: int = 100) -> list[BackupRow]:
        """Backups and restore tests, newest first."""
        names = list(BackupRow.__dataclass_fields__)
        query = select(*(backups.c[name] for name in names)).order_by(backups.c.id.desc()).limit(limit)
        with transaction(self.engine) as connection:
            return [BackupRow(**row) for row in connection.execute(query).mappings()]

    def now_at(self) -> datetime:
        """The database's clock."""
        with transaction(self.engine) as connection:
            now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return now

    def backup_ages(self) -> BackupAges:
        """How old the newest good ones are, and how long others are owed."""
        with transaction(self.engine) as connection:
            return read_backup_ages(connection)


def read_backup_ages(connection: Connection) -> BackupAges:
    """The same within a reading of others."""
    row = connection.execute(_AGES).one()
    return BackupAges(**{name: None if age is None else float(age) for name, age in row._mapping.items()})
