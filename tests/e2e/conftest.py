"""One night for all end-to-end tests: played once through the command line, then shown again on the same folder."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from infra.detached import read_status
from models.league import DEFAULT_SEED, simulate_history
from tests.support.night_held import GO, HELD
from tests.support.night_home import Finished, NightHome, finish, night_home
from tests.support.waiting import until

# Polls come every 25 ms of wall time at this speed, and the last six minutes of a half take about four seconds.
SPEED = "200"
# Nothing is left to forecast when the night is shown again: only patterns are compared.
SPEED_AGAIN = "600"


@dataclass(frozen=True)
class PlayedNight:
    """A night that the command line has played: its data folder, what it said, and what it left behind."""

    home: NightHome
    done: Finished
    left: list[str]
    listening: list[str]

    @property
    def report(self) -> dict[str, Any]:
        """What it printed on standard output, which holds nothing else."""
        printed = json.loads(self.done.out)
        assert isinstance(printed, dict)
        return printed

    @property
    def simulated(self) -> bool:
        """Whether there were no recorded games."""
        return self.home.data is None

    @property
    def page(self) -> Path:
        """The night's page for people."""
        return self.home.folder / "reports" / f"night-{self.report['league_date']}-{self.report['source']}.html"


@dataclass
class HeldNight:
    """The same night shown again; its stack runs until ``let_go``. ``training`` trains as of that night beside it."""

    home: NightHome
    process: subprocess.Popen[str]
    training: subprocess.Popen[str]
    folder: Path
    began_at: datetime
    done: PlayedNight | None = None

    def let_go(self) -> PlayedNight:
        """Lets the command end; the same each time it is asked."""
        if self.done is None:
            (self.folder / GO).touch()
            done = finish(self.process, 90.0)
            wall_s = (datetime.now(UTC) - self.began_at).total_seconds()
            done = Finished(done.status, done.out, done.err, wall_s)
            self.done = PlayedNight(self.home, done, self.home.marked(), self.home.listening())
        return self.done


def recorded_games() -> Path | None:
    """Folder with the recorded games, if there is one."""
    named = os.environ.get("HALFTIME_DATA")
    return Path(named).resolve() if named and (Path(named) / "games.parquet").is_file() else None


@pytest.fixture(scope="session")
def played() -> Iterator[PlayedNight]:
    """One night from an empty data folder to its report: recorded games when there are any, else simulated ones."""
    with night_home(recorded_games()) as home:
        done = home.run("night", "--json", "--speed", SPEED, timeout_s=540.0)
        yield PlayedNight(home, done, home.marked(), home.listening())


def _has_its_servers(home: NightHome) -> bool:
    status = read_status(home.settings())
    states = {} if status is None else {service.name: service.state for service in status.services}
    return states.get("mlflow") == "ready" and states.get("migrate") == "done"


@pytest.fixture(scope="session")
def held(played: PlayedNight, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeldNight]:
    """`replay DATE` of that night on the same data folder, stopped just before it would end its stack."""
    assert played.done.status == 0, played.done.err
    folder, day, began_at = tmp_path_factory.mktemp("held"), played.report["league_date"], datetime.now(UTC)
    process = played.home.start(
        str(folder), "replay", day, "--json", "--speed", SPEED_AGAIN, module="tests.support.night_held"
    )
    deadline = time.monotonic() + 240.0
    training: subprocess.Popen[str] | None = None
    try:
        until(lambda: process.poll() is not None or _has_its_servers(played.home), 120.0)
        training = played.home.start("train", "--as-of", day, "--json")
        night = HeldNight(played.home, process, training, folder, began_at)
        while not (folder / HELD).exists():
            assert process.poll() is None, finish(process, 10.0).err
            assert time.monotonic() < deadline, "the replay did not come to its end"
            time.sleep(0.2)
        yield night
    finally:
        (folder / GO).touch()
        if training is not None:
            training.kill()
        if process.poll() is None:
            finish(process, 90.0)


@pytest.fixture(scope="session")
def truth(played: PlayedNight) -> pd.DataFrame:
    """The night's games as the history has them, by game_id; the live path never reads it."""
    day = date.fromisoformat(played.report["league_date"])
    if played.home.data is not None:
        games = pd.read_parquet(played.home.data / "games.parquet", filters=[("date", "==", day)])
    else:
        games = simulate_history([day.year - (day.month < 8)], DEFAULT_SEED)
        games = games[games["date"] == day]
    return games.set_index("game_id").sort_index()
