"""What a backup says of itself: its files with their digests, and the contents of every table it holds.

BackupError                 no backup could be made, or none restored; the message says what to do
+-- BackupDamaged           a file is not what its manifest says
+-- RestoreRefused          restoring would overwrite something, or this code cannot use it
+-- RestoreDiffers          what came back is not what was kept
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

STAMP = r"[0-9]{8}T[0-9]{6}Z"
DUMP = re.compile(rf"halftime-({STAMP})\.dump")
MANIFEST = re.compile(rf"halftime-({STAMP})\.json")
SHA256 = r"^[0-9a-f]{64}$"


class BackupError(RuntimeError):
    """No backup could be made or used."""


class BackupDamaged(BackupError):
    """A file of a backup is missing, cannot be read, or is not what its manifest says."""


class RestoreRefused(BackupError):
    """The target is not empty, or the backup is of newer code."""


class RestoreDiffers(BackupError):
    """Counts or checksums after a restore are not those of the manifest."""


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TableContents(_Kept):
    """How many rows a table has, and a digest of them that does not depend on their order."""

    rows: int = Field(ge=0)
    sha256: str = Field(pattern=SHA256)


class DumpFile(_Kept):
    """A dump in PostgreSQL's custom format, and what every table held in its snapshot."""

    file: str = Field(pattern=rf"^halftime-{STAMP}(\.mlflow)?\.dump$")
    bytes: int = Field(gt=0)
    sha256: str = Field(pattern=SHA256)
    tables: dict[str, TableContents]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables.values())


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise ValueError(f"{path!r} leads out of the folder")
    return path


class Artifact(_Kept):
    """A file of MLflow, by its path below MLflow's folder; its bytes are kept under their digest."""

    path: Annotated[str, AfterValidator(_inside)]
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=SHA256)


class Manifest(_Kept):
    """The file beside a dump. ``made_at`` is when the snapshot was taken, by the database's clock; ``revision`` that of
    the tables; ``left_out`` has a sentence for whatever this backup does not hold."""

    format: Literal[1] = 1
    made_at: AwareDatetime
    server_version: str
    revision: str
    code_version: str
    database: DumpFile
    mlflow: DumpFile | None = None
    artifacts: tuple[Artifact, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def dumps(self) -> tuple[DumpFile, ...]:
        """The dumps it names, our own database's first."""
        return (self.database,) if self.mlflow is None else (self.database, self.mlflow)

    @property
    def bytes(self) -> int:
        """Size of its dumps."""
        return sum(dump.bytes for dump in self.dumps)


def manifest_of(dump: Path) -> Path:
    """Where the manifest of a dump is."""
    return dump.with_suffix(".json")


def read_manifest(dump: Path) -> Manifest:
    """The manifest beside ``dump``. Raises BackupDamaged."""
    path = manifest_of(dump)
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BackupDamaged(
            f"{dump} has no manifest that can be read ({path.name}: {error.strerror}): nothing tells whether it is"
            " whole; take another backup"
        ) from error
    except ValidationError as error:
        raise BackupDamaged(
            f"{path} is not a manifest of a backup ({error.errors(include_url=False)[0]['msg']}): take another backup"
        ) from error
    if manifest.database.file != dump.name:
        raise BackupDamaged(f"{path} is the manifest of {manifest.database.file}, not of {dump.name}")
    return manifest


def check_backup(dump: Path, known: set[str] | None = None) -> Manifest:
    """The manifest of a backup whose dumps and artifacts are all there, byte for byte. Raises BackupDamaged.

    ``known`` holds the artifacts that were found good already, and gets those that are found now.
    """
    manifest = read_manifest(dump)
    good = set() if known is None else known
    for one in manifest.dumps:
        check_file(dump.with_name(one.file), one.sha256)
    for sha256 in {artifact.sha256 for artifact in manifest.artifacts} - good:
        check_file(object_path(dump.parent, sha256), sha256)
        good.add(sha256)
    return manifest


def object_path(folder: Path, sha256: str) -> Path:
    """Where the bytes of an artifact are kept."""
    return folder / "artifacts" / sha256[:2] / sha256


def check_file(path: Path, sha256: str) -> None:
    """Raises BackupDamaged, naming the file, unless it has this digest."""
    try:
        found = file_sha256(path)
    except OSError as error:
        raise BackupDamaged(f"{path} cannot be read ({error.strerror}): take another backup") from error
    if found != sha256:
        raise BackupDamaged(
            f"{path} is not what was kept: its sha256 is {found}, the manifest says {sha256}; take another backup"
        )


def file_sha256(path: Path) -> str:
    """The file's digest. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
