"""How one forecaster of one worker answers a crowd, rate by rate, and how long it takes to start.

    python -m benchmarks.service_curve [--rounds 5] [--seconds 20]

trains a champion (of the recorded games with HALFTIME_DATA, else of the simulated league), serves it as a pod does,
with a real PostgreSQL behind it, and writes ``benchmarks/data/service_curve.json``; seven minutes. Forecaster, database
and crowd share the machine's cores; ``elsewhere`` says what other programs took of them. A rate is measured again, in
``rounds`` at most, while that was more than ``QUIET`` cores, and the round in which it was least is kept. Measure on a
machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import psutil

from benchmarks.curve import AGAIN, PATH, Curve, Knot, Machine, read_curve
from benchmarks.measured import write_measured
from benchmarks.open_loop import NO_ANSWER, Answers, crowd, post
from benchmarks.table import say
from benchmarks.worlds import league
from models.bundle import write_bundle
from models.ensemble import Ensemble
from models.training import TrainingSpec, train
from tests.support.running_forecaster import running_forecaster
from tests.support.servers import running_postgres

RATES = (25.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0, 600.0, 1000.0)
STARTS, BODIES, WARM_UP, LOOK_EVERY_S = 5, 500, 500, 1.0
QUIET, CALM_S, PATIENCE_S = 0.2, 3.0, 60.0
GAUGE = re.compile(r"^halftime_http_requests_in_flight (\S+)$", re.MULTILINE)


def champion() -> Ensemble:
    """What a training on every game of the league in force gives."""
    history = league().history
    say(f"service_curve: training a champion of {len(history)} games")
    return train(history, TrainingSpec(as_of=history.last_date + timedelta(days=1))).ensemble


def bodies(ensemble: Ensemble, count: int = BODIES, seed: int = 1) -> list[bytes]:
    """Requests as followers send them: the minutes of games that were played, a third with another level."""
    history, chance = league().history, np.random.default_rng(seed)
    known = sorted(ensemble.ratings.values)
    requests = []
    for place, row in enumerate(chance.choice(len(history), count, replace=False)):
        home, away = chance.choice(known, 2, replace=False).tolist()
        asked: dict[str, object] = {"pattern": history.margins[row, 1:19].tolist(), "home": home, "away": away}
        requests.append(post("/predict", json.dumps(asked | ({"levels": [0.7]} if place % 3 == 0 else {})).encode()))
    return requests


class Watched:
    """Processor seconds of the forecaster with its parent, of the database, of this process, and of the machine."""

    def __init__(self, forecaster: int, database: int) -> None:
        self._trees = {"forecaster": forecaster, "database": database, "crowd": os.getpid()}

    def look(self) -> dict[str, float]:
        """Processor seconds so far, and the clock's."""
        used = {name: self._seconds(pid, alone=name == "crowd") for name, pid in self._trees.items()}
        whole = psutil.cpu_times()
        idle = whole.idle + whole.iowait
        # Time in guests is counted as user time already.
        busy = sum(whole) - idle - getattr(whole, "guest", 0.0) - getattr(whole, "guest_nice", 0.0)
        return used | {"machine": busy, "clock": time.perf_counter()}

    def wait_quiet(self) -> None:
        """Return when other programs have taken less than ``QUIET`` cores for ``CALM_S`` seconds and what the rate
        before left behind is done, or after ``PATIENCE_S``."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            before = self.look()
            time.sleep(CALM_S)
            taken = shares(before, self.look())
            if taken["elsewhere"] < QUIET and taken["forecaster"] < QUIET:
                return

    @staticmethod
    def _seconds(pid: int, *, alone: bool) -> float:
        top = psutil.Process(pid)
        times = [one.cpu_times() for one in [top, *([] if alone else top.children(recursive=True))]]
        return float(sum(time.user + time.system for time in times))


def shares(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Cores taken between two looks; ``elsewhere`` by programs that are no part of this."""
    clock = after["clock"] - before["clock"]
    taken = {name: (after[name] - before[name]) / clock for name in before if name != "clock"}
    ours = sum(share for name, share in taken.items() if name != "machine")
    return taken | {"elsewhere": max(0.0, taken["machine"] - ours)}


async def step(port: int, requests: Sequence[bytes], rate: float, seconds: float, seed: int) -> tuple[Answers, float]:
    """What a crowd got, and the mean of what the forecaster's own gauge said meanwhile."""
    seen: list[float] = []

    async def look() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as http:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                found = GAUGE.search((await http.get("/metrics")).text)
                assert found is not None, "the forecaster's metrics have no gauge of requests in flight"
                seen.append(float(found[1]))

    looking = asyncio.create_task(look())
    answers = await crowd(port, requests, rate, seconds, seed)
    looking.cancel()
    await asyncio.wait([looking])
    return answers, float(np.mean(seen))


def knot(rate: float, answers: Answers, gauge: float, taken: dict[str, float]) -> Knot:
    """The figures of one step. AssertionError for an answer that no crowd should get."""
    assert set(answers.statuses) <= {200, 503, NO_ANSWER}, f"statuses {sorted(set(answers.statuses))} at {rate:g}/s"
    waits_ms = 1000 * np.array(answers.waits_of(200))
    return Knot(
        offered=rate,
        answered=answers.count(200) / answers.seconds,
        refused=answers.count(503) / answers.seconds,
        unanswered=answers.count(NO_ANSWER) / answers.seconds,
        p50_ms=float(np.quantile(waits_ms, 0.5)),
        p99_ms=float(np.quantile(waits_ms, 0.99)),
        in_flight=sum(answers.waits_s) / answers.seconds,
        gauge=gauge,
        processor=taken["forecaster"],
        elsewhere=taken["elsewhere"],
        sent_late_ms=1000 * float(np.quantile(answers.late_s, 0.99)),
    )


def quietest(knots: Sequence[Knot]) -> Knot:
    """Of one rate's rounds the one during which other programs took least, as many digits as mean something. What they
    take says nothing of how the forecaster does otherwise, so this choice favours no outcome."""
    best = min(knots, key=lambda one: one.elsewhere)
    rounded = {name: float(f"{getattr(best, name):.3g}") for name in Knot.__struct_fields__}
    exact = {name: round(getattr(best, name), 2) for name in ("offered", "answered", "refused", "unanswered")}
    return Knot(**rounded | exact)


def starts(folder: Path, bundle: Path, database_url: str) -> list[float]:
    """Seconds from starting the process to ready, each time with an empty data folder, as a new pod has it."""
    found = []
    for turn in range(STARTS):
        began = time.perf_counter()
        with running_forecaster(folder / f"start-{turn}", bundle, database_url=database_url):
            found.append(round(time.perf_counter() - began, 2))
        say(f"service_curve: ready after {found[-1]:.2f} s")
    return found


def measure(rates: Sequence[float], rounds: int, seconds: float) -> Curve:
    """The whole measurement."""
    load_average = os.getloadavg()[0]
    ensemble = champion()
    with tempfile.TemporaryDirectory(prefix="halftime-curve-") as name, running_postgres() as database:
        folder, url = Path(name), database.emptied()
        write_bundle(ensemble, folder / "bundle", {"code_version": "benchmark"})
        started = starts(folder, folder / "bundle", url)
        requests = bodies(ensemble)
        with running_forecaster(folder / "home", folder / "bundle", database_url=url) as running:
            port = running.http.base_url.port
            assert port is not None
            watched = Watched(running.process.pid, database.process.pid)
            asyncio.run(crowd(port, requests, 50.0, WARM_UP / 50.0, seed=0))
            watched.wait_quiet()
            before = watched.look()
            time.sleep(seconds)
            idle = shares(before, watched.look())["forecaster"]
            found: dict[float, list[Knot]] = {rate: [] for rate in rates}
            for turn in range(rounds):
                for rate in rates:
                    if found[rate] and quietest(found[rate]).elsewhere <= QUIET:
                        continue
                    watched.wait_quiet()
                    before = watched.look()
                    answers, gauge = asyncio.run(step(port, requests, rate, seconds, seed=turn + 1))
                    found[rate].append(knot(rate, answers, gauge, shares(before, watched.look())))
                    say(f"service_curve: round {turn + 1} of {rounds} at most: {found[rate][-1]}")
    return Curve(
        measured_on=datetime.now(UTC).date(),
        machine=Machine(os.cpu_count() or 1, processor(), platform.python_version(), round(load_average, 2)),
        champion=f"trained on {ensemble.source} games through {ensemble.trained_through}",
        games=len(ensemble.mixture.dejavu.margins),
        rounds=rounds,
        seconds_each=seconds,
        starts_s=tuple(started),
        idle_processor=round(idle, 3),
        knots=tuple(quietest(found[rate]) for rate in rates),
    )


def processor() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))


def main() -> None:
    """Measure and keep it."""
    parser = argparse.ArgumentParser(prog=AGAIN, description=__doc__)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES, help="offered requests a second, rising")
    parser.add_argument("--rounds", type=int, default=5, help="in which a disturbed rate is measured again, at most")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each rate in each round")
    parser.add_argument("--to", type=Path, default=PATH)
    given = parser.parse_args()
    write_measured(given.to, measure(given.rates, given.rounds, given.seconds))
    curve = read_curve(given.to)
    say(f"{given.to}: at most {curve.answers_s:.0f} answers a second, ready after {curve.start_s:.1f} s")


if __name__ == "__main__":
    main()
