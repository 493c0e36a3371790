"""Who holds a port, found out before anything is started."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class PortWanted:
    """A port a service will listen on, and the setting that moves it."""

    service: str
    host: str
    port: int
    setting: str


@dataclass(frozen=True)
class PortTaken:
    """A wanted port that another program listens on; `pid` is None when the system does not tell us whose it is."""

    wanted: PortWanted
    pid: int | None
    command: str

    @property
    def detail(self) -> str:
        """Who holds it, in words."""
        owner = f"process {self.pid} ({self.command})" if self.pid else self.command
        return f"port {self.wanted.port} for {self.wanted.service} is taken by {owner}"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return f"end that program, or set {self.wanted.setting} to a free port"


class PortsTakenError(RuntimeError):
    """One or more wanted ports are in use. `taken` has each with its owner; the message names them all."""

    def __init__(self, taken: list[PortTaken]) -> None:
        self.taken = taken
        super().__init__("\n".join(f"{each.detail}: {each.remedy}" for each in taken))


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now. Raises OSError for an address that is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: connections of a server that has just ended do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def owner_of(port: int) -> tuple[int | None, str]:
    """Process id and command line of the program that listens on a port; (None, why not) when it cannot be seen."""
    if port < 1024:
        hidden = "the system (ports below 1024 need root) or another user's program"
    else:
        hidden = "another user's program (its process cannot be seen from this account)"
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        # macOS shows other processes' connections to root only; our own can still be asked one by one.
        connections = []
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            if connection.pid is None:
                return None, hidden
            try:
                command = " ".join(psutil.Process(connection.pid).cmdline())
            except psutil.Error:
                command = "a process that has just ended"
            return connection.pid, command[:160] or "?"
    return None, hidden


def find_taken(wanted: Iterable[PortWanted]) -> list[PortTaken]:
    """The wanted ports that are not free, each with its owner. A port wanted twice is taken by the first service."""
    taken = []
    first: dict[int, PortWanted] = {}
    for each in wanted:
        if each.port in first:
            taken.append(PortTaken(each, None, f"{first[each.port].service} of this stack"))
            continue
        first[each.port] = each
        if not is_free(each.host, each.port):
            taken.append(PortTaken(each, *owner_of(each.port)))
    return taken


def require_free(wanted: Iterable[PortWanted]) -> None:
    """Raise PortsTakenError unless every wanted port is free."""
    taken = find_taken(wanted)
    if taken:
        raise PortsTakenError(taken)


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on at the moment (tests; a busy machine may take it before you do)."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
