"""What Prometheus and Alertmanager are told, made from the settings."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from infra import prometheus
from services.settings import Settings

SECRET = "s3cret-of-the-database"


def settings_for(home: Path, **changes: Any) -> Settings:
    unset = {"database_url": None, "redis_url": None, "prefect_api_url": None, "mlflow_tracking_uri": None}
    return Settings(_env_file=None, **{**unset, "home": home, "data": None, **changes})


def written(settings: Settings) -> tuple[Any, Any]:
    """Both files as YAML reads them."""
    paths = prometheus.write_prometheus(settings), prometheus.write_alertmanager(settings)
    one, other = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths)
    return one, other


def test_five_jobs_are_scraped_every_five_seconds_at_the_ports_of_the_settings(tmp_path: Path) -> None:
    config, _ = written(settings_for(tmp_path, board_port=18000))
    assert config["global"]["scrape_interval"] == "5s"
    assert {job["job_name"]: job["static_configs"] for job in config["scrape_configs"]} == {
        "halftime-exporter": [{"targets": ["127.0.0.1:9090"]}],
        "halftime-forecaster": [{"targets": ["127.0.0.1:8080"]}],
        "halftime-board": [{"targets": ["127.0.0.1:18000"]}],
        "halftime-poller": [{"targets": ["127.0.0.1:9101"]}],
        "halftime-predictor": [{"targets": ["127.0.0.1:9102"]}],
    }


def test_the_rules_are_those_of_the_checkout_and_ask_for_no_job_that_is_not_scraped(tmp_path: Path) -> None:
    config, _ = written(settings_for(tmp_path))
    (rules,) = config["rule_files"]
    asked = set(re.findall(r'job="([^"]+)"', Path(rules).read_text(encoding="utf-8")))
    assert asked
    assert asked <= {job["job_name"] for job in config["scrape_configs"]}


def test_no_rule_asks_whether_a_live_loop_is_up_so_a_stack_without_a_feed_is_silent() -> None:
    rules = prometheus.RULES.read_text(encoding="utf-8")
    assert not re.search(r"halftime-(poller|predictor)", rules)
    assert not re.search(r"\bup\b(?!\{job=)(?=\s*[=!<>{)\[]+)", re.sub(r"#.*", "", rules)), "up of every job at once"


def test_everything_but_the_watchdog_goes_to_our_receiver_with_its_end(tmp_path: Path) -> None:
    _, config = written(settings_for(tmp_path, alerts_port=19095))
    route = config["route"]
    assert route["group_by"] == ["alertname", "severity"]
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("10s", "60s", "14400s")
    assert route["routes"] == [{"matchers": ['alertname="Watchdog"'], "receiver": "nobody"}]
    receivers = {each["name"]: each.get("webhook_configs") for each in config["receivers"]}
    assert receivers["nobody"] is None
    assert receivers[route["receiver"]] == [{"url": "http://127.0.0.1:19095/alerts", "send_resolved": True}]


def told(settings: Settings) -> str:
    """All that the two programs are told."""
    written_ = [prometheus.prometheus_config(settings), prometheus.alertmanager_config(settings)]
    return json.dumps([*written_, prometheus.prometheus_command(settings), prometheus.alertmanager_command(settings)])


def test_another_host_moves_everything(tmp_path: Path) -> None:
    there = told(settings_for(tmp_path, host="192.0.2.7"))
    assert "127.0.0.1" not in there
    assert there.replace("192.0.2.7", "127.0.0.1").replace(r"192\\.0\\.2\\.7", r"127\\.0\\.0\\.1") == told(
        settings_for(tmp_path)
    )


@pytest.mark.parametrize(
    "field",
    [
        "exporter_port",
        "forecaster_port",
        "board_port",
        "poller_metrics_port",
        "predictor_metrics_port",
        "alerts_port",
        "alertmanager_port",
        "prometheus_port",
    ],
)
def test_another_port_moves_what_is_at_it(tmp_path: Path, field: str) -> None:
    before, after = str(Settings.model_fields[field].default), "23456"
    there = told(settings_for(tmp_path, **{field: after}))
    assert before not in there
    assert there.replace(after, before) == told(settings_for(tmp_path))


def test_no_secret_is_told(tmp_path: Path) -> None:
    settings = settings_for(
        tmp_path,
        database_url=f"postgresql+psycopg2://u:{SECRET}@db/halftime",
        redis_url=f"redis://:{SECRET}@r/0",
        mlflow_tracking_uri=f"http://u:{SECRET}@m",
        prefect_api_url=f"http://u:{SECRET}@p/api",
    )
    settings.postgres_password_file.write_text(SECRET)
    written(settings)
    files = [path for path in prometheus.folder(settings).rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["alertmanager.yml", "prometheus.yml"]
    assert SECRET not in told(settings) + "".join(path.read_text() for path in files)


def test_both_listen_at_one_address_and_keep_their_data_in_the_data_folder(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    scraper, alertmanager = prometheus.prometheus_command(settings), prometheus.alertmanager_command(settings)
    assert "--web.listen-address=127.0.0.1:9091" in scraper
    assert f"--storage.tsdb.path={tmp_path}/prometheus/data" in scraper
    assert "--storage.tsdb.retention.time=15d" in scraper
    assert r"--web.cors.origin=http://127\.0\.0\.1:9091" in scraper
    assert "--web.listen-address=127.0.0.1:9093" in alertmanager
    assert f"--storage.path={tmp_path}/prometheus/alertmanager" in alertmanager
    assert "--cluster.listen-address=" in alertmanager


def test_alertmanager_is_found_under_debians_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"prometheus": "/bin/prometheus", "prometheus-alertmanager": "/bin/prometheus-alertmanager"}
    monkeypatch.setattr(shutil, "which", there.get)
    assert prometheus.alertmanager_program() == "/bin/prometheus-alertmanager"
    assert prometheus.installed()
    there["alertmanager"] = "/opt/alertmanager"
    assert prometheus.alertmanager_program() == "/opt/alertmanager"
    del there["prometheus"]
    assert not prometheus.installed()


def checked(name: str, *arguments: str) -> str:
    """What Prometheus's own checker says, or a skip that says it is missing."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"skipped: no {name}")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("home", ["plain", 'a home: {with} #odd "letters" ü'])
def test_prometheus_takes_its_configuration_and_finds_the_rules(tmp_path: Path, home: str) -> None:
    settings = settings_for(tmp_path / home)
    copy = tmp_path / home / "rules: 1.yml"
    path = prometheus.write_prometheus(settings)
    copy.write_text(prometheus.RULES.read_text(encoding="utf-8"), encoding="utf-8")
    assert re.search(r"\d+ rules found", checked("promtool", "check", "config", str(path)))
    path = prometheus.write_prometheus(settings, rules=copy)
    assert "SUCCESS" in checked("promtool", "check", "config", str(path))


@pytest.mark.parametrize("home", ["plain", 'a home: {with} #odd "letters" ü'])
def test_alertmanager_takes_its_configuration(tmp_path: Path, home: str) -> None:
    path = prometheus.write_alertmanager(settings_for(tmp_path / home))
    assert "SUCCESS" in checked("amtool", "check-config", str(path))


def test_a_quicker_pace_is_told(tmp_path: Path) -> None:
    quick = prometheus.Pace(scrape_s=1, group_wait_s=2, group_interval_s=3, repeat_s=4)
    one = prometheus.prometheus_config(settings_for(tmp_path), pace=quick)
    assert set(one["global"].values()) == {"1s"}
    route = prometheus.alertmanager_config(settings_for(tmp_path), pace=quick)["route"]
    assert [route[key] for key in ("group_wait", "group_interval", "repeat_interval")] == ["2s", "3s", "4s"]
