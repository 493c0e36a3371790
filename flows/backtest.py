"""The backtest: the history of the league in force, its test seasons side by side, their figures.

Seasons do not depend on each other, so each is a task of its own for Dask: on a cluster of this machine's processes, or
on the one at DASK_ADDRESS, whose workers must be able to import this checkout. Results are the same bits either way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from models.backtest import BacktestError, BacktestSpec, SeasonResult, check_seasons, run_season
from models.history import History
from services.history import recorded_games, simulated_games
from services.settings import Settings, SettingsError

if TYPE_CHECKING:
    from distributed import Client

TOPIC = "halftime-backtest"

Progress = Callable[[int, str, float], None]
"""Called with a season, what is being done there and the share 0..1 of that season that is done."""


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

    Raises BacktestError, models.training.TrainingError.
    """
    asked = check_seasons(history, seasons, spec)
    tell = progress if progress is not None else _silent
    if dask_address is None and len(asked) == 1:
        return [run_season(history, asked[0], spec, lambda stage, done: tell(asked[0], stage, done))]
    from distributed import Client, LocalCluster

    # Its own news (who connected, who left) are not ours.
    logging.getLogger("distributed").setLevel(logging.ERROR)
    if dask_address is not None:
        with Client(dask_address) as client:
            return _on(client, history, asked, spec, tell)
    with LocalCluster(**cluster_options(len(asked))) as cluster, Client(cluster) as client:
        return _on(client, history, asked, spec, tell)


def cluster_options(seasons: int) -> dict[str, Any]:
    """A cluster of this machine's processes: one thread each, no more processes than cores or seasons."""
    from dask.system import CPU_COUNT

    return {
        "n_workers": max(1, min(CPU_COUNT, seasons)),
        "threads_per_worker": 1,
        "processes": True,
        "host": "127.0.0.1",
        "dashboard_address": None,
    }


def season_on_worker(history: History, season: int, spec: BacktestSpec) -> SeasonResult:
    """``run_season`` on a Dask worker; what it is doing goes to whoever follows TOPIC."""
    from distributed import get_worker

    worker = get_worker()
    return run_season(history, season, spec, lambda stage, done: worker.log_event(TOPIC, (season, stage, done)))


def _on(
    client: Client, history: History, seasons: tuple[int, ...], spec: BacktestSpec, tell: Progress
) -> list[SeasonResult]:
    async def heard(event: tuple[Any, tuple[int, str, float]]) -> None:
        tell(*event[1])

    client.subscribe_topic(TOPIC, heard)
    shared = client.scatter(history, broadcast=True)
    tasks = [client.submit(season_on_worker, shared, season, spec, pure=False) for season in seasons]
    try:
        results: list[SeasonResult] = client.gather(tasks)
    except ModuleNotFoundError as error:
        raise BacktestError(
            f"a worker at {client.scheduler.address} lacks {error.name}: start the workers in this checkout, with its"
            " virtual environment"
        ) from error
    finally:
        client.unsubscribe_topic(TOPIC)
    return results


def _silent(_season: int, _stage: str, _done: float) -> None:
    """Nobody listens."""
