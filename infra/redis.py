"""A Redis server of our own: its configuration and command; the supervisor and the tests use the same."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import redis as client

from infra.binaries import redis_server


class RedisNotReady(RuntimeError):
    """Redis did not answer in time."""


@dataclass(frozen=True)
class RedisServer:
    """A server: its folder and port. ``durable`` keeps an append-only file, so a kill loses at most one second."""

    data_dir: Path
    port: int
    host: str = "127.0.0.1"
    durable: bool = True
    max_memory_mb: int = 256
    program: Path = field(default_factory=redis_server)

    @property
    def url(self) -> str:
        """The URL clients use."""
        return f"redis://{self.host}:{self.port}/0"


def write_config(server: RedisServer) -> Path:
    """Write redis.conf into the data folder; its path.

    noeviction: a stream's length is bounded where it is written, so running out of memory is an error to see, never a
    reason to drop ticks silently.
    """
    server.data_dir.mkdir(parents=True, exist_ok=True)
    lines = [
        f"bind {server.host}",
        f"port {server.port}",
        "protected-mode yes",
        "daemonize no",
        f'dir "{server.data_dir}"',
        f"appendonly {'yes' if server.durable else 'no'}",
        "appendfsync everysec",
        'save ""',
        f"maxmemory {server.max_memory_mb}mb",
        "maxmemory-policy noeviction",
        "tcp-keepalive 60",
        'logfile ""',
    ]
    path = server.data_dir / "redis.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


def server_command(server: RedisServer) -> list[str]:
    """Write the configuration and give the command that runs the server in the foreground; SIGTERM stops it."""
    return [str(server.program), str(write_config(server))]


def wait_ready(server: RedisServer, timeout_s: float = 15.0) -> None:
    """Return once the server answers PING (it refuses while it loads its file). Raises RedisNotReady."""
    deadline = time.monotonic() + timeout_s
    connection = client.Redis(host=server.host, port=server.port, socket_timeout=2.0, socket_connect_timeout=2.0)
    try:
        while True:
            try:
                connection.ping()
                return
            except client.RedisError as error:
                if time.monotonic() > deadline:
                    raise RedisNotReady(f"Redis on port {server.port} does not answer: {error}") from error
            time.sleep(0.05)
    finally:
        connection.close()
