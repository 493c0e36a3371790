"""A data folder of its own for the command line: free ports, no outside server, and what is left of it afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infra.processes import StackId, end_marked, lives
from services.settings import ROOT, Settings
from tests.support.servers import free_port, temporary_folder

SERVERS = ("forecaster", "board", "exporter", "prefect", "mlflow", "postgres", "redis", "replay", "poller_metrics",
           "predictor_metrics", "alerts", "alertmanager", "prometheus", "evidently")  # fmt: skip
OUTSIDE = ("DATABASE_URL", "REDIS_URL", "PREFECT_API_URL", "MLFLOW_TRACKING_URI")


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    status: int
    out: str
    err: str
    wall_s: float

    @property
    def sentence(self) -> str:
        """What went wrong, as the person at the terminal reads it: one line, not a traceback."""
        assert "Traceback" not in self.err, self.err
        assert self.status != 0, self.err
        said = [line for line in self.err.splitlines() if line.startswith("halftime: ")]
        assert len(said) == 1, self.err
        assert self.err.rstrip().endswith(said[0]), self.err
        return said[0]


@dataclass(frozen=True)
class NightHome:
    """``data`` None means the simulated league."""

    folder: Path
    data: Path | None
    ports: dict[str, int]

    def settings(self, **changes: Any) -> Settings:
        """The settings that the command line reads from ``env``."""
        unset = dict.fromkeys(("database_url", "redis_url", "prefect_api_url", "mlflow_tracking_uri"))
        numbers = {f"{name}_port": port for name, port in self.ports.items()}
        given = {**unset, **numbers, "home": self.folder, "data": self.data}
        return Settings(**{**given, **changes})  # type: ignore[arg-type]

    def env(self, **changes: str) -> dict[str, str]:
        """The caller's environment without its own settings, with this home's."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("HALFTIME_", "PREFECT_"))}
        for name in OUTSIDE:
            env.pop(name, None)
        env |= {f"HALFTIME_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        # An empty variable counts as unset and is stronger than a .env file.
        env |= {"HALFTIME_HOME": str(self.folder), "HALFTIME_DATA": str(self.data or ""), "COLUMNS": "200"}
        return env | changes

    def start(self, *arguments: str, module: str = "flows.cli", **changes: str) -> subprocess.Popen[str]:
        """Starts a command in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=self.env(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, timeout_s: float = 120.0, **changes: str) -> Finished:
        """Runs a command to its end."""
        return finish(self.start(*arguments, **changes), timeout_s)

    def marked(self) -> list[str]:
        """Every live process that carries this home's mark, or that names it on its command line."""
        prefix = StackId(self.folder).home_prefix
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                ours = process.environ().get("HALFTIME_STACK_ID", "").startswith(prefix)
                command = " ".join(process.cmdline())
                if (ours or str(self.folder) in command) and lives(process):
                    found.append(f"{process.pid} {command[:120]}")
        return found

    def listening(self) -> list[str]:
        """The ports of this home that somebody still listens on."""
        held = {
            connection.laddr.port
            for connection in psutil.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr
        }
        return [name for name, port in self.ports.items() if port in held]

    def end_everything(self) -> None:
        """For a test that failed in the middle."""
        end_marked(StackId(self.folder).home_prefix)


def finish(process: subprocess.Popen[str], timeout_s: float) -> Finished:
    """Waits for a command and reads what it said; one that hangs is killed and fails the test."""
    began = time.monotonic()
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"no end after {timeout_s:.0f} s: {process.args}\n{err[-4000:]}") from None
    return Finished(process.returncode, out, err, time.monotonic() - began)


@contextlib.contextmanager
def night_home(data: Path | None) -> Iterator[NightHome]:
    """A fresh home; whatever a failed test left running in it is ended, and the folder removed."""
    with temporary_folder("home") as folder:
        ports: dict[str, int] = {}
        for name in SERVERS:
            port = free_port()
            while port in ports.values():
                port = free_port()
            ports[name] = port
        home = NightHome(folder.resolve(), data, ports)
        try:
            yield home
        finally:
            home.end_everything()
