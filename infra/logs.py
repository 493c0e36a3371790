"""Log files of the services: one each, the run before kept beside it, and never larger than a limit."""

from __future__ import annotations

import shutil
from pathlib import Path

LIMIT_BYTES = 20 * 1024 * 1024
KEPT_RUNS = 2


def begin_log(path: Path) -> None:
    """Make room for a new run: the log of the last one becomes ``NAME.log.1``, that one ``NAME.log.2``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.stat().st_size == 0:
        return
    for number in range(KEPT_RUNS, 1, -1):
        older = path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number}"))
    path.replace(path.with_name(f"{path.name}.1"))


def limit_log(path: Path, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Copy a log that has grown past the limit aside and empty it; whether that was done.

    The writer keeps its open file: it appends, so it goes on at the new end. Lines written during the copy may be lost.
    """
    if not path.exists() or path.stat().st_size <= limit_bytes:
        return False
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    with path.open("r+b") as file:
        file.truncate(0)
    return True


def tail(path: Path, lines: int = 12, read_bytes: int = 16_384) -> list[str]:
    """The last lines of a log, without blank ones; empty when there is none."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - read_bytes))
        text = file.read().decode("utf-8", "replace")
    return [line for line in text.splitlines() if line.strip()][-lines:]
