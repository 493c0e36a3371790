from __future__ import annotations

import stat
from pathlib import Path

import pytest

from infra import prometheus, services_table, tools_table
from infra.postgres import PostgresError
from services.settings import Settings


def settings_for(home: Path, **changes: object) -> Settings:
    unset = {"database_url": None, "redis_url": None, "prefect_api_url": None, "mlflow_tracking_uri": None}
    return Settings(home=home, **{**unset, "data": None, **changes})  # type: ignore[arg-type]


def test_every_dependency_is_a_service_and_none_waits_for_itself(tmp_path: Path) -> None:
    services = {each.name: each for each in services_table.build(settings_for(tmp_path), services_table.MAKERS)}
    assert services.keys() == services_table.MAKERS.keys()
    started: set[str] = set()
    while started != services.keys():
        able = {name for name, each in services.items() if set(each.depends_on) <= started}
        assert able > started, f"these wait for each other: {services.keys() - started}"
        started = able


def test_a_server_whose_address_is_set_is_not_started(tmp_path: Path) -> None:
    settings = settings_for(
        tmp_path,
        database_url="postgresql+psycopg2://u@db/halftime",
        redis_url="redis://r",
        mlflow_tracking_uri="http://m",
    )
    names = [each.name for each in services_table.build(settings, services_table.BASE)]
    assert names == ["prefect", "migrate"]
    assert services_table.external(settings) == {"postgres", "redis", "mlflow"}
    assert [each.service for each in services_table.wanted_ports(settings, services_table.BASE)] == ["prefect"]
    assert not settings.postgres_password_file.exists()


def test_an_unknown_service_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="grafana"):
        services_table.build(settings_for(tmp_path), ["grafana"])


def test_every_port_has_a_setting(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, forecaster_port=18080)
    ports = {each.service: each for each in services_table.wanted_ports(settings, services_table.MAKERS)}
    listening = {each.name for each in services_table.build(settings, services_table.MAKERS) if each.port}
    assert ports.keys() == listening
    assert (ports["forecaster"].port, ports["forecaster"].setting) == (18080, "HALFTIME_FORECASTER_PORT")
    assert (ports["poller"].port, ports["poller"].setting) == (9101, "HALFTIME_POLLER_METRICS_PORT")
    assert ports["predictor"].setting == "HALFTIME_PREDICTOR_METRICS_PORT"
    assert (ports["alerts"].port, ports["alerts"].setting) == (9095, "HALFTIME_ALERTS_PORT")
    assert (ports["alertmanager"].port, ports["alertmanager"].setting) == (9093, "HALFTIME_ALERTMANAGER_PORT")
    assert (ports["prometheus"].port, ports["prometheus"].setting) == (9091, "HALFTIME_PROMETHEUS_PORT")


def test_every_port_is_another_one(tmp_path: Path) -> None:
    ports = [each.port for each in services_table.wanted_ports(settings_for(tmp_path), services_table.MAKERS)]
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("able", [True, False])
def test_alerts_are_evaluated_where_their_programs_are(monkeypatch: pytest.MonkeyPatch, able: bool) -> None:
    monkeypatch.setattr(prometheus, "installed", lambda: able)
    found = services_table.here(services_table.MAKERS)
    assert set(services_table.MAKERS) - set(found) == (set() if able else set(services_table.ALERTING))


def test_a_night_starts_nothing_that_evaluates_alerts() -> None:
    of_a_night = (*services_table.BASE, *services_table.SERVING, *services_table.REPLAY, *services_table.LIVE)
    assert not set(services_table.ALERTING) & {*of_a_night}
    assert "evidently" not in of_a_night
    assert {*of_a_night, *services_table.ALERTING, "evidently"} == set(services_table.MAKERS)


def test_an_alert_finds_whoever_it_is_told_to(tmp_path: Path) -> None:
    services = {each.name: each for each in services_table.build(settings_for(tmp_path), services_table.ALERTING)}
    assert list(services) == ["alerts", "alertmanager", "prometheus"]
    assert set(services["alerts"].depends_on) == {"migrate", "prefect"}
    assert services["alertmanager"].depends_on == ("alerts",)
    assert services["prometheus"].depends_on == ("alertmanager",)


def test_the_password_is_made_once_and_kept_to_its_owner(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    first = tools_table.cluster(settings)
    assert tools_table.cluster(settings) == first
    assert stat.S_IMODE(settings.postgres_password_file.stat().st_mode) == 0o600
    assert first.password not in repr(first)


def test_a_cluster_whose_password_is_lost_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18")
    with pytest.raises(PostgresError, match="restore the file"):
        tools_table.cluster(settings_for(tmp_path))


def test_no_password_is_on_a_command_line(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    password = tools_table.cluster(settings).password
    for service in services_table.build(settings, set(services_table.MAKERS) - {"postgres", "redis"}):
        assert password not in " ".join(service.command())


def test_a_replay_of_simulated_games_says_so_on_its_command_line(tmp_path: Path) -> None:
    (service,) = services_table.build(settings_for(tmp_path), ["replay"])
    assert "--simulated" in service.command()


def test_the_mlflow_server_is_not_told_to_ask_itself(tmp_path: Path) -> None:
    (service,) = services_table.build(settings_for(tmp_path), ["mlflow"])
    assert "MLFLOW_TRACKING_URI" not in service.env
    assert service.env["MLFLOW_BACKEND_STORE_URI"].endswith("/mlflow")


def test_evidently_s_pages_are_made_from_the_database(tmp_path: Path) -> None:
    (service,) = services_table.build(settings_for(tmp_path), ["evidently"])
    assert service.depends_on == ("migrate",)
    assert service.env["DATABASE_URL"] == tools_table.cluster(settings_for(tmp_path)).url("halftime")
    elsewhere = settings_for(tmp_path, database_url="postgresql+psycopg2://u@db/halftime")
    (service,) = services_table.build(elsewhere, ["evidently"])
    assert service.env["DATABASE_URL"] == "postgresql+psycopg2://u@db/halftime"


def test_with_a_database_elsewhere_mlflow_keeps_its_own_file(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, database_url="postgresql+psycopg2://u@db/halftime")
    (service,) = services_table.build(settings, ["mlflow"])
    assert service.env["MLFLOW_BACKEND_STORE_URI"].startswith("sqlite:///")
