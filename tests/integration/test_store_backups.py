"""The table of backups: kept once, never changed, and what it says of what is owed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import generate_latest
from sqlalchemy import text

from monitoring.exporter import make_registry
from services.database import RowRefused, StoreError, transaction
from services.store import BackupRow, Store
from tests.support.settled_night import add_forecast, add_game

ROW = BackupRow(
    kind="backup", made_at=None, file_name="halftime-20230204T123000Z.dump", bytes=100, sha256="ab" * 32, tables=18,  # type: ignore[arg-type]
    rows=40, took_s=1.5, ok=True,
)  # fmt: skip


def ago(store: Store, hours: float, **changes: object) -> BackupRow:
    """A row made ``hours`` before now by the database's clock."""
    return replace(ROW, made_at=store.now_at() - timedelta(hours=hours), **changes)  # type: ignore[arg-type]


def test_a_backup_is_kept_once_and_never_changed(store: Store) -> None:
    row = ago(store, 1)
    assert store.record_backup(row)
    assert not store.record_backup(row)
    assert store.backup_history() == [row]
    for statement in ("UPDATE backups SET ok = false", "DELETE FROM backups", "TRUNCATE backups"):
        with pytest.raises(StoreError, match="append-only"), transaction(store.engine) as connection:
            connection.execute(text(statement))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "copy"},
        {"file_name": "../x.dump"},
        {"bytes": 0},
        {"sha256": "x"},
        {"rows": -1},
        {"took_s": float("nan")},
    ],
)
def test_nonsense_is_refused(store: Store, changes: dict[str, object]) -> None:
    with pytest.raises(RowRefused):
        store.record_backup(ago(store, 1, **changes))


def test_an_empty_database_owes_nothing_and_knows_no_age(store: Store) -> None:
    ages = store.backup_ages()
    assert (ages.backup_s, ages.restore_test_s, ages.owed_s, ages.untested_s) == (None, None, None, None)


def test_a_decided_game_is_owed_a_backup_until_there_is_one(store: Store) -> None:
    store.record_backup(ago(store, 30))
    assert store.backup_ages().owed_s is None
    add_game(store, 1)
    add_forecast(store, 1)
    owed = store.backup_ages()
    assert owed.owed_s is not None
    assert 0 <= owed.owed_s < 600
    assert owed.backup_s == pytest.approx(30 * 3600, abs=600)
    store.record_backup(ago(store, 0, ok=False))
    assert store.backup_ages().owed_s is not None, "one that failed is none"
    store.record_backup(ago(store, 0, file_name="halftime-20230205T123000Z.dump"))
    assert store.backup_ages().owed_s is None


def test_a_backup_is_owed_a_test_until_a_restore_went_well(store: Store) -> None:
    store.record_backup(ago(store, 50))
    store.record_backup(ago(store, 26))
    assert store.backup_ages().untested_s == pytest.approx(50 * 3600, abs=600)
    store.record_backup(ago(store, 25, kind="restore_test", ok=False))
    assert store.backup_ages().restore_test_s is None
    store.record_backup(ago(store, 24, kind="restore_test"))
    store.record_backup(ago(store, 2))
    ages = store.backup_ages()
    assert ages.restore_test_s == pytest.approx(24 * 3600, abs=600)
    assert ages.untested_s == pytest.approx(2 * 3600, abs=600)


def test_the_exporter_publishes_the_ages_of_the_table(store: Store) -> None:
    assert b"\nhalftime_backup_age_seconds " not in generate_latest(make_registry(store.engine))
    store.record_backup(ago(store, 1))
    page = generate_latest(make_registry(store.engine)).decode()
    [line] = [line for line in page.splitlines() if line.startswith("halftime_backup_age_seconds ")]
    assert float(line.split()[1]) == pytest.approx(3600, abs=600)
