"""What one poll of a full evening costs the predictors that share the stream: the time from the first state in it until
the last forecast is in the database.

Fifteen games at once, the most the league can have, and in every poll each has a new state that calls for a forecast:
the worst a poll can be. Predictors, PostgreSQL, Redis and a forecaster with two workers are processes on one machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, text

from benchmarks.table import Row, say
from benchmarks.timing import Floats, Ratio
from models.game import Play, Snapshot, Status
from services.database import make_engine
from services.settings import ROOT
from services.ticks import Tick, TickStream
from tests.support.running_forecaster import running_forecaster, small_bundle
from tests.support.servers import die_with_parent, end, free_port, running_postgres, running_redis, temporary_folder
from tests.support.small_model import TEAMS
from tests.support.waiting import until

GAMES, MINUTES, REPETITIONS, CREWS = 15, 22, 3, (1, 2, 3)
POLL_MS = 5000.0
_MADE = text("SELECT count(*) FROM forecasts WHERE game_id = ANY(:games) AND minute = :minute")
GROUP = f"a poll of {GAMES} games, a forecast each"


def run() -> list[Row]:
    """The rows of this benchmark."""
    took: dict[int, list[float]] = {crew: [] for crew in CREWS}
    with ExitStack() as stack:
        home = stack.enter_context(temporary_folder("shared"))
        database = stack.enter_context(running_postgres()).emptied()
        redis_url = stack.enter_context(running_redis()).url
        bundle = small_bundle(home / "bundle", minutes=tuple(range(24)))
        served = stack.enter_context(running_forecaster(home / "served", bundle, database_url=database, workers=2))
        env = {
            "DATABASE_URL": database, "REDIS_URL": redis_url, "HALFTIME_FORECASTER_BASE_URL": str(served.http.base_url),
            "HALFTIME_HOME": str(home), "HALFTIME_FEED": "replay", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        stream, engine = TickStream(redis_url), make_engine(database)
        stack.callback(engine.dispose)
        for turn in range(REPETITIONS):
            for crew in CREWS:
                say(f"bench_shared: {crew} at work, {turn + 1} of {REPETITIONS}")
                with predictors(crew, stream, env, home):
                    took[crew] += polls(stream, engine, (turn * len(CREWS) + crew) * GAMES)
    values = {crew: np.array(seconds) * 1e3 for crew, seconds in took.items()}
    return [_row(crew, values) for crew in CREWS]


@contextmanager
def predictors(crew: int, stream: TickStream, env: dict[str, str], home: Path) -> Iterator[None]:
    """So many processes that have said they are at work."""
    own = ("HALFTIME_", "PREFECT_")
    base = {name: value for name, value in os.environ.items() if not name.startswith(own)} | env
    running = []
    with (home / "predictors.log").open("ab") as log:
        for _ in range(crew):
            process = subprocess.Popen(
                [sys.executable, "-m", "flows.predictor"],
                env=base | {"HALFTIME_PREDICTOR_METRICS_PORT": str(free_port())},
                cwd=home,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - there are no other threads here
            )
            running.append(process)
        names = {str(process.pid) for process in running}
        try:
            until(lambda: names <= {name.rpartition(":")[2] for name in stream.at_work("", within_ms=5000)}, 60.0)
            yield
        finally:
            for process in running:
                end(process)


def polls(stream: TickStream, engine: Engine, first_game: int) -> list[float]:
    """Seconds of each poll of one evening, from minute 1 to the last before the half."""
    seconds = []
    for minute in range(1, MINUTES):
        now = datetime.now(UTC)
        ticks = [tick(first_game + place, minute, now) for place in range(GAMES)]
        began = time.perf_counter()
        for one in ticks:
            stream.publish(one)
        until(lambda: made(engine, ticks, minute) == GAMES, 60.0)  # noqa: B023 - asked before the next one begins
        seconds.append(time.perf_counter() - began)
    return seconds


def tick(number: int, minute: int, now: datetime) -> Tick:
    """A game whose ``minute`` was completed five seconds ago; its margin moves with every minute."""
    t, home, away = 60.0 * minute + 5.0, TEAMS[number % 6], TEAMS[(number + 1) % 6]
    plays = tuple(Play(n, 1 if n <= 12 else 2, 60.0 * n - 30.0, 2 * n, n + n % 3) for n in range(1, minute + 1))
    game_id = f"00222{number:05d}"
    snapshot = Snapshot(game_id, home, away, Status.LIVE, 1 if minute < 12 else 2, t, False, plays, now, now)
    return Tick(game_id, snapshot, now.date(), "simulated", now)


def made(engine: Engine, ticks: list[Tick], minute: int) -> int:
    """How many of these games have a forecast of ``minute``."""
    values = {"games": [one.game_id for one in ticks], "minute": minute}
    with engine.connect() as connection:
        return int(connection.execute(_MADE, values).scalar_one())


def _row(crew: int, values: dict[int, Floats]) -> Row:
    name = f"{crew} predictor{'s' if crew > 1 else ''}"
    if crew == 1:
        return Row(GROUP, name, float(np.median(values[1])), "ms", target=f"below {POLL_MS:,.0f} ms, the next poll")
    return Row(GROUP, name, float(np.median(values[crew])), "ms", "1 predictor", Ratio.of(values[crew], values[1]))
