"""Seasons side by side on Dask: a cluster of this machine's processes, or the one at DASK_ADDRESS.

Seasons do not depend on each other, so each is a task of its own. Results are the same bits as one by one: a worker
uses one thread for each library and runs exactly this code, which a cluster that does not know it is sent.
"""

from __future__ import annotations

import logging
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.backtest_worker import CODE, TOPIC, ClusterTrouble, season_on_worker
from models.backtest import BacktestSpec, SeasonResult, check_seasons, run_season
from models.history import History
from services.settings import ROOT

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

CONNECT_TIMEOUT_S = 15.0
# What a worker's process starts with: one thread for each library. Dask's own values also make it give back freed
# memory at once, and arrays of a backtest would then spend most of their time being mapped again.
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}
SENT = ("models/*.py", "flows/__init__.py", "flows/backtest_worker.py")

Progress = Callable[[int, str, float], None]
"""Called with a season, what is being done there and the share 0..1 of that season that is done."""


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
    with _started(len(asked)) if dask_address is None else connected(dask_address) as client:
        return _on(client, history, asked, spec, tell)


def local_cluster(seasons: int) -> LocalCluster:
    """Processes of this machine with one thread each, no more of them than cores or seasons."""
    import dask
    from dask.system import CPU_COUNT
    from distributed import LocalCluster

    _quiet()
    with dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT}):
        return LocalCluster(
            n_workers=max(1, min(CPU_COUNT, seasons)),
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        )


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of the cluster at ``address``, which can run a backtest. Raises ClusterTrouble."""
    from distributed import Client

    _quiet()
    try:
        opened = Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise ClusterTrouble(
            f"no Dask scheduler answers at DASK_ADDRESS={address}: start one there, or unset DASK_ADDRESS"
        ) from error
    with opened as client:
        if not client.scheduler_info()["workers"]:
            raise ClusterTrouble(f"the Dask scheduler at {address} has no workers: start some, or unset DASK_ADDRESS")
        _send_code(client)
        yield client


def _send_code(client: Client) -> None:
    """Scheduler and workers that were started outside of a checkout cannot import it: they get what they need."""
    for package in ("models", "flows"):
        found = [client.run_on_scheduler(find_spec, package), *client.run(find_spec, package).values()]
        if None in found:
            break
    else:
        return
    with tempfile.TemporaryDirectory(prefix="halftime-code-") as folder:
        # A name of its own for each version: a process never reads one archive as if it were another.
        archive = Path(folder) / f"halftime-{CODE[:16]}.zip"
        with zipfile.ZipFile(archive, "w") as opened:
            for path in sorted(path for pattern in SENT for path in ROOT.glob(pattern)):
                opened.write(path, path.relative_to(ROOT))
        client.upload_file(str(archive))


@contextmanager
def _started(seasons: int) -> Iterator[Client]:
    from distributed import Client

    with local_cluster(seasons) as cluster, Client(cluster) as client:
        yield client


def _on(
    client: Client, history: History, seasons: tuple[int, ...], spec: BacktestSpec, tell: Progress
) -> list[SeasonResult]:
    async def heard(event: tuple[Any, tuple[int, str, float]]) -> None:
        tell(*event[1])

    client.subscribe_topic(TOPIC, heard)
    tasks = [client.submit(season_on_worker, history, season, spec, CODE, pure=False) for season in seasons]
    try:
        results: list[SeasonResult] = client.gather(tasks)
    except ModuleNotFoundError as error:
        raise ClusterTrouble(
            f"a Dask worker of {client.scheduler.address} lacks {error.name}: start the workers with this checkout's"
            " virtual environment"
        ) from error
    finally:
        client.unsubscribe_topic(TOPIC)
    return results


def _quiet() -> None:
    """Dask's own news, who connected and who left, are not ours; importing it sets their level."""
    import distributed  # noqa: F401

    logging.getLogger("distributed").setLevel(logging.ERROR)


def _silent(_season: int, _stage: str, _done: float) -> None:
    """Nobody listens."""
