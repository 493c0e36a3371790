"""Seasons in other processes: Dask's and Prefect's; the result in MLflow; the command on recorded games."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
from distributed import Client
from prefect.testing.utilities import prefect_test_harness

import flows.backtest_flow
import flows.orchestration
from flows.backtest_cluster import ClusterTrouble, run_seasons
from flows.backtest_flow import run_in_flow
from flows.backtest_log import FIGURES, log_backtest
from models.backtest import SeasonResult, run_season
from models.backtest_result import combine
from services.experiments import ExperimentsUnavailable
from services.settings import ROOT, Settings
from tests.support.seasons import made_season, several_seasons, small_spec
from tests.support.servers import die_with_parent, end, free_port

HISTORY = several_seasons(2016, 2017, 2018, 2019)
SPEC = small_spec(0, 18)
SEASONS = (2018, 2019)


@pytest.fixture(scope="module")
def one_by_one() -> list[SeasonResult]:
    return [run_season(HISTORY, season, SPEC) for season in SEASONS]


@pytest.fixture(scope="module")
def cluster_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster that was there before anybody asked for a backtest, started outside of the checkout; one process that
    would run two seasons at once."""
    folder = tmp_path_factory.mktemp("dask")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    address = f"tcp://127.0.0.1:{free_port()}"
    commands = (
        ["scheduler", "--host", address, "--no-dashboard", "--dashboard-address", "127.0.0.1:0"],
        ["worker", address, "--nworkers", "1", "--nthreads", "2", "--local-directory", str(folder), "--no-dashboard"],
    )
    dask = str(Path(sys.executable).with_name("dask"))
    with ExitStack() as started, (folder / "log").open("wb") as log:
        for command in commands:
            process = subprocess.Popen(
                [dask, *command], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=die_with_parent,
            )  # fmt: skip
            started.callback(end, process)
        with Client(address, timeout=90) as client:
            client.wait_for_workers(1, timeout=90)
        yield address


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


def same_bits(ours: list[SeasonResult], theirs: list[SeasonResult]) -> bool:
    assert [one.season for one in ours] == [one.season for one in theirs]
    return all(
        one.row == other.row and np.array_equal(one.crps, other.crps) and np.array_equal(one.pit, other.pit)
        for mine, other_season in zip(ours, theirs, strict=True)
        for one, other in zip(mine.scores.values(), other_season.scores.values(), strict=True)
    )


def test_seasons_side_by_side_are_the_same_bits_as_one_by_one(one_by_one: list[SeasonResult]) -> None:
    told: list[tuple[int, float]] = []
    found = run_seasons(HISTORY, SEASONS, SPEC, progress=lambda season, _, done: told.append((season, done)))
    assert same_bits(found, one_by_one)
    assert {season for season, _ in told} == set(SEASONS)
    for season in SEASONS:
        shares = [done for one, done in told if one == season]
        assert shares == sorted(shares)


def test_an_existing_cluster_gives_the_same_bits(one_by_one: list[SeasonResult], cluster_address: str) -> None:
    assert same_bits(run_seasons(HISTORY, SEASONS, SPEC, dask_address=cluster_address), one_by_one)


def test_prefects_dask_runner_gives_the_same_bits(
    one_by_one: list[SeasonResult], cluster_address: str, prefect_server: None
) -> None:
    assert same_bits(run_in_flow(HISTORY, SEASONS, SPEC, None), one_by_one)
    assert same_bits(run_in_flow(HISTORY, SEASONS, SPEC, cluster_address), one_by_one)


def test_a_scheduler_without_workers_is_told() -> None:
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as empty,
        pytest.raises(ClusterTrouble, match="has no workers"),
    ):
        run_seasons(HISTORY, [2018], SPEC, dask_address=empty.scheduler_address)


def test_a_result_is_kept_in_mlflow_with_its_page_and_rows(mlflow_url: str, tmp_path: Path) -> None:
    settings = Settings(mlflow_tracking_uri=mlflow_url, home=tmp_path, source="simulated")
    result = combine("simulated", [made_season(2018), made_season(2019)])
    run_id = log_backtest(settings, result, SPEC)
    with httpx.Client(base_url=f"{mlflow_url}/api/2.0/mlflow") as client:
        run = client.get("/runs/get", params={"run_id": run_id}).raise_for_status().json()["run"]
        files = client.get("/artifacts/list", params={"run_id": run_id}).raise_for_status().json()["files"]
        key = "ensemble/2019/crps_skill"
        history = client.get("/metrics/get-history", params={"run_id": run_id, "metric_key": key}).json()["metrics"]
    assert run["info"]["status"] == "FINISHED"
    params = {one["key"]: one["value"] for one in run["data"]["params"]}
    assert (params["seasons"], params["minutes"], params["training.neighbours"]) == ("2018,2019", "6,18", "40")
    assert len(run["data"]["metrics"]) == 5 * 2 * len(FIGURES)
    assert {file["path"] for file in files} == {"backtest.html", "backtest.json"}
    rows = {row["minute"]: row for row in result.rows if (row["season"], row["forecaster"]) == (2019, "ensemble")}
    assert {one["step"]: one["value"] for one in history} == {m: row["crps_skill"] for m, row in rows.items()}


def test_without_mlflow_the_result_says_where_it_could_not_go(tmp_path: Path) -> None:
    nowhere = Settings(mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}", home=tmp_path, source="simulated")
    with pytest.raises(ExperimentsUnavailable, match="did not take the result"):
        log_backtest(nowhere, combine("simulated", [made_season(2018)]), SPEC)


@pytest.mark.slow
def test_the_command_on_recorded_games_needs_no_server(recorded: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_URI"))}
    environment |= {"HALFTIME_DATA": str(recorded), "HALFTIME_HOME": str(tmp_path / uuid.uuid4().hex)}
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "backtest", "--test", "2022", "--minutes", "18", "--json"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=550,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "temporary server" not in done.stderr
    rows = {row["forecaster"]: row for row in json.loads(done.stdout)["rows"]}
    persistence, published, ensemble = (rows[name] for name in ("persistence", "dejavu-published", "ensemble"))
    assert {row["n"] for row in rows.values()} == {1314}
    # What these games give by counting.
    assert (persistence["mae"], persistence["rmse"]) == pytest.approx((4.879, 6.092), abs=0.001)
    assert persistence["crps"] == pytest.approx(3.45, abs=0.02)
    assert published["rmse"] == pytest.approx(7.61, abs=0.05)
    assert ensemble["mse_skill"] > 0.04
    assert ensemble["mse_skill_lower"] > 0.0
    assert 0.945 <= ensemble["coverage_95"] <= 0.955
    assert 21.0 < ensemble["width_95"] < 25.0


@pytest.mark.slow
def test_the_flow_walks_the_league_in_force_and_logs_it(
    monkeypatch: pytest.MonkeyPatch, mlflow_url: str, tmp_path: Path, prefect_server: None
) -> None:
    settings = Settings(mlflow_tracking_uri=mlflow_url, home=tmp_path, source="simulated")
    monkeypatch.setattr(flows.orchestration, "get_settings", lambda: settings)
    monkeypatch.setattr(flows.backtest_flow, "load_history", lambda _settings: HISTORY)
    monkeypatch.setattr(flows.backtest_flow, "BacktestSpec", lambda minutes: small_spec(*minutes))
    found = flows.orchestration.backtest(test=[2018], minutes=[18])
    assert (found["source"], found["seasons"], found["games"]) == ("simulated", [2018], 240)
    asked = httpx.get(f"{mlflow_url}/api/2.0/mlflow/runs/get", params={"run_id": str(found["mlflow_run"])})
    assert asked.raise_for_status().json()["run"]["info"]["status"] == "FINISHED"
