"""What a Dask worker does of a backtest. Imports the models and nothing else of ours, so that it runs anywhere."""

from __future__ import annotations

import hashlib
import pkgutil

import models
from models.backtest import BacktestSpec, SeasonResult, run_season
from models.history import History

TOPIC = "halftime-backtest"


class ClusterTrouble(RuntimeError):
    """A Dask cluster that cannot run a backtest; the message says what to do."""


def _digest() -> str:
    names = sorted(f"{module.name}.py" for module in pkgutil.iter_modules(models.__path__))
    return hashlib.sha256(b"\0".join(pkgutil.get_data("models", name) or b"" for name in names)).hexdigest()


CODE = _digest()
"""Names the sources that this process has loaded."""


def season_on_worker(history: History, season: int, spec: BacktestSpec, code: str) -> SeasonResult:
    """``run_season`` on a worker that has loaded the sources named ``code``; what it is doing goes to whoever follows
    TOPIC. Raises ClusterTrouble when the worker has loaded others, whose figures would not be the caller's."""
    from distributed import get_worker

    if code != CODE:
        raise ClusterTrouble("a Dask worker has loaded another version of this code: restart the workers")
    worker = get_worker()
    return run_season(history, season, spec, lambda stage, done: worker.log_event(TOPIC, (season, stage, done)))
