"""The files of a spool: segments of JSON lines, locked while their writer lives, and what was refused.

A segment gets its name only once it is locked, so nobody can take it for a dead one; the lock ends with the process.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Segment:
    """An append-only file of lines that this process alone writes."""

    path: Path
    fd: int
    size: int = 0
    rows: int = 0
    opened_s: float = field(default_factory=time.monotonic)

    @classmethod
    def create(cls, folder: Path) -> Segment:
        """A new, locked, empty segment. Raises OSError."""
        name = f"{time.time_ns():020d}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        young, path = folder / f"{name}.young", folder / f"{name}.jsonl"
        fd = os.open(young, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            young.rename(path)
            _sync_folder(folder)
        except OSError:
            os.close(fd)
            young.unlink(missing_ok=True)
            raise
        return cls(path, fd)

    def append(self, lines: Sequence[bytes]) -> None:
        """Return once ``lines`` are on disk. Raises OSError; then they are cut off again as far as that can be done,
        and the segment must not be written again: what its pages hold is no longer known."""
        try:
            view = memoryview(b"".join(lines))
            while view:
                view = view[os.write(self.fd, view) :]
            os.fdatasync(self.fd)  # the data and the size it needs to be read again; not the times
        except OSError:
            try:
                os.ftruncate(self.fd, self.size)
            except OSError as error:
                log.warning("spool segment %s keeps a torn tail: %s", self.path.name, error)
            raise
        self.size += sum(map(len, lines))
        self.rows += len(lines)

    def close(self) -> None:
        """Let go of the lock; an empty segment is removed."""
        if self.rows == 0:
            self.path.unlink(missing_ok=True)
        os.close(self.fd)

    def remove(self) -> None:
        """Remove the drained file, then let go of the lock."""
        self.path.unlink(missing_ok=True)
        os.close(self.fd)


def abandoned(folder: Path) -> Iterator[Path]:
    """The segments whose writers are dead: each locked while the caller has it, removed when it asks for the next."""
    for path in sorted(folder.glob("*.jsonl")):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink:  # zero: another process drained and removed it meanwhile
                yield path
                path.unlink(missing_ok=True)
        except BlockingIOError:
            continue  # its writer lives
        finally:
            os.close(fd)


def read_lines(path: Path) -> list[bytes]:
    """The whole lines of a segment. A torn last one was never acknowledged: dropped, and said."""
    lines = path.read_bytes().split(b"\n")
    if lines.pop():
        log.warning("spool segment %s: torn last line dropped (its request was never answered)", path.name)
    return lines


def keep_refused(path: Path, text: str, reason: str) -> bool:
    """Keep what cannot be inserted under ``rejected/``, with the reason, for a person to look at.

    False when it is there already: a segment is read again after an outage.
    """
    kept = path.parent / "rejected" / path.name
    entry = json.dumps({"reason": reason, "row": text}) + "\n"
    kept.parent.mkdir(exist_ok=True)
    if kept.exists() and entry in kept.read_text(encoding="utf-8"):
        return False
    with kept.open("a", encoding="utf-8") as out:
        out.write(entry)
        out.flush()
        os.fsync(out.fileno())
    log.error("spool row refused and kept in rejected/%s: %s", path.name, reason)
    return True


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
