"""The backtest as a Prefect flow: each season a task of Prefect's Dask task runner."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect_dask import DaskTaskRunner

from flows.backtest import load_history
from flows.backtest_cluster import connected, local_cluster
from flows.backtest_log import log_backtest
from flows.backtest_worker import CODE, season_on_worker
from models.backtest import BacktestSpec, SeasonResult, check_seasons
from models.backtest_result import BacktestResult, combine
from models.history import History
from services.settings import Settings


@task(name="backtest-season", task_run_name="season {season}", cache_policy=NO_CACHE)
def season_task(history: History, season: int, spec: BacktestSpec, code: str) -> SeasonResult:
    """One season, on a Dask worker."""
    return season_on_worker(history, season, spec, code)


def task_runner(dask_address: str | None, seasons: int) -> DaskTaskRunner:
    """The cluster at ``dask_address``, or one of this machine's processes made for the run."""
    if dask_address is not None:
        return DaskTaskRunner(address=dask_address)
    return DaskTaskRunner(cluster_class=local_cluster, cluster_kwargs={"seasons": seasons})


@flow(name="backtest-seasons", validate_parameters=False)
def backtest_seasons(history: History, seasons: Sequence[int], spec: BacktestSpec) -> list[SeasonResult]:
    """One task a season, on whatever runner the flow was given."""
    futures = [season_task.submit(history, season, spec, CODE) for season in seasons]
    return [future.result() for future in futures]


def run_in_flow(
    history: History, seasons: Sequence[int], spec: BacktestSpec, dask_address: str | None
) -> list[SeasonResult]:
    """``run_seasons`` with a Prefect task for each season. Raises BacktestError, ClusterTrouble."""
    asked = check_seasons(history, seasons, spec)
    if dask_address is not None:
        with connected(dask_address):
            pass  # it answers, has workers, and knows this code from here on
    runs = backtest_seasons.with_options(task_runner=task_runner(dask_address, len(asked)))
    results: list[SeasonResult] = runs(history, asked, spec)
    return results


def backtest(
    settings: Settings, test: Sequence[int], minutes: Sequence[int] | None = None
) -> tuple[BacktestResult, str]:
    """The seasons of the league in force, scored and logged: the result and MLflow's run id.

    Raises what ``load_history``, ``run_in_flow`` and ``log_backtest`` raise.
    """
    spec = BacktestSpec() if minutes is None else BacktestSpec(minutes=tuple(minutes))
    found = run_in_flow(load_history(settings), test, spec, settings.dask_address)
    result = combine(settings.league_source, found)
    return result, log_backtest(settings, result, spec)
