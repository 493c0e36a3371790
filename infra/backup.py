"""Makes a backup: one snapshot of our database, MLflow's database and files, and a manifest that tells what is there.

halftime-20230204T123000Z.dump          our database, in pg_dump's custom format
halftime-20230204T123000Z.mlflow.dump   MLflow's, when it is the local stack's on PostgreSQL
halftime-20230204T123000Z.json          the manifest; it comes last, and without it there is no backup
artifacts/ab/ab12..                     MLflow's files by digest, each content once
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from infra.backup_artifacts import keep_artifacts
from infra.backup_contents import Snapshot, snapshot
from infra.backup_folder import publish, writing
from infra.backup_manifest import Artifact, DumpFile, Manifest, file_sha256, manifest_of
from infra.backup_programs import Address, address, programs_for, run
from services.settings import Settings, SettingsError

LOCK_WAIT_MS = 60_000


@dataclass(frozen=True)
class Made:
    """A finished backup."""

    dump: Path
    manifest: Manifest
    took_s: float


@dataclass(frozen=True)
class MlflowPlace:
    """Where MLflow keeps its things: its database on the local cluster, its folder; None where it is out of reach."""

    url: str | None
    folder: Path | None
    left_out: tuple[str, ...] = ()


def mlflow_place(settings: Settings) -> MlflowPlace:
    """MLflow's things as far as they are the local stack's."""
    if not mlflow_is_ours(settings):
        return MlflowPlace(None, None, ("the models: MLFLOW_TRACKING_URI names a server elsewhere, back it up there",))
    folder = settings.home / "mlflow"
    if not folder.is_dir():
        return MlflowPlace(None, None, (f"the models: there is no {folder.name} in the data folder",))
    return MlflowPlace(settings.local_database_url("mlflow") if on_local_cluster(settings) else None, folder)


def mlflow_is_ours(settings: Settings) -> bool:
    """Whether MLflow is the local stack's."""
    return settings.mlflow_tracking_uri in (None, f"http://{settings.host}:{settings.mlflow_port}")


def on_local_cluster(settings: Settings) -> bool:
    """Whether our database is the local stack's, whose programs are told its address like any other."""
    try:
        own = settings.local_database_url("halftime")
    except SettingsError:
        return False
    return settings.database_url in (None, own)


def make_backup(settings: Settings, folder: Path, *, code_version: str) -> Made:
    """Back up into ``folder``; nothing with the name of a backup is there before all of it is.

    Raises BackupError, DatabaseUnavailable, SettingsError.
    """
    began_s = time.perf_counter()
    at, mlflow = address(settings.resolved_database_url), mlflow_place(settings)
    with writing(folder) as partial:
        with snapshot(at) as seen:
            name = f"halftime-{seen.taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
            revision = seen.revision()
            ours = _dump(at, seen, partial / f"{name}.dump")
        theirs: DumpFile | None = None
        if mlflow.url is not None:
            elsewhere = address(mlflow.url)
            with snapshot(elsewhere) as also:
                theirs = _dump(elsewhere, also, partial / f"{name}.mlflow.dump")
        # In this order: a version is registered before our tables name it, and its files are there before it is.
        files: tuple[Artifact, ...] = ()
        if mlflow.folder is not None:
            files = keep_artifacts(mlflow.folder, folder, partial, sqlite=mlflow.url is None)
        manifest = Manifest(
            made_at=seen.taken_at,
            server_version=seen.server_name,
            revision=revision,
            code_version=code_version,
            database=ours,
            mlflow=theirs,
            artifacts=files,
            left_out=mlflow.left_out,
        )
        dump = folder / ours.file
        told = partial / manifest_of(dump).name
        told.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        for path in (*(partial / one.file for one in reversed(manifest.dumps)), told):
            publish(path, folder / path.name)
    return Made(dump, manifest, time.perf_counter() - began_s)


def _dump(at: Address, seen: Snapshot, path: Path) -> DumpFile:
    """Dump what the snapshot sees, and count it."""
    program = programs_for(seen.server_version) / "pg_dump"
    options = ["--format=custom", f"--snapshot={seen.name}", f"--lock-wait-timeout={LOCK_WAIT_MS}", "--no-sync"]
    run(program, [*options, f"--file={path}"], at)
    return DumpFile(file=path.name, bytes=path.stat().st_size, sha256=file_sha256(path), tables=seen.contents())
