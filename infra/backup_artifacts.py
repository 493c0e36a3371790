"""MLflow's files beside its database: without its bundles a restored registry names models that nobody has.

Each content is kept once, under its digest, whatever number of backups names it: bundles never change, and a night's
new version shares most of its arrays with the one before.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from infra.backup_folder import publish
from infra.backup_manifest import Artifact, RestoreRefused, check_file, file_sha256, object_path

FILES = "artifacts"
SQLITE = "mlflow.db"
CHUNK = 1 << 20


def keep_artifacts(mlflow: Path, folder: Path, partial: Path, *, sqlite: bool) -> tuple[Artifact, ...]:
    """Copy what ``folder`` does not have yet; with ``sqlite`` also MLflow's own database file, as one snapshot.

    Links are left out. Raises OSError.
    """
    kept = []
    for path in _files(mlflow / FILES):
        kept.append(_keep(path, path.relative_to(mlflow).as_posix(), folder, partial))
    if sqlite and (mlflow / SQLITE).is_file():
        copy = partial / SQLITE
        # The file of a running server is not copied but read: sqlite's own backup sees whole transactions.
        with closing(sqlite3.connect(mlflow / SQLITE)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        kept.append(_keep(copy, SQLITE, folder, partial))
    return tuple(kept)


def put_back(folder: Path, artifacts: tuple[Artifact, ...], mlflow: Path) -> int:
    """Write the files that are not there; the number written. One that is there and differs is refused before any is.

    Raises RestoreRefused, BackupDamaged, OSError.
    """
    missing = []
    for one in artifacts:
        path = mlflow / one.path
        if not path.exists():
            missing.append(one)
        elif file_sha256(path) != one.sha256:
            raise RestoreRefused(
                f"{path} is there and is not the file of the backup: restore into a new data folder (HALFTIME_HOME)"
            )
    for one in missing:
        path = mlflow / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.restoring")
        shutil.copyfile(object_path(folder, one.sha256), fresh)
        check_file(fresh, one.sha256)
        fresh.rename(path)
    return len(missing)


def _keep(path: Path, name: str, folder: Path, partial: Path) -> Artifact:
    # What is kept is what was hashed, also when the file is being written to.
    digest, size, copy = hashlib.sha256(), 0, partial / "artifact"
    with path.open("rb") as source, copy.open("wb") as target:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
    sha256 = digest.hexdigest()
    place = object_path(folder, sha256)
    # One that went bad is replaced by the good one at hand.
    if place.exists() and file_sha256(place) != sha256:
        place.unlink()
    if not place.exists():
        publish(copy, place)
    return Artifact(path=name, bytes=size, sha256=sha256)


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
