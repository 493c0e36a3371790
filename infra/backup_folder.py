"""The folder backups lie in: one writer at a time, files that are whole or not there, and only the newest kept."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.backup_manifest import DUMP, MANIFEST, BackupDamaged, BackupError, check_backup

PARTIAL = ".partial"


@dataclass(frozen=True)
class Forgotten:
    """What retention took away: names of dumps, and of those that were damaged why."""

    deleted: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    """A sentence for each deleted backup that was not what its manifest says."""


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """A fresh folder for unfinished files, inside ``folder`` so that they can be renamed. Raises BackupError.

    One writer at a time: what an earlier one left, because it was killed, is removed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise BackupError(f"the folder {folder} cannot be written ({error.strerror}): name another one") from error
    partial = folder / PARTIAL
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"another backup is being made in {folder}: wait for it to end") from None
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(mode=0o700)
            yield partial
        except OSError as error:
            raise BackupError(f"a file in {folder} could not be written: {error.strerror or error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    finally:
        os.close(lock)


def publish(partial: Path, path: Path) -> None:
    """Give a finished file its place, durably. Raises OSError, BackupError when something is there."""
    if path.exists():
        raise BackupError(f"{path} is there already: wait a second and try again")
    path.parent.mkdir(parents=True, exist_ok=True)
    _sync(partial)
    partial.chmod(0o600)
    partial.rename(path)
    _sync(path.parent)


def dumps(folder: Path) -> list[Path]:
    """The dumps that have a manifest, newest first. One without was not finished, and is none."""
    found = [path for path in folder.glob("halftime-*.json") if MANIFEST.fullmatch(path.name)]
    return sorted((path.with_suffix(".dump") for path in found), reverse=True)


def newest(folder: Path) -> Path:
    """The newest backup. Raises BackupError."""
    found = dumps(folder)
    if not found:
        raise BackupError(f"there is no backup in {folder}: make one with `./halftime backup`")
    return found[0]


def forget(folder: Path, keep: int) -> Forgotten:
    """Delete what is older than the ``keep`` newest backups that are whole. ``keep`` >= 1.

    A damaged backup counts for nothing: it never makes a good one be deleted, and its own deletion is told. The newest
    is never deleted.
    """
    good, deleted, damaged = 0, [], []
    known: set[str] = set()
    for place, dump in enumerate(dumps(folder)):
        trouble = None
        try:
            check_backup(dump, known)
        except BackupDamaged as error:
            trouble = str(error)
        if good >= keep and place > 0:
            _delete(dump)
            deleted.append(dump.name)
            if trouble is not None:
                damaged.append(f"deleted {dump.name}, which was damaged: {trouble}")
        good += trouble is None
    return Forgotten(tuple(deleted), tuple(damaged))


def _delete(dump: Path) -> None:
    # The manifest goes first: what is left when this is interrupted is no backup any more.
    for suffix in (".json", ".dump", ".mlflow.dump"):
        dump.with_suffix(suffix).unlink(missing_ok=True)


def dump_named(path: Path) -> Path:
    """The dump a person named, absolute. Raises BackupError when its name is not that of a backup."""
    if not DUMP.fullmatch(path.name):
        raise BackupError(f"{path} has not the name of a backup: name a file like halftime-20230204T123000Z.dump")
    return path.expanduser().resolve()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
