"""The backtest: the history of the league in force, its test seasons side by side, their figures.

Seasons do not depend on each other, so each is a task of its own for Dask: on a cluster of this machine's processes, or
on the one at DASK_ADDRESS, whose workers must be able to import this checkout. Results are the same bits either way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

from models.backtest import BacktestSpec, SeasonResult, check_seasons, run_season
from models.history import History
from services.history import recorded_games, simulated_games
from services.settings import Settings, SettingsError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

TOPIC = "halftime-backtest"
CONNECT_TIMEOUT_S = 15.0
# What a worker's process starts with: one thread for each library. Dask's own values also make it give back freed
# memory at once, and arrays of a backtest would then spend most of their time being mapped again.
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}

Progress = Callable[[int, str, float], None]
"""Called with a season, what is being done there and the share 0..1 of that season that is done."""


class ClusterTrouble(RuntimeError):
    """A Dask cluster that cannot run a backtest; the message says what to do."""


def load_history(settings: Settings) -> History:
    """Every game of the league in force; files and the simulated league need no database.

    Raises SettingsError, services.history.HistoryError, flows.train.NoHistory.
    """
    if settings.league_source == "recorded":
        if settings.data is None:
            raise SettingsError("no recorded games: set HALFTIME_DATA to the folder that holds games.parquet")
        return History.from_frame(recorded_games(settings.data), "recorded")
    if settings.league_source == "simulated":
        return History.from_frame(simulated_games(settings.simulated_seed), "simulated")
    from flows import train, wiring

    with wiring.store(settings) as store:
        return train.history(store, settings, date.max)


def run_seasons(
    history: History,
    seasons: Sequence[int],
    spec: BacktestSpec,
    *,
    dask_address: str | None = None,
    progress: Progress | None = None,
) -> list[SeasonResult]:
    """The seasons in order. One season without an address runs in this process.

    Raises BacktestError, ClusterTrouble, models.training.TrainingError.
    """
    asked = check_seasons(history, seasons, spec)
    tell = progress if progress is not None else _silent
    if dask_address is None and len(asked) == 1:
        return [run_season(history, asked[0], spec, lambda stage, done: tell(asked[0], stage, done))]
    import distributed  # noqa: F401 (its import sets the level of its own news, which are not ours)

    logging.getLogger("distributed").setLevel(logging.ERROR)
    with _connect(dask_address) if dask_address is not None else _started(len(asked)) as client:
        return _on(client, history, asked, spec, tell)


def local_cluster(seasons: int) -> LocalCluster:
    """Processes of this machine with one thread each, no more of them than cores or seasons."""
    import dask
    from dask.system import CPU_COUNT
    from distributed import LocalCluster

    with dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT}):
        return LocalCluster(
            n_workers=max(1, min(CPU_COUNT, seasons)),
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        )


def season_on_worker(history: History, season: int, spec: BacktestSpec) -> SeasonResult:
    """``run_season`` on a Dask worker; what it is doing goes to whoever follows TOPIC."""
    from distributed import get_worker

    worker = get_worker()
    return run_season(history, season, spec, lambda stage, done: worker.log_event(TOPIC, (season, stage, done)))


@contextmanager
def _started(seasons: int) -> Iterator[Client]:
    from distributed import Client

    with local_cluster(seasons) as cluster, Client(cluster) as client:
        yield client


def _connect(address: str) -> Client:
    from distributed import Client

    try:
        return Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise ClusterTrouble(
            f"no Dask scheduler answers at DASK_ADDRESS={address}: start one there, or unset DASK_ADDRESS"
        ) from error


def _on(
    client: Client, history: History, seasons: tuple[int, ...], spec: BacktestSpec, tell: Progress
) -> list[SeasonResult]:
    async def heard(event: tuple[Any, tuple[int, str, float]]) -> None:
        tell(*event[1])

    if not client.scheduler_info()["workers"]:
        raise ClusterTrouble(f"the Dask scheduler at {client.scheduler.address} has no workers: start some")
    client.subscribe_topic(TOPIC, heard)
    tasks = [client.submit(season_on_worker, history, season, spec, pure=False) for season in seasons]
    try:
        results: list[SeasonResult] = client.gather(tasks)
    except ModuleNotFoundError as error:
        raise ClusterTrouble(
            f"a Dask worker of {client.scheduler.address} cannot import {error.name}: start the workers in this"
            " checkout with its virtual environment"
        ) from error
    finally:
        client.unsubscribe_topic(TOPIC)
    return results


def _silent(_season: int, _stage: str, _done: float) -> None:
    """Nobody listens."""
