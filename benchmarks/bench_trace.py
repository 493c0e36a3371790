"""What spans cost: one forecast over HTTP with traces exported and without, call by call in turns.

Every request carries a ``traceparent``; the collector is a process of its own that takes spans and forgets them. A time
is that of the worker's processor, the sending thread's included, and one by the client's clock beside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psutil

from benchmarks.table import Row, say
from benchmarks.timing import Floats, Ratio
from models.bundle import write_bundle
from services.settings import ROOT
from services.trace import new_trace, traceparent
from tests.support.running_forecaster import RunningForecaster, running_forecaster
from tests.support.servers import end
from tests.support.small_model import small_ensemble

REPETITIONS, EACH = 25, 100
OFF, ON = "spans off", "spans on"
COLLECTOR = """
from tests.support.otlp_sink import otlp_sink
with otlp_sink() as sink:
    print(sink.url, flush=True)
    import time
    while True:
        time.sleep(1.0)
        sink.spans.clear()
"""


@contextmanager
def collector() -> Iterator[str]:
    """A collector of traces in another process; its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", COLLECTOR], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        end(process)


def measure(trees: dict[str, tuple[Path, bool]]) -> dict[str, dict[str, Floats]]:
    """Unit -> name -> float64[REPETITIONS], microseconds a request; ``trees`` are folders of code and whether spans are
    on."""
    with tempfile.TemporaryDirectory(prefix="halftime-bench-") as name, collector() as url, ExitStack() as open_:
        folder = Path(name)
        # As large as ten seasons of games.
        write_bundle(small_ensemble(games=13_000, calibration_games=1300), folder / "bundle", {"code_version": "bench"})
        running: dict[str, RunningForecaster] = {}
        for place, (title, (tree, on)) in enumerate(trees.items()):
            endpoint = url if on else ""
            home = folder / f"home-{place}"
            running[title] = open_.enter_context(
                running_forecaster(home, folder / "bundle", cwd=tree, HALFTIME_OTLP_ENDPOINT=endpoint)
            )
        workers = {title: each.workers()[0] for title, each in running.items()}
        units = ("us of the worker's processor", "us by the clock")
        spent = {unit: {title: np.zeros(REPETITIONS) for title in running} for unit in units}
        for each in running.values():
            for _ in range(100):
                _ask(each)
        for turn in range(REPETITIONS):
            before = {title: _processor_s(worker) for title, worker in workers.items()}
            clocks: dict[str, list[float]] = {title: [] for title in running}
            for _ in range(EACH):
                for title, each in running.items():
                    started = time.perf_counter()
                    _ask(each)
                    clocks[title].append(time.perf_counter() - started)
            for title, worker in workers.items():
                spent[units[0]][title][turn] = 1e6 * (_processor_s(worker) - before[title]) / EACH
                spent[units[1]][title][turn] = 1e6 * float(np.median(clocks[title]))
    return spent


def run() -> list[Row]:
    """The rows of this benchmark."""
    say(f"bench_trace: {REPETITIONS} times {EACH} requests to each of two forecasters")
    spent = measure({OFF: (ROOT, False), ON: (ROOT, True)})
    rows = []
    for unit, of in spent.items():
        rows.append(Row("one forecast, traced", OFF, float(np.median(of[OFF])), unit))
        rows.append(Row("one forecast, traced", ON, float(np.median(of[ON])), unit, OFF, Ratio.of(of[ON], of[OFF])))
    return rows


def _ask(forecaster: RunningForecaster) -> None:
    forecaster.predict(headers={"traceparent": traceparent(new_trace())}).raise_for_status()


def _processor_s(worker: psutil.Process) -> float:
    times = worker.cpu_times()
    return float(times.user + times.system)
