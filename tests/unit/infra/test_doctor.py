from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra import binaries, doctor, machine_checks, prometheus
from infra.check import Check
from infra.detached import read_status
from infra.local import LocalStack
from infra.ports import free_port
from services.settings import Settings
from tests.support.fake_services import fake
from tests.support.waiting import until

PORTS = ("forecaster", "board", "exporter", "prefect", "mlflow", "postgres", "redis", "replay", "poller_metrics",
         "predictor_metrics", "alerts", "alertmanager", "prometheus")  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    unset = {
        "database_url": None,
        "redis_url": None,
        "prefect_api_url": None,
        "mlflow_tracking_uri": None,
        "data": None,
    }
    ports = {f"{name}_port": free_port() for name in PORTS}
    return Settings(home=tmp_path, source=None, **{**unset, **ports})  # type: ignore[arg-type]


def named(checks: list[Check], name: str) -> Check:
    return next(each for each in checks if each.name == name)


def test_before_the_first_start_only_warnings_are_left(settings: Settings) -> None:
    checks = doctor.check_all(settings)
    assert [each.name for each in checks if not each.ok and not each.warning] == []
    assert named(checks, "stack").remedy == "make up"
    json.dumps([each.to_dict() for each in checks])


def test_every_finding_that_is_not_right_says_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing() -> Path:
        raise binaries.MissingBinary("no redis-server found")

    monkeypatch.setattr(binaries, "redis_server", missing)
    monkeypatch.setattr(binaries, "postgres_bin", missing)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 10**8))
    checks = doctor.check_all(settings)
    wrong = [each for each in checks if not each.ok]
    assert {"disk", "redis-server", "postgres programs", "prometheus", "chromium", "stack"} <= {
        each.name for each in wrong
    }
    assert all(each.remedy for each in wrong)
    assert "0.5 GB free" in named(checks, "disk").detail


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ((), "not installed; alerts are not evaluated here"),
        (("prometheus-alertmanager",), "not installed; alerts are not evaluated here"),
        (("prometheus",), "no alertmanager beside it; alerts are not evaluated here"),
    ],
)
def test_without_prometheus_and_alertmanager_a_warning_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name in there else None)
    finding = machine_checks.alerting()
    assert (finding.name, finding.ok, finding.warning, finding.detail) == ("prometheus", False, True, said)
    assert "apt-get install prometheus prometheus-alertmanager" in finding.remedy


def test_with_both_programs_their_places_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    finding = machine_checks.alerting()
    assert (finding.ok, finding.detail) == (True, "/bin/prometheus, /bin/alertmanager")


@pytest.mark.parametrize("able", [True, False])
def test_a_port_is_asked_for_only_when_its_service_can_be_started(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    monkeypatch.setattr(prometheus, "installed", lambda: able)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", settings.alertmanager_port))
        holder.listen()
        finding = machine_checks.ports(settings)
    assert finding.ok is not able
    assert ("HALFTIME_ALERTMANAGER_PORT" in finding.remedy) is able


def test_a_taken_port_is_named_with_its_owner(settings: Settings) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", settings.board_port))
        holder.listen()
        finding = machine_checks.ports(settings)
    assert not finding.ok
    assert f"port {settings.board_port} for board is taken by process" in finding.detail
    assert "HALFTIME_BOARD_PORT" in finding.remedy


def test_a_port_held_by_our_own_stack_is_no_trouble(settings: Settings) -> None:
    code = (
        f"import socket, time\ns = socket.socket(); s.bind(('127.0.0.1', {settings.board_port})); s.listen()\n"
        "time.sleep(600)"
    )
    with LocalStack(settings, services=[fake("board", code)]):
        until(lambda: not _free(settings.board_port))
        assert machine_checks.ports(settings).ok


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize(("version", "ok"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)])
def test_the_interpreter_must_be_one_the_lock_was_made_for(version: tuple[int, int], ok: bool) -> None:
    assert machine_checks.python_version(version).ok is ok


def test_a_data_folder_that_is_not_there_yet_is_looked_for_above(tmp_path: Path) -> None:
    assert machine_checks.writable(tmp_path / "a" / "b").ok
    assert machine_checks.disk(tmp_path / "a" / "b").detail.endswith(str(tmp_path))


def test_recorded_games_without_a_folder_are_an_error_and_without_plays_a_warning(tmp_path: Path) -> None:
    plain = Settings(home=tmp_path, data=None, source="recorded")
    assert not machine_checks.data(plain).ok
    (tmp_path / "games.parquet").touch()
    finding = machine_checks.data(Settings(home=tmp_path, data=tmp_path))
    assert finding.warning
    (tmp_path / "plays_2022.parquet").touch()
    assert machine_checks.data(Settings(home=tmp_path, data=tmp_path)).ok


def broken_off(settings: Settings) -> None:
    LocalStack(settings, services=[]).fail("port 5000 for mlflow is taken")
    path = settings.home / "run" / "stack.json"
    path.write_text(path.read_text().replace('"supervisor_create_time": ', '"supervisor_create_time": 1'))


def killed(settings: Settings) -> None:
    broken_off(settings)
    path = settings.home / "run" / "stack.json"
    path.write_text(path.read_text().replace('"port 5000 for mlflow is taken"', "null"))


@pytest.mark.parametrize(("how", "said"), [(broken_off, "last start failed: port 5000"), (killed, "was killed")])
def test_a_stack_that_ended_badly_is_told_apart(settings: Settings, how: Callable[[Settings], None], said: str) -> None:
    how(settings)
    (finding,) = doctor.check_stack(read_status(settings))
    assert not finding.ok
    assert said in finding.detail


def test_a_service_that_is_down_is_named_with_its_log(settings: Settings) -> None:
    flaky = fake("board", "import time; time.sleep(0.2); raise SystemExit(4)")
    with LocalStack(settings, services=[fake("store"), flaky]):

        def down() -> list[Check]:
            return [each for each in doctor.check_stack(read_status(settings)) if each.name == "board"]

        until(down)
        (finding,) = down()
    assert "ended with status 4" in finding.detail
    assert finding.remedy.endswith("board.log")


def test_servers_that_do_not_answer_are_each_named(settings: Settings) -> None:
    checks = doctor.check_servers(settings)
    assert [each.name for each in checks if not each.ok] == ["database", "redis", "prefect", "mlflow", "forecaster"]
    assert all(each.remedy and each.detail for each in checks)
