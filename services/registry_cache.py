"""Bundles on this disk, by digest, and which one each alias last led to: what serves when MLflow does not.

Each night makes a version of some megabytes: copies that were not used for longest go, since MLflow has them all.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from models.bundle import BundleError, load_bundle
from models.ensemble import Ensemble
from services.registry_http import DIGEST, Version

KEPT = 30


class BundleCache:
    """A folder of the ``kept`` verified bundles used last, and those that a name leads to. Any number of processes may
    share it."""

    def __init__(self, folder: Path, kept: int = KEPT) -> None:
        self._folder, self._kept = folder, kept

    def place(self, digest: str) -> Path:
        """Where the bundle with this digest is, or would be."""
        if not DIGEST.match(digest):
            raise ValueError(f"{digest[:80]!r} is not a digest")
        return self._folder / digest

    def load(self, digest: str) -> Ensemble | None:
        """The bundle with this digest, verified; None when it is absent, or was broken and is removed."""
        folder = self.place(digest)
        if not folder.is_dir():
            return None
        try:
            ensemble = load_bundle(folder, digest)
            with suppress(OSError):  # a read-only copy, or one that another process has just let go
                os.utime(folder)
            return ensemble
        except BundleError:
            shutil.rmtree(folder, ignore_errors=True)
            return None

    def add(self, digest: str, fill: Callable[[Path], None]) -> Ensemble:
        """Let ``fill`` write the files, verify them, and only then give them their place.

        Raises BundleError and what ``fill`` raises; then nothing is left behind.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".part-", dir=self._folder))
        try:
            fill(draft)
            ensemble = load_bundle(draft, digest)
            target = self.place(digest)
            try:
                draft.rename(target)
            except OSError:
                # Another process was quicker: its copy was verified by the same digest.
                if not target.is_dir():
                    raise
            self._let_go(digest)
            return ensemble
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _let_go(self, newest: str) -> None:
        """Remove the copies used least lately; a process that still reads one takes it for broken and fetches it."""
        named = {newest, *(version.digest for version in map(_version, self._folder.glob("*.json")) if version)}
        copies = [path for path in self._folder.iterdir() if DIGEST.match(path.name) and path.name not in named]
        ages = {path: path.stat().st_mtime for path in copies if path.exists()}
        for path in sorted(ages, key=ages.__getitem__, reverse=True)[max(self._kept - len(named), 0) :]:
            shutil.rmtree(path, ignore_errors=True)

    def remember(self, name: str, version: Version) -> None:
        """Note that ``name`` (an alias or a version number) leads to ``version``, for when nobody can be asked."""
        pointer = self._pointer(version.model_name, name)
        text = json.dumps(asdict(version), sort_keys=True)
        if pointer.is_file() and pointer.read_text() == text:
            return
        handle, draft = tempfile.mkstemp(prefix=".part-", dir=self._folder)
        with os.fdopen(handle, "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(draft).replace(pointer)

    def remembered(self, model_name: str, name: str) -> Version | None:
        """The version ``name`` last led to; None when it never did or the note cannot be read."""
        return _version(self._pointer(model_name, name))

    def _pointer(self, model_name: str, name: str) -> Path:
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in f"{model_name}.{name}")
        return self._folder / f"{plain}.json"


def _version(pointer: Path) -> Version | None:
    """What a note says; None when there is none or it cannot be read."""
    try:
        values = json.loads(pointer.read_text())
        version = Version(**{**values, "aliases": tuple(values["aliases"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return version if DIGEST.match(version.digest) else None
