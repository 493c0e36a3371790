"""PostgreSQL's own pg_dump and pg_restore: which of this machine's fit a server, and how they are run.

The server's address goes to them without its password, which is in their environment alone: a command line can be read
by every user of the machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from infra.backup_manifest import BackupError
from infra.binaries import MissingBinary, postgres_bin
from services.database import DRIVER, DatabaseUnavailable, DriverError

# libpq asks for these nowhere but in a connection string or a file.
UNSAYABLE = ("sslpassword", "passfile")


@dataclass(frozen=True)
class Address:
    """A database's address as libpq takes it, and the password apart."""

    dsn: str
    password: str | None = field(repr=False)
    database: str

    def connect(self, application: str = "halftime-backup") -> psycopg2.extensions.connection:
        """A connection. Raises DatabaseUnavailable."""
        try:
            return psycopg2.connect(
                self.dsn,
                password=self.password,
                application_name=application,
                connect_timeout=10,
                # A backup is not a page: it may take its time, but waits for no lock for ever.
                options="-c timezone=UTC -c statement_timeout=0 -c lock_timeout=60000"
                " -c idle_in_transaction_session_timeout=0",
            )
        except psycopg2.OperationalError as error:
            raise DatabaseUnavailable(error) from error

    def env(self) -> dict[str, str]:
        """What a program needs to be let in, beside the address."""
        secret = {} if self.password is None else {"PGPASSWORD": self.password}
        return os.environ | {"LC_ALL": "C", "TZ": "UTC", "PGCONNECT_TIMEOUT": "10"} | secret


def address(url: str, database: str | None = None) -> Address:
    """The address in a SQLAlchemy URL, of another ``database`` of the same server when one is named.

    Raises DriverError, BackupError; neither repeats the URL.
    """
    if not url.startswith(DRIVER):
        raise DriverError(f"a database's address must start with {DRIVER} (it starts {url.partition('://')[0][:24]!r})")
    try:
        parts = parse_dsn(url.replace("+psycopg2", "", 1))
    except psycopg2.ProgrammingError:
        raise BackupError(
            f"the address that starts {DRIVER} cannot be read: check how its password is quoted"
        ) from None
    if told := [name for name in UNSAYABLE if name in parts]:
        raise BackupError(
            f"the database's address holds {told[0]}: put it into the environment or a libpq service file"
        )
    password = parts.pop("password", None)
    if database is not None:
        parts["dbname"] = database
    if "dbname" not in parts:
        raise BackupError("the database's address names no database: write it as .../halftime at the end")
    return Address(make_dsn(**parts), password, parts["dbname"])


def programs_for(server_version: int) -> Path:
    """Folder of a pg_dump that is as new as the server (``server_version`` as 180004), and no newer than need be.

    A dump may only be made by programs at least as new as its server; much newer ones write settings that it does not
    know. Raises BackupError with what was found.
    """
    wanted = server_version // 10000
    found = {folder: version for folder in _folders() if (version := _version(folder)) is not None}
    fitting = [folder for folder, version in found.items() if version >= wanted]
    if fitting:
        return min(fitting, key=lambda folder: found[folder])
    there = ", ".join(f"{folder / 'pg_dump'} is of version {version}" for folder, version in found.items())
    raise BackupError(
        f"the server is PostgreSQL {wanted}, and its backup needs a pg_dump of that version or newer"
        f" ({there or 'none was found'}): install postgresql-client-{wanted}"
    )


def run(program: Path, arguments: list[str], at: Address) -> None:
    """Run one of them to its end; it is killed with this call. Raises BackupError with what it said."""
    command = [str(program), "--no-password", f"--dbname={at.dsn}", *arguments]
    done = subprocess.run(
        command, env=at.env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-2000:]
        raise BackupError(f"{program.name} of database {at.database} ended with {done.returncode}: {said}")


def _folders() -> list[Path]:
    folders = []
    if (on_path := shutil.which("pg_dump")) is not None:
        folders.append(Path(on_path).parent)
    with suppress(MissingBinary):
        folders.append(postgres_bin())
    debian = Path("/usr/lib/postgresql")
    if debian.is_dir():
        folders += sorted(debian.glob("*/bin"))
    return folders


@cache
def _version(folder: Path) -> int | None:
    """Major version of the folder's pg_dump; None when it has not both programs."""
    if not os.access(folder / "pg_restore", os.X_OK):
        return None
    try:
        done = subprocess.run([str(folder / "pg_dump"), "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    told = re.search(r"\) (\d+)", done.stdout)
    return int(told[1]) if told and done.returncode == 0 else None
