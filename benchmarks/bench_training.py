"""Training on all seasons and the whole walk-forward backtest: time, peak memory, and how both grow with the games.

Each runs in a process of its own, on one core. Twice and four times as many games are the league's own, spliced, on the
same dates; a backtest then also forecasts that many more.

    python -m benchmarks.bench_training train|backtest times
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from datetime import timedelta

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.table import Row, say
from benchmarks.timing import Ratio
from benchmarks.worlds import league, spliced
from models.backtest import BacktestSpec, run_season
from models.history import History
from models.training import TrainingSpec, train
from services.settings import ROOT

TIMES = (1, 2, 4)
MINUTES = (0, 6, 12, 18, 23)


def run() -> list[Row]:
    """The rows of this benchmark."""
    rows = []
    for what in ("train", "backtest"):
        found = {}
        for times in TIMES:
            say(f"bench_training: {what} on {times} times the games")
            command = [sys.executable, "-m", "benchmarks.bench_training", what, str(times)]
            found[times] = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
        for times, one in found.items():
            for unit in ("s", "MiB at the peak"):
                grown = None if times == 1 else Ratio.of(np.array([one[unit]]), np.array([found[1][unit]]))
                beside = "once the games" if times > 1 else ""
                rows.append(Row(f"{what}, one core", f"{one['what']}", one[unit], unit, beside, grown))
    return rows


def trained(history: History) -> str:
    """Train on all of ``history``; what that was."""
    train(history, TrainingSpec(as_of=history.last_date + timedelta(days=1)))
    return f"{len(set(history.season.tolist()))} seasons, {len(history):,} games"


def walked(history: History) -> str:
    """Backtest every season that has enough games before it; what that was."""
    spec = BacktestSpec(minutes=MINUTES)
    seasons = [
        season
        for season in sorted(set(history.season.tolist()))
        if len(history.before(history.seasons(season).first_date)) >= spec.games_needed
    ]
    for season in seasons:
        started = time.perf_counter()
        run_season(history, season, spec)
        say(f"bench_training: season {season}, {time.perf_counter() - started:.0f} s")
    return f"{len(seasons)} seasons tested at {len(MINUTES)} minutes, {len(history):,} games"


def main() -> None:
    """Do one of them in this process and print what it took as JSON."""
    what, times = sys.argv[1], int(sys.argv[2])
    history = spliced(league(), times).history
    work = {"train": trained, "backtest": walked}[what]
    with threadpool_limits(1):
        started = time.perf_counter()
        done = work(history)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    json.dump({"what": done, "s": seconds, "MiB at the peak": peak}, sys.stdout)


if __name__ == "__main__":
    main()
