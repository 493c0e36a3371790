"""A PostgreSQL cluster of our own: made with initdb, run on loopback, password-protected, never as root.

The supervisor and the tests use the same functions. As root, every program runs as ``postgres`` or ``nobody``; when the
data folder or the programs lie where that user may not go (a checkout under /root), setpriv lends it the one capability
that lets it pass.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import errors, sql

from infra.binaries import postgres_bin

SUPERUSER = "halftime"
STOP_S = 20.0
STOP_SIGNAL = signal.SIGINT  # ends sessions and stops cleanly; SIGTERM would wait for the clients


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


def new_password() -> str:
    """A random password that needs no quoting."""
    return secrets.token_urlsafe(24)


def init_cluster(cluster: Cluster) -> bool:
    """Create the cluster unless it exists; True when it was made now.

    Made beside its place and renamed when complete, so that a killed initdb leaves nothing that looks like a cluster.
    Raises PostgresError.
    """
    if cluster.exists:
        return False
    if cluster.data_dir.exists() and any(cluster.data_dir.iterdir()):
        raise PostgresError(f"{cluster.data_dir} is neither empty nor a PostgreSQL cluster: move it away")
    parent = cluster.data_dir.parent
    parent.mkdir(parents=True, exist_ok=True)
    fresh = parent / f"{cluster.data_dir.name}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    secret, secret_file = tempfile.mkstemp(prefix=".pw-", dir=parent)
    try:
        with os.fdopen(secret, "w") as handle:
            handle.write(cluster.password)
        if (user := _server_user(cluster)) is not None:
            os.chown(fresh, user.pw_uid, user.pw_gid)
            os.chown(secret_file, user.pw_uid, user.pw_gid)
        options = ["-D", str(fresh), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={secret_file}"]
        options += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
        if not cluster.durable:
            options.append("--no-sync")
        _run(cluster, "initdb", options)
        with (fresh / "postgresql.conf").open("a") as handle:
            handle.write("\ninclude_if_exists = 'halftime.conf'\n")
    finally:
        Path(secret_file).unlink(missing_ok=True)
    if cluster.data_dir.exists():
        cluster.data_dir.rmdir()
    fresh.rename(cluster.data_dir)
    return True


def server_command(cluster: Cluster, *, dies_with_parent: bool = False) -> Launch:
    """Write the configuration and give the command that runs the server in the foreground.

    It stops on SIGINT (fast) or SIGTERM (waits for clients); ``dies_with_parent`` sends SIGINT when the thread that
    started it ends.
    """
    _write_config(cluster)
    _clear_stale_lock(cluster)
    return _launch(cluster, "postgres", ["-D", str(cluster.data_dir)], dies_with_parent=dies_with_parent)


def start(cluster: Cluster, log_file: Path, timeout_s: float = 30.0) -> None:
    """Start the server in the background and wait until it accepts connections. Raises PostgresError."""
    _write_config(cluster)
    _clear_stale_lock(cluster)
    log_file.touch()
    if (user := _server_user(cluster)) is not None:
        os.chown(log_file, user.pw_uid, user.pw_gid)
    _run(cluster, "pg_ctl", ["start", "-D", str(cluster.data_dir), "-l", str(log_file), "-w", "-t", f"{timeout_s:.0f}"])
    wait_ready(cluster, timeout_s)


def wait_ready(cluster: Cluster, timeout_s: float = 30.0) -> None:
    """Return once the server answers a query. Raises PostgresError after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            _connect(cluster).close()
            return
        except psycopg2.OperationalError as error:
            if time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL on port {cluster.port} does not answer: {error}") from error
        time.sleep(0.05)


def ping(cluster: Cluster) -> str | None:
    """Why the server cannot be used, None when it can. A server without a free connection is busy, not down."""
    try:
        _connect(cluster).close()
    except psycopg2.OperationalError as error:
        if "too many clients" in str(error) or "remaining connection slots" in str(error):
            return None
        return f"PostgreSQL on port {cluster.port} does not answer: {str(error).strip()}"
    return None


def stop(cluster: Cluster, timeout_s: float = STOP_S) -> None:
    """Stop the cluster's server, whoever started it; does nothing when none runs."""
    pid = running_pid(cluster)
    for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            # A server that we started ourselves stays a zombie until it is waited for.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if running_pid(cluster) is None:
                return
            time.sleep(0.05)
    raise PostgresError(f"PostgreSQL {pid} in {cluster.data_dir} cannot be stopped")


def running_pid(cluster: Cluster) -> int | None:
    """Process id of the server that runs this cluster, also one left by an earlier start; None when none does."""
    try:
        pid = int((cluster.data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        home = Path(f"/proc/{pid}/cwd").resolve()
    except (OSError, ValueError, IndexError):
        return None
    return pid if name == "postgres" and state not in "ZX" and home == cluster.data_dir.resolve() else None


def create_database(cluster: Cluster, name: str) -> str:
    """Create the database unless it exists; its URL."""
    connection = _connect(cluster)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor, contextlib.suppress(errors.DuplicateDatabase, errors.UniqueViolation):
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    finally:
        connection.close()
    return cluster.url(name)


def _connect(cluster: Cluster) -> psycopg2.extensions.connection:
    return psycopg2.connect(
        host=cluster.host,
        port=cluster.port,
        user=SUPERUSER,
        password=cluster.password,
        dbname="postgres",
        connect_timeout=5,
    )


def _write_config(cluster: Cluster) -> None:
    _take_ownership(cluster)
    lines = {
        "listen_addresses": f"'{cluster.host}'",
        "port": str(cluster.port),
        "unix_socket_directories": "''",
        "max_connections": str(cluster.max_connections),
        "shared_buffers": "'64MB'",
        "max_wal_size": "'256MB'",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "jit": "off",
    }
    if not cluster.durable:
        lines |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    text = "# Written at every start; change the settings instead.\n"
    text += "".join(f"{name} = {value}\n" for name, value in lines.items())
    path = cluster.data_dir / "halftime.conf"
    path.write_text(text)
    if (user := _server_user(cluster)) is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def _clear_stale_lock(cluster: Cluster) -> None:
    # A killed server's process id may meanwhile belong to another program, which PostgreSQL takes for a live server.
    # A lock whose process is gone stays: PostgreSQL uses it to see whether backends of the dead server still run.
    lock = cluster.data_dir / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    if Path(f"/proc/{pid}").is_dir() and running_pid(cluster) is None:
        lock.unlink(missing_ok=True)


def _server_user(cluster: Cluster) -> pwd.struct_passwd | None:
    """The user to run as when we are root: the cluster's owner, else postgres, else nobody. None when not root."""
    if os.geteuid() != 0:
        return None
    if cluster.exists and (owner := cluster.data_dir.stat().st_uid) != 0:
        return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresError("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as")


def _take_ownership(cluster: Cluster) -> None:
    # A data folder copied or restored by root belongs to root, and the server's user could not read it.
    user = _server_user(cluster)
    if user is None or cluster.data_dir.stat().st_uid != 0:
        return
    for folder, _, files in os.walk(cluster.data_dir):
        os.chown(folder, user.pw_uid, user.pw_gid)
        for name in files:
            os.chown(Path(folder, name), user.pw_uid, user.pw_gid, follow_symlinks=False)


def _launch(cluster: Cluster, program: str, options: list[str], *, dies_with_parent: bool = False) -> Launch:
    argv = [str(cluster.bin_dir / program), *options]
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
    user = _server_user(cluster)
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


def _open_to_all(path: Path) -> bool:
    resolved = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (resolved, *resolved.parents))


def _run(cluster: Cluster, program: str, options: list[str]) -> None:
    launch = _launch(cluster, program, options)
    # The server inherits pg_ctl's output: a pipe would stay open as long as it runs, a file does not.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            launch.argv,
            env=launch.env,
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
