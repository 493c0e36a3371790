"""Season archives on disk: the errors they can raise, careful unpacking, receipts that say what a file should be."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

LARGEST_CSV: Final = 4 * 2**30
_CHUNK: Final = 256 * 1024


class ArchiveError(RuntimeError):
    """A season archive that cannot be had or used; the message says which and what to do."""


class IndexUnusable(ArchiveError):
    """The index could not be read or holds no archives."""


class ArchiveMissing(ArchiveError):
    """The index does not name the archive asked for."""


class DownloadFailed(ArchiveError):
    """The server did not give the archive; what arrived is kept and the next call resumes it."""


class ArchiveUnsafe(ArchiveError):
    """The archive is damaged, too large, or does not hold the one file it should."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is kept beside an unpacked archive. Lengths in bytes; ``resumed_at`` is how much an earlier try had left."""

    name: str
    url: str
    archive_bytes: int
    archive_sha256: str
    csv_bytes: int
    csv_sha256: str
    resumed_at: int


def unpack(archive: Path, member: str, target: Path, limit: int = LARGEST_CSV) -> None:
    """Write the regular file ``member`` of a tar.xz to ``target``, and nothing else; nothing is written on failure.

    Raises ArchiveUnsafe when it is damaged, lacks the file, holds it as a link, or has more than ``limit`` bytes of it.
    """
    staging = target.with_name(target.name + ".unpacking")
    try:
        with tarfile.open(archive, "r:xz") as tar:
            entry = next((e for e in tar if e.name.removeprefix("./") == member), None)
            if entry is None or not entry.isfile():
                raise ArchiveUnsafe(f"{archive.name} does not hold the file {member}: it was removed, try again")
            if entry.size > limit:
                raise ArchiveUnsafe(f"{member} would be {entry.size} bytes, more than {limit}: not unpacked")
            source = tar.extractfile(entry)
            if source is None:
                raise ArchiveUnsafe(f"{archive.name} does not hold the file {member}: it was removed, try again")
            with staging.open("wb") as file:
                while chunk := source.read(_CHUNK):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            if staging.stat().st_size != entry.size:
                raise ArchiveUnsafe(f"{archive.name} is damaged: {member} is cut short; it was removed, try again")
        staging.replace(target)
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise ArchiveUnsafe(f"{archive.name} is damaged ({error}): it was removed, try again") from error
    finally:
        staging.unlink(missing_ok=True)


def write_receipt(csv: Path, receipt: Receipt) -> None:
    """Keep ``receipt`` beside ``csv``."""
    write_whole(receipt_path(csv), json.dumps(asdict(receipt), indent=1))


def intact(csv: Path) -> bool:
    """Whether ``csv`` is what its receipt says it is."""
    beside = receipt_path(csv)
    if not (csv.is_file() and beside.is_file()):
        return False
    try:
        receipt = Receipt(**json.loads(beside.read_text()))
    except (ValueError, TypeError):
        return False
    return csv.stat().st_size == receipt.csv_bytes and sha256(csv) == receipt.csv_sha256


def receipt_path(csv: Path) -> Path:
    """Where the receipt of ``csv`` is kept."""
    return csv.with_suffix(".receipt.json")


def sha256(path: Path) -> str:
    """Hex digest of the file."""
    with path.open("rb") as file:
        digest: str = hashlib.file_digest(file, "sha256").hexdigest()
    return digest


def write_whole(path: Path, content: str) -> None:
    """Write the file or leave it as it was."""
    staging = path.with_name(path.name + ".writing")
    staging.write_text(content)
    staging.replace(path)
