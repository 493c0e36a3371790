"""Running PostgreSQL's programs over a cluster: never as root, and able to reach their folders all the same."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from infra.binaries import postgres_bin

SUPERUSER = "halftime"


class PostgresError(RuntimeError):
    """PostgreSQL's own programs failed; the message holds what they said."""


@dataclass(frozen=True)
class Cluster:
    """A cluster: its folder, port and password. ``durable=False`` trades crash safety for speed (tests only)."""

    data_dir: Path
    port: int
    password: str = field(repr=False)
    host: str = "127.0.0.1"
    durable: bool = True
    max_connections: int = 100
    bin_dir: Path = field(default_factory=postgres_bin)

    def url(self, database: str) -> str:
        """SQLAlchemy URL of one of the cluster's databases."""
        return f"postgresql+psycopg2://{SUPERUSER}:{quote(self.password, safe='')}@{self.host}:{self.port}/{database}"

    @property
    def exists(self) -> bool:
        """Whether initdb has finished here."""
        return (self.data_dir / "PG_VERSION").is_file()


@dataclass(frozen=True)
class Launch:
    """How to run a program of the cluster: pass to subprocess with ``cwd='/'``."""

    argv: list[str]
    env: dict[str, str]


def launch(cluster: Cluster, program: str, options: list[str], *, dies_with_parent: bool = False) -> Launch:
    """How to run one of PostgreSQL's programs over this cluster: under its owner's account when we are root.

    Raises PostgresError when there is no way.
    """
    argv = [str(cluster.bin_dir / program), *options]
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
    user = server_user(cluster)
    prefix: list[str] = []
    if user is not None:
        prefix += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        if not all(_open_to_all(path) for path in (cluster.bin_dir, cluster.data_dir.parent)):
            prefix += ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]
    if dies_with_parent and shutil.which("setpriv"):
        prefix.append("--pdeathsig=INT")
    if prefix:
        if not shutil.which("setpriv"):
            raise PostgresError(
                "running PostgreSQL from root needs `setpriv` (package util-linux); or run as another user"
            )
        argv = ["setpriv", *prefix, "--", *argv]
    return Launch(argv, env)


def server_user(cluster: Cluster) -> pwd.struct_passwd | None:
    """The user to run as when we are root: the cluster's owner, else postgres, else nobody. None when not root."""
    if os.geteuid() != 0:
        return None
    if cluster.exists and (owner := cluster.data_dir.stat().st_uid) != 0:
        try:
            return pwd.getpwuid(owner)
        except KeyError:
            raise PostgresError(
                f"{cluster.data_dir} belongs to user id {owner}, which this machine does not know:"
                f" `chown -R root {cluster.data_dir}` and start again"
            ) from None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresError("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as")


def take_ownership(cluster: Cluster) -> None:
    """Hand a data folder that belongs to root, because root copied or restored it, to the server's user."""
    user = server_user(cluster)
    if user is None or cluster.data_dir.stat().st_uid != 0:
        return
    for folder, _, files in os.walk(cluster.data_dir):
        os.chown(folder, user.pw_uid, user.pw_gid)
        for name in files:
            os.chown(Path(folder, name), user.pw_uid, user.pw_gid, follow_symlinks=False)


def _open_to_all(path: Path) -> bool:
    resolved = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (resolved, *resolved.parents))


def run(cluster: Cluster, program: str, options: list[str]) -> None:
    """Run one of PostgreSQL's programs to its end. Raises PostgresError with what it said."""
    command = launch(cluster, program, options)
    # The server inherits pg_ctl's output: a pipe would stay open as long as it runs, a file does not.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            command.argv,
            env=command.env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output.seek(0)
        said = output.read()
    if done.returncode != 0:
        raise PostgresError(f"{program} failed with status {done.returncode}:\n{said.strip()[-2000:]}")
