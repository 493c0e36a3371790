"""From a miss to the flow that mends it, through a real Prometheus, a real Alertmanager and the real receiver.

The rules are ours but for their pace: a copy evaluates every group each second and waits a second instead of minutes.
Scrapes and messages are quickened by the configuration's own parameter. Prefect is stood in for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import redis
import yaml  # type: ignore[import-untyped]

from infra import prometheus, services_table
from infra.local import LocalStack
from infra.redis import RedisServer
from monitoring.exporter import serve
from services.settings import Settings
from services.store import AlertRow, Store
from tests.support import planted
from tests.support.receiver import Prefect, receiving
from tests.support.running_prometheus import Prometheus, prometheus_program
from tests.support.servers import PostgresServer, free_port, temporary_folder
from tests.support.waiting import until

# A scrape that takes longer than the interval counts as down, and machines are busy.
QUICK = prometheus.Pace(scrape_s=2, group_wait_s=1, group_interval_s=1)
PORTS = ("exporter", "forecaster", "board", "poller_metrics", "predictor_metrics", "alerts", "alertmanager",
         "prometheus")  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What was seen on the way."""

    settings: Settings
    prometheus: Prometheus
    prefect: Prefect
    before: list[dict[str, str]]
    firing: list[dict[str, str]]
    asked: list[str]
    rows: list[AlertRow]
    stored: dict[str, set[str]]


def quick_rules(folder: Path) -> Path:
    """A copy of our rules in which every group is evaluated each second and what waits, waits a second."""
    rules = yaml.safe_load(prometheus.RULES.read_text(encoding="utf-8"))
    for group in rules["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = "1s"
    path = folder / "quick.yml"
    path.write_text(yaml.safe_dump(rules), encoding="utf-8")
    return path


@contextmanager
def exporting(settings: Settings) -> Iterator[None]:
    """The exporter, in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(settings, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=20.0)


def stack(settings: Settings, rules: Path) -> LocalStack:
    """Prometheus and Alertmanager as `up` starts them, but for the pace."""
    alertmanager, scraper = services_table.build(settings, ["alertmanager", "prometheus"])
    return LocalStack(
        settings,
        services=[
            replace(alertmanager, prepare=lambda: prometheus.write_alertmanager(settings, pace=QUICK)),
            replace(
                scraper,
                prepare=lambda: prometheus.write_prometheus(settings, pace=QUICK, rules=rules),
                # What fires before Prometheus has found Alertmanager is told with the next reminder.
                command=lambda: [*prometheus.prometheus_command(settings), "--rules.alert.resend-delay=1s"],
            ),
        ],
    )


def kept(store: Store, name: str, status: str) -> list[AlertRow]:
    return [row for row in store.alert_history() if (row.alertname, row.status) == (name, status)]


def known(settings: Settings) -> dict[str, list[str]]:
    """Alert -> its receivers, as Alertmanager has it."""
    answer = httpx.get(f"http://{prometheus.alertmanager_address(settings)}/api/v2/alerts", timeout=10.0).json()
    return {one["labels"]["alertname"]: [to["name"] for to in one["receivers"]] for one in answer}


def firing(seen: Prometheus, name: str) -> list[dict[str, str]]:
    return [labels for labels, _ in seen.ask(f'ALERTS{{alertname="{name}", alertstate="firing"}}')]


@pytest.fixture(scope="module")
def programs() -> None:
    """Asked for first, so that nothing is started for a test that is skipped."""
    prometheus_program()
    if prometheus.alertmanager_program() is None:
        pytest.skip("skipped: no alertmanager")


@pytest.fixture(scope="module")
def told(programs: None, postgres_server: PostgresServer, redis_server: RedisServer) -> Iterator[Told]:
    """Ten misses in a row, until the alert is kept; then thirty games inside, until its end is."""
    url, prefect = postgres_server.emptied(), Prefect()
    with temporary_folder("alerting") as folder, Store.open(url, application="halftime-test") as store:
        ports = {f"{name}_port": free_port() for name in PORTS}
        given = {"home": folder / "home", "data": None, "database_url": url, "redis_url": redis_server.url, **ports}
        settings = Settings(_env_file=None, **given)
        seen = Prometheus(f"http://{prometheus.prometheus_address(settings)}")
        with exporting(settings), receiving(store, settings, prefect), stack(settings, quick_rules(folder)):
            until(lambda: seen.ask('up{job="halftime-exporter"} == 1') and "Watchdog" in known(settings))
            before = firing(seen, "CoverageLow")
            planted.misses(store)
            until(lambda: kept(store, "CoverageLow", "firing"), timeout_s=60.0)
            then = firing(seen, "CoverageLow")
            planted.covered(store)
            until(lambda: kept(store, "CoverageLow", "resolved"), timeout_s=60.0)
            until(lambda: any("forecaster" in row.labels["job"] for row in kept(store, "TargetsAbsent", "firing")))
            asked, rows = list(prefect.asked), list(store.alert_history())
            client = redis.Redis.from_url(redis_server.url)
            stored = faults_in_what_is_stored(store, client)
            client.close()
            yield Told(settings, seen, prefect, before, then, asked, rows, stored)
        seen.close()


def faults_in_what_is_stored(store: Store, client: redis.Redis) -> dict[str, set[str]]:
    """Plants faults, waits for their alerts, mends them, waits for the end; alert -> what was kept of it."""
    planted.playing(store)
    for plant in (planted.drifted, planted.old_report, planted.old_backups, planted.forgotten_half):
        plant(store)
    planted.dead_letter(client)
    names = ("ErrorDrift", "ReportStale", "BackupStale", "RestoreTestStale", "SettlementBacklog", "DeadLetters")
    until(lambda: all(kept(store, name, "firing") for name in names), timeout_s=60.0)
    for mend in (planted.as_before, planted.new_report, planted.new_backups, planted.settled_at_last):
        mend(store)
    planted.no_dead_letters(client)
    until(lambda: all(kept(store, name, "resolved") for name in names), timeout_s=60.0)
    rows = store.alert_history()
    return {name: {row.status for row in rows if row.alertname == name} for name in names}


def of(told: Told, name: str) -> list[AlertRow]:
    """The rows of one alert, oldest first."""
    return sorted((row for row in told.rows if row.alertname == name), key=lambda row: (row.starts_at, row.status))


def test_misses_fire_in_prometheus_and_their_alert_is_kept(told: Told) -> None:
    assert told.before == []
    line = {"source": "recorded", "lineage": "3", "level": "0.95", "severity": "ticket"}
    (labels,) = told.firing
    assert line.items() <= labels.items()
    row = of(told, "CoverageLow")[0]
    assert row.status == "firing"
    assert (line | {"alertname": "CoverageLow", "team": "halftime"}) == dict(row.labels)
    assert "9.42" in row.annotations["description"]


def test_a_recalibration_is_told_again_while_prefect_is_away_and_started_once(told: Told) -> None:
    assert told.asked == ["recalibrate/nightly", "recalibrate/nightly"]
    assert list(told.prefect.runs.values())[:1] == [("recalibrate/nightly", {"patient": False})]
    (action,) = of(told, "CoverageLow")[0].actions
    assert (action["run_id"], action["why"]) == ("run of recalibrate/nightly", None)


def test_games_inside_end_the_alert_and_its_end_starts_nothing(told: Told) -> None:
    first, last = of(told, "CoverageLow")
    assert (first.status, last.status, last.actions) == ("firing", "resolved", ())
    assert (last.fingerprint, last.starts_at) == (first.fingerprint, first.starts_at)
    assert firing(told.prometheus, "CoverageLow") == []


def test_faults_in_what_is_stored_fire_and_end_with_the_fault(told: Told) -> None:
    assert len(told.stored) == 6
    assert all(statuses == {"firing", "resolved"} for statuses in told.stored.values()), told.stored
    assert {"evaluate-challenger/nightly", "retrain/on-drift"} <= set(told.prefect.asked), "drift asks for a training"


def test_an_alert_that_asks_for_nothing_is_kept(told: Told) -> None:
    # The exporter was absent too, until its first scrape.
    (row,) = [row for row in of(told, "TargetsAbsent") if row.labels["job"] == "halftime-forecaster"]
    assert (row.status, row.labels["severity"], row.actions) == ("firing", "page", ())


def test_the_watchdog_fires_and_is_told_to_nobody(told: Told) -> None:
    assert known(told.settings)["Watchdog"] == ["nobody"]
    assert of(told, "Watchdog") == []


def test_every_rule_is_evaluated_without_an_error(told: Told) -> None:
    answer = httpx.get(f"http://{prometheus.prometheus_address(told.settings)}/api/v1/rules", timeout=10.0).json()
    rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    assert "CoverageLow" in {rule["name"] for rule in rules}
    assert {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")} == {}
    assert {rule["health"] for rule in rules} == {"ok"}


def test_all_five_jobs_are_scraped_and_those_that_do_not_run_are_down(told: Told) -> None:
    # A busy machine may miss one scrape.
    jobs = {labels["job"]: up for labels, up in told.prometheus.ask("max_over_time(up[1m])")}
    assert jobs == {job: float(job == "halftime-exporter") for job in prometheus.targets(told.settings)}
