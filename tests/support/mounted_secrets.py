"""A folder of secrets as kubelet mounts it, and programs of ours that find theirs in it alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from services.settings import ROOT
from tests.support.servers import die_with_parent, end, free_port
from tests.support.waiting import until


@dataclass(frozen=True)
class Secrets:
    """A folder of secrets: every file a link into `..data`, itself a link that is replaced in one step."""

    folder: Path

    def put(self, **files: str) -> None:
        """Another content of every file, all of them at once."""
        self.folder.mkdir(exist_ok=True)
        made = self.folder / f"..{len(list(self.folder.iterdir()))}"
        made.mkdir()
        for name, text in files.items():
            (made / name).write_text(f"{text}\n")
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        (self.folder / "..data_tmp").symlink_to(made.name)
        os.replace(self.folder / "..data_tmp", self.folder / "..data")


@dataclass(frozen=True)
class Program:
    """A running program of ours that is asked over HTTP."""

    process: subprocess.Popen[bytes]
    url: str

    def says(self, *lines: str) -> bool:
        """Whether its metrics have these lines."""
        return set(lines) <= set(self.page("/metrics").splitlines())

    def ready(self) -> bool:
        """Whether it says of itself that it is ready."""
        return self.page("/readyz") != ""

    def page(self, path: str) -> str:
        """The text of a page; empty where it does not answer 200."""
        assert self.process.poll() is None, "it ended"
        try:
            answer = httpx.get(f"{self.url}{path}", timeout=10.0)
        except httpx.TransportError:
            return ""
        return answer.text if answer.status_code == 200 else ""

    def stop(self) -> int:
        """Told to end, as by Kubernetes; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def program(module: str, port: str, secrets: Secrets, home: Path) -> Iterator[Program]:
    """A program that finds its secrets in the folder alone; ``port`` is the variable of its port."""
    mine = ("HALFTIME_", "DATABASE_URL", "REDIS_URL", "PREFECT_", "MLFLOW_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    number = free_port()
    env |= {
        "PYTHONPATH": str(ROOT), "HALFTIME_HOME": str(home), "HALFTIME_SECRETS_DIR": str(secrets.folder),
        port: str(number), "HALFTIME_FORECASTER_BASE_URL": "http://127.0.0.1:1", "HALFTIME_FEED": "replay",
        "HALFTIME_REPLAY_PORT": str(free_port()),
    }  # fmt: skip
    with (home / f"{module}-{number}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module], env=env, cwd=home, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=die_with_parent,
        )  # fmt: skip
    running = Program(process, f"http://127.0.0.1:{number}")
    try:
        until(lambda: running.page("/metrics") != "", timeout_s=60)
        yield running
    finally:
        end(process)
