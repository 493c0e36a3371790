"""Backups as the platform makes them: kept, counted in the table ``backups``, tried once a week, brought back."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bentos.answering import code_version
from flows import wiring
from infra.backup import make_backup, mlflow_is_ours, on_local_cluster
from infra.backup_artifacts import SQLITE, put_back
from infra.backup_folder import Forgotten, dump_named, forget, newest
from infra.backup_manifest import BackupError, Manifest, read_manifest
from infra.backup_programs import address
from infra.backup_restore import check_empty, check_usable, restore_dump, restore_test
from infra.local import LocalStack
from services import migrate
from services.settings import Settings
from services.store import BackupRow
from services.store_backups import Kind

# A test a week, whatever nights were left out: the first night after six and a half days makes it.
TEST_EVERY = timedelta(days=6, hours=12)
NOTHING = Forgotten()


@dataclass(frozen=True)
class Backup:
    """A backup that was made, or one whose restore went well; ``kind`` says which."""

    kind: Kind
    dump: Path
    manifest: Manifest
    took_s: float
    forgotten: Forgotten = NOTHING

    def line(self) -> str:
        """One sentence, and one for whatever it does not hold."""
        own = self.manifest.database
        what = f"{len(own.tables)} tables and {own.rows} rows of {own.file}"
        if self.kind == "restore_test":
            return f"restored and compared {what}{self._models()}: all the same, in {self.took_s:.1f} s"
        gone = f"; deleted {len(self.forgotten.deleted)} older" if self.forgotten.deleted else ""
        return f"kept {what}{self._models()}: {self.manifest.bytes / 1e6:.1f} MB in {self.took_s:.1f} s{gone}"

    def _models(self) -> str:
        files = len(self.manifest.artifacts)
        return f", MLflow's {files} files" + (" and its database" if self.manifest.mlflow else "") if files else ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; the contents of every table too."""
        manifest = self.manifest.model_dump(mode="json", exclude={"artifacts"})
        return {
            "kind": self.kind, "dump": str(self.dump), "took_s": round(self.took_s, 3), "manifest": manifest,
            "artifacts": len(self.manifest.artifacts), **asdict(self.forgotten),
        }  # fmt: skip


@dataclass(frozen=True)
class Restored:
    """What was brought back, and where to; every table was compared."""

    dump: Path
    manifest: Manifest
    database: str
    mlflow_database: bool
    files: int
    took_s: float
    left: tuple[str, ...]
    """A sentence for everything that was not restored or is still to do."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        own = self.manifest.database
        return {
            "dump": str(self.dump), "database": self.database, "revision": self.manifest.revision, "equal": True,
            "tables": len(own.tables), "rows": own.rows, "mlflow_database": self.mlflow_database, "files": self.files,
            "took_s": round(self.took_s, 3), "left": list(self.left),
        }  # fmt: skip


def backup_folder(settings: Settings, folder: Path | None = None) -> Path:
    """``folder``, the setting's, or ``backups`` in the data folder."""
    return (folder or settings.backup_folder or settings.home / "backups").expanduser().resolve()


def backup(settings: Settings, folder: Path | None = None) -> Backup:
    """Make a backup, note it in the table, and forget the oldest. Raises BackupError, StoreError, SettingsError."""
    place = backup_folder(settings, folder)
    made = make_backup(settings, place, code_version=code_version())
    with wiring.store(settings) as store:
        store.record_backup(_row("backup", made.manifest, made.manifest.made_at, made.took_s, ok=True))
    return Backup("backup", made.dump, made.manifest, made.took_s, forget(place, settings.backups_kept))


def try_restore(settings: Settings, folder: Path | None = None) -> Backup:
    """Restore the newest backup into a throwaway database, compare, drop it, and note how it went.

    Raises BackupError and its kinds, StoreError, SettingsError.
    """
    dump = newest(backup_folder(settings, folder))
    with wiring.store(settings) as store:
        began_at, began_s = store.now_at(), time.perf_counter()
        manifest = read_manifest(dump)
        try:
            restore_test(dump, settings.resolved_database_url)
        except BackupError:
            store.record_backup(_row("restore_test", manifest, began_at, time.perf_counter() - began_s, ok=False))
            raise
        took_s = time.perf_counter() - began_s
        store.record_backup(_row("restore_test", manifest, began_at, took_s, ok=True))
    return Backup("restore_test", dump, manifest, took_s)


def nightly(settings: Settings) -> list[Backup]:
    """The night's backup, and once a week the test that it can be restored."""
    done = [backup(settings)]
    with wiring.store(settings) as store:
        tested_s = store.backup_ages().restore_test_s
    if tested_s is None or tested_s > TEST_EVERY.total_seconds():
        done.append(try_restore(settings))
    return done


def target_of(settings: Settings, into: str | None) -> str:
    """Where a restore would go, for a person to agree to."""
    if into is None and settings.database_url is None:
        return f"the local stack's databases in {settings.home}"
    at = address(into or settings.resolved_database_url)
    return f"database {at.database}"


def restore(settings: Settings, file: Path, into: str | None = None) -> Restored:
    """Bring a backup back into an empty database, and MLflow's things when the target is the local stack.

    ``into`` is another database's URL. The local stack must be down; its PostgreSQL is started for this. Raises
    BackupError and its kinds, DatabaseUnavailable, SettingsError, StackRunningError.
    """
    dump = dump_named(file)
    manifest = check_usable(dump)
    if into is not None or settings.database_url is not None:
        url = into or settings.resolved_database_url
        return _restore(settings, dump, manifest, url, models=into is None and mlflow_is_ours(settings))
    with LocalStack(settings, ("postgres",)):
        url = settings.resolved_database_url
        return _restore(settings, dump, manifest, url, models=mlflow_is_ours(settings))


def _restore(settings: Settings, dump: Path, manifest: Manifest, url: str, *, models: bool) -> Restored:
    began_s = time.perf_counter()
    left = list(manifest.left_out)
    registry = settings.local_database_url("mlflow") if models and on_local_cluster(settings) else None
    # Whatever refuses does so before anything is written.
    if manifest.mlflow is not None and registry is not None:
        check_empty(registry, manifest.mlflow)
    check_empty(url, manifest.database)
    files = put_back(dump.parent, manifest.artifacts, settings.home / "mlflow") if models else 0
    restore_dump(dump, manifest.database, url)
    mlflow = manifest.mlflow is not None and registry is not None
    if manifest.mlflow is not None and registry is not None:
        restore_dump(dump, manifest.mlflow, registry)
    elif manifest.mlflow is not None:
        left.append(f"MLflow's database: pg_restore brings {manifest.mlflow.file} to where your MLflow is")
    if registry is not None and any(one.path == SQLITE for one in manifest.artifacts):
        left.append(f"MLflow's database: {SQLITE} is in its place, and MLflow reads it while DATABASE_URL is set")
    if manifest.artifacts and not models:
        left.append("MLflow's files: they are restored with the local stack alone")
    if manifest.revision != migrate.expected():
        left.append(
            f"the tables are of revision {manifest.revision}: `python -m services.migrate` brings them up to date"
        )
    return Restored(dump, manifest, address(url).database, mlflow, files, time.perf_counter() - began_s, tuple(left))


def _row(kind: Kind, manifest: Manifest, made_at: datetime, took_s: float, *, ok: bool) -> BackupRow:
    own = manifest.database
    return BackupRow(
        kind=kind, made_at=made_at, file_name=own.file,
        bytes=manifest.bytes, sha256=own.sha256, tables=len(own.tables), rows=own.rows, took_s=took_s, ok=ok,
    )  # fmt: skip
