"""A PostgreSQL cluster of our own: made with initdb, run on loopback, password-protected, never as root.

The supervisor and the tests use the same functions. As root, every program runs as ``postgres`` or ``nobody``; when the
data folder or the programs lie where that user may not go (a checkout under /root), setpriv lends it the one capability
that lets it pass.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path

import psycopg2
from psycopg2 import errors, sql

from infra.postgres_programs import SUPERUSER, Cluster, Launch, PostgresError, launch, run, server_user, take_ownership

__all__ = [
    "Cluster",
    "Launch",
    "PostgresError",
    "create_database",
    "init_cluster",
    "new_password",
    "ping",
    "running_pid",
    "server_command",
    "start",
    "stop",
    "wait_ready",
]

STOP_S = 20.0
STOP_SIGNAL = signal.SIGINT  # ends sessions and stops cleanly; SIGTERM would wait for the clients


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
        if (user := server_user(cluster)) is not None:
            os.chown(fresh, user.pw_uid, user.pw_gid)
            os.chown(secret_file, user.pw_uid, user.pw_gid)
        options = ["-D", str(fresh), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={secret_file}"]
        options += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
        if not cluster.durable:
            options.append("--no-sync")
        run(cluster, "initdb", options)
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
    return launch(cluster, "postgres", ["-D", str(cluster.data_dir)], dies_with_parent=dies_with_parent)


def start(cluster: Cluster, log_file: Path, timeout_s: float = 30.0) -> None:
    """Start the server in the background and wait until it accepts connections. Raises PostgresError."""
    _write_config(cluster)
    _clear_stale_lock(cluster)
    log_file.touch()
    if (user := server_user(cluster)) is not None:
        os.chown(log_file, user.pw_uid, user.pw_gid)
    run(cluster, "pg_ctl", ["start", "-D", str(cluster.data_dir), "-l", str(log_file), "-w", "-t", f"{timeout_s:.0f}"])
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
    take_ownership(cluster)
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
    if (user := server_user(cluster)) is not None:
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
