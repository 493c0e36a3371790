import errno
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import flows.backtest
import flows.backtest_cluster
from flows.backtest import load_history
from flows.backtest_cluster import ClusterTrouble, run_seasons
from flows.backtest_log import FIGURES, figures
from flows.backtest_worker import season_on_worker
from flows.cli import app
from models.backtest import BacktestError, BacktestSpec, SeasonResult
from models.backtest_result import combine
from models.history import History
from services.registry_http import RegistryUnavailable
from services.settings import Settings, SettingsError, get_settings
from tests.support.seasons import made_season, several_seasons, small_spec
from tests.support.servers import free_port

HISTORY = several_seasons(2016, 2017, 2018, games=1400)


def test_an_address_where_nobody_answers_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.backtest_cluster, "CONNECT_TIMEOUT_S", 0.3)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(ClusterTrouble, match=f"no Dask scheduler answers at DASK_ADDRESS={address}: start one there"):
        run_seasons(HISTORY, [2018], small_spec(18), dask_address=address)


def test_an_address_that_is_none_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.backtest_cluster, "CONNECT_TIMEOUT_S", 0.3)
    with pytest.raises(ClusterTrouble, match="DASK_ADDRESS=nothing://here"):
        run_seasons(HISTORY, [2018], small_spec(18), dask_address="nothing://here")


def test_a_season_that_cannot_be_tested_starts_no_cluster() -> None:
    with pytest.raises(BacktestError, match="season 2016 has 0 earlier games"):
        run_seasons(HISTORY, [2016, 2018], small_spec(18), dask_address="nothing://here")


def test_the_history_is_that_of_the_league_in_force(recorded: Path) -> None:
    history = load_history(Settings(data=recorded))
    assert (history.source, len(history)) == ("recorded", 12812)
    assert (history.possession[history.season == 2022][:, 1:] != 0).any()


def test_recorded_games_without_a_folder_are_refused() -> None:
    with pytest.raises(SettingsError, match="set HALFTIME_DATA"):
        load_history(Settings(data=None, source="recorded"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The command with seasons that are made, not run; what it asked for."""
    asked: list[dict[str, Any]] = []

    def run(
        _history: History, seasons: Sequence[int], spec: BacktestSpec, *, dask_address: str | None,
        progress: Callable[[int, str, float], None],
    ) -> list[SeasonResult]:  # fmt: skip
        asked.append({"seasons": tuple(seasons), "minutes": spec.minutes, "address": dask_address})
        progress(seasons[0], "half way", 0.5)
        return [made_season(season, spec.minutes) for season in seasons]

    monkeypatch.setattr(flows.backtest, "load_history", lambda _settings: HISTORY)
    monkeypatch.setattr(flows.backtest_cluster, "run_seasons", run)
    return asked


def invoke(*arguments: str, **environment: str) -> Any:
    get_settings.cache_clear()
    try:
        return CliRunner().invoke(app, ["backtest", *arguments], env=environment)
    finally:
        get_settings.cache_clear()


def test_the_command_prints_rows_and_nothing_else_on_standard_output(small: list[dict[str, Any]]) -> None:
    told = invoke("--test", "2018", "--minutes", "18,6", "--json", HALFTIME_DATA="", DASK_ADDRESS="")
    assert told.exit_code == 0, told.output
    body = json.loads(told.stdout)
    assert body["source"] == "simulated"
    assert [(row["season"], row["minute"]) for row in body["rows"]] == [(2018, 6)] * 5 + [(2018, 18)] * 5
    assert small == [{"seasons": (2018,), "minutes": (6, 18), "address": None}]
    assert "of the simulated games" in told.stderr


def test_the_command_writes_the_report(small: list[dict[str, Any]], tmp_path: Path) -> None:
    told = invoke("--test", "2018", "--html", str(tmp_path / "report.html"), DASK_ADDRESS="tcp://10.0.0.1:8786")
    assert told.exit_code == 0, told.output
    assert told.stdout == ""
    assert "than persistence's" in told.stderr
    assert (tmp_path / "report.html").stat().st_size > 1_000_000
    assert small == [{"seasons": (2018,), "minutes": tuple(range(24)), "address": "tcp://10.0.0.1:8786"}]


def test_minutes_that_are_none_and_seasons_that_are_not_there_are_refused(small: list[dict[str, Any]]) -> None:
    wrong = invoke("--test", "2018", "--minutes", "six")
    assert wrong.exit_code == 2
    assert "name minutes as 0,6,12,18,23" in wrong.stderr
    for arguments, reason in (
        (("--test", "1990"), "season 1990 has no game"),
        ((), "no season to test"),
        (("--test", "2018", "--minutes", "24"), "name minutes 0..23"),
    ):
        refused = invoke(*arguments)
        assert isinstance(refused.exception, BacktestError)
        assert reason in str(refused.exception)
    assert small == []


def test_a_worker_with_another_version_of_the_code_refuses() -> None:
    with pytest.raises(ClusterTrouble, match="another version of this code: restart the workers"):
        season_on_worker(HISTORY, 2018, small_spec(18), "0" * 64)


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_forecast(
    small: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    for path, reason in (
        (tmp_path / "nowhere" / "report.html", f"there is no folder {tmp_path / 'nowhere'}"),
        (tmp_path / "a file" / "report.html", f"there is no folder {tmp_path / 'a file'}"),
        (tmp_path, "it is a folder"),
        (tmp_path / ("long" * 62 + ".html"), "File name too long"),
    ):
        told = invoke("--test", "2018", "--html", str(path), "--json")
        assert told.exit_code == 2
        assert f"{path} cannot be written: {reason}" in told.stderr
        assert told.stdout == ""
    assert small == []


def test_looking_whether_a_report_can_be_written_leaves_nothing_and_changes_nothing(
    small: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The season is refused after the look."""
    there = tmp_path / "there.html"
    there.write_text("an older report")
    for path in (there, tmp_path / "new.html"):
        assert isinstance(invoke("--test", "1990", "--html", str(path)).exception, BacktestError)
    assert [path.name for path in tmp_path.iterdir()] == ["there.html"]
    assert there.read_text() == "an older report"


def test_a_report_that_fails_after_all_costs_neither_the_json_nor_the_log(
    small: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logged: list[object] = []
    monkeypatch.setattr("flows.backtest_log.log_backtest", lambda *given: logged.append(given))
    monkeypatch.setattr("monitoring.backtest_report.write_page", _full)
    path = tmp_path / "report.html"
    told = invoke("--test", "2018", "--html", str(path), "--log", "--json", HALFTIME_DATA="", DASK_ADDRESS="")
    assert told.exit_code == 1
    assert isinstance(told.exception, SystemExit)
    assert json.loads(told.stdout)["rows"]
    assert f"halftime: the report could not be written to {path}: No space left on device" in told.stderr
    assert "report: " not in told.stderr
    assert len(logged) == 1


def test_a_disk_that_is_full_while_logging_is_told_in_a_sentence(
    small: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("flows.backtest_log.log_backtest", _full)
    path = tmp_path / "report.html"
    told = invoke("--test", "2018", "--html", str(path), "--log", "--json", HALFTIME_DATA="", DASK_ADDRESS="")
    assert told.exit_code == 1
    assert isinstance(told.exception, SystemExit)
    assert json.loads(told.stdout)["rows"]
    assert "halftime: the result could not be logged to MLflow: [Errno 28] No space left on device: '/tmp/some'" in (
        told.stderr
    )
    assert path.exists()
    assert f"report: {path}" in told.stderr


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/some")


def test_the_result_is_printed_before_what_may_fail(
    small: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RegistryUnavailable("MLflow is away")

    monkeypatch.setattr("flows.backtest_log.log_backtest", away)
    told = invoke("--test", "2018", "--minutes", "18", "--json", "--log", HALFTIME_DATA="", DASK_ADDRESS="")
    assert isinstance(told.exception, RegistryUnavailable)
    assert told.exit_code == 1
    assert json.loads(told.stdout)["rows"]
    assert "than persistence's" in told.stderr


def test_a_figure_that_is_not_defined_is_not_logged() -> None:
    result = combine("simulated", [made_season(2018, (18,))])
    assert len(figures(result)) == len(result.rows) * len(FIGURES)
    result.rows[3]["mse_skill"] = None
    assert [one.name for one in figures(result) if one.name.startswith("ensemble/")] == [
        f"ensemble/2018/{name}" for name in FIGURES if name != "mse_skill"
    ]
