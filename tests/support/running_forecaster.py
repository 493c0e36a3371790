"""A real forecaster for tests: ``bentoml serve`` in its own process group, on a free port, in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from models.bundle import write_bundle
from services.settings import ROOT
from tests.support.servers import die_with_parent, end, free_port
from tests.support.small_model import small_ensemble
from tests.support.waiting import until

NO_DATABASE = "postgresql+psycopg2://nobody:nothing@127.0.0.1:1/none"
PATTERN = [2, 4, 3, 3, 5, 7, 6, 8, 9, 9, 7, 8, 10, 12, 11, 9, 8, 10]


def small_bundle(folder: Path, **kind: Any) -> Path:
    """A bundle of ``small_ensemble(**kind)`` in ``folder``."""
    write_bundle(small_ensemble(**kind), folder, {"code_version": "test", "figures": {"mae": 4.9}})
    return folder


@dataclass
class RunningForecaster:
    """A started server; ``home`` is its data folder."""

    process: subprocess.Popen[bytes]
    http: httpx.Client
    home: Path
    log: Path

    def predict(self, *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        """POST /predict with a good pattern, unless ``fields`` say otherwise."""
        return self.http.post("/predict", json={"pattern": PATTERN} | fields, headers=headers)

    def workers(self) -> list[psutil.Process]:
        """The worker processes."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in found if any("worker.service" in part for part in child.cmdline())]

    def wait_unready(self, reason: str) -> None:
        """Wait until /readyz says 503 with ``reason`` in its sentence."""
        self.wait("/livez")
        until(lambda: reason in self.wait("/readyz", 503).json()["error"])

    def wait(self, path: str = "/readyz", status: int = 200, timeout_s: float = 60.0) -> httpx.Response:
        """Wait until ``path`` answers ``status``."""
        deadline = time.monotonic() + timeout_s
        answer: httpx.Response | None = None
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the forecaster ended:\n{self.log.read_text()[-4000:]}")
            with contextlib.suppress(httpx.HTTPError):
                answer = self.http.get(path)
                if answer.status_code == status:
                    return answer
            time.sleep(0.05)
        raise AssertionError(f"{path} never said {status}, last {answer}:\n{self.log.read_text()[-4000:]}")


@contextlib.contextmanager
def running_forecaster(
    home: Path,
    bundle: Path | None,
    *,
    database_url: str = NO_DATABASE,
    workers: int = 1,
    serve: str = "bentos.forecaster:Forecaster",
    cwd: Path = ROOT,
    ready: bool = True,
    port: int | None = None,
    **settings: str,
) -> Iterator[RunningForecaster]:
    """Serve ``bundle`` (None: the registry's champion); everything it writes lies under ``home``."""
    home.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HALFTIME_", "BENTO", "MLFLOW_"))}
    env |= {
        "HALFTIME_HOME": str(home),
        "HALFTIME_FORECASTER_WORKERS": str(workers),
        "HALFTIME_BUNDLE": str(bundle) if bundle else "",
        "DATABASE_URL": database_url,
        "BENTOML_HOME": str(home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "OTEL_SDK_DISABLED": "true",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": "",
    } | settings
    log = home / "forecaster.log"
    command = [sys.executable, "-m", "bentoml", "serve", serve, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("ab") as out, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        process = subprocess.Popen(
            command, env=env, cwd=cwd, stdout=out, stderr=out, start_new_session=True, preexec_fn=die_with_parent
        )
        running = RunningForecaster(process, http, home, log)
        try:
            if ready:
                running.wait()
            yield running
        finally:
            end(process)
