"""What one worker of the forecaster takes, beside a BentoML service that does nothing: memory and time to be ready.

Memory is what the worker process alone holds (its private pages: those it shares with others are not its own), after a
hundred forecasts; the time runs from the command to the first time it says it is ready.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from benchmarks.table import Row, say
from benchmarks.timing import Ratio
from benchmarks.worlds import ensemble
from models.bundle import write_bundle
from services.settings import ROOT
from tests.support.running_forecaster import running_forecaster

REPETITIONS, GAMES, FORECASTS = 5, 13_000, 100
NO_OP = """
import bentoml

@bentoml.service(workers=1, metrics={"enabled": False})
class NoOp:
    @bentoml.api
    def predict(self, pattern: list[int]) -> int:
        return 0
"""


class Taken(NamedTuple):
    """Seconds until ready, and MiB of the worker."""

    seconds: float
    mib: float


def run() -> list[Row]:
    """The rows of this benchmark."""
    taken: dict[str, list[Taken]] = {"no-op service": [], "forecaster": []}
    with tempfile.TemporaryDirectory(prefix="halftime-bench-") as name:
        folder = Path(name)
        write_bundle(ensemble(GAMES)[0], folder / "bundle", {"code_version": "benchmark"})
        (folder / "noop.py").write_text(NO_OP)
        for turn in range(REPETITIONS):
            say(f"bench_service: start {turn + 1} of {REPETITIONS}")
            taken["no-op service"].append(_start(folder / f"noop-{turn}", None, "noop:NoOp", folder))
            taken["forecaster"].append(
                _start(folder / f"home-{turn}", folder / "bundle", "bentos.forecaster:Forecaster", ROOT)
            )
    rows = []
    for what, unit in (("seconds", "s until ready"), ("mib", "MiB in a worker")):
        values = {name: np.array([getattr(one, what) for one in several]) for name, several in taken.items()}
        ratio = Ratio.of(values["forecaster"], values["no-op service"])
        rows.append(Row("one worker", "no-op service", float(np.median(values["no-op service"])), unit))
        rows.append(
            Row("one worker", "forecaster", float(np.median(values["forecaster"])), unit, "no-op service", ratio)
        )
    return rows


def _start(home: Path, bundle: Path | None, serve: str, cwd: Path) -> Taken:
    started = time.perf_counter()
    with running_forecaster(home, bundle, serve=serve, cwd=cwd) as running:
        ready = time.perf_counter() - started
        for _ in range(FORECASTS):
            running.predict().raise_for_status()
        (worker,) = running.workers()
        assert not _has_torch(worker), "the worker has loaded torch"
        return Taken(ready, worker.memory_full_info().uss / 2**20)


def _has_torch(worker: psutil.Process) -> bool:
    """Whether any library of torch is mapped into the process."""
    return any("torch" in Path(mapped.path).name for mapped in worker.memory_maps())
