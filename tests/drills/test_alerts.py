"""Every alert is made to fire by a fault of its own on a running stack, at the pace the stack has in use.

Faults follow one another, in the order below; those that do not meet are in force at the same time. The last tests wait
until all is quiet again and write down how long each alert took. About three quarters of an hour.
"""

from __future__ import annotations

import json
import shutil
import signal
import statistics
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest
import yaml  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

from infra import prometheus
from services.settings import get_settings
from tests.drills.drill import Drill, running_drill, signal_all
from tests.support import planted
from tests.support.running_forecaster import running_forecaster, small_bundle
from tests.support.running_prometheus import prometheus_program
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(3600)
QUIET_S = 90.0
GOOD_REQUESTS_AT_ONCE = 3


@pytest.fixture(scope="module")
def drill() -> Iterator[Drill]:
    prometheus_program()
    if not prometheus.installed():
        pytest.skip("skipped: no alertmanager")
    with running_drill() as found:
        yield found


def test_a_quiet_stack_fires_nothing_but_the_watchdog(drill: Drill) -> None:
    drill.record.say("nothing is wrong")
    began = time.monotonic()
    while time.monotonic() - began < QUIET_S:
        assert drill.record.watch.names() == {"Watchdog"}
        time.sleep(1.0)


def test_a_game_without_a_forecaster(drill: Drill) -> None:
    game = drill.feed.games[0]
    drill.feed.clock.leap_to(game.mark_wall_s - 10.0)
    down = drill.fault(
        "no forecaster while a game passes 6:00", "OfficialForecastOverdue", "GameWindowBudgetBurns", within_s=180.0,
        also=("TargetsAbsent",),
    )  # fmt: skip
    with down as fault:
        drill.stack.remove(["forecaster"])
        fault.seen()
        with drill.fault("and comes to its half", "GameMissed", within_s=120.0) as missed:
            drill.feed.clock.leap_to(game.half_wall_s + 5.0)
            missed.seen()
        drill.stack.add(["forecaster"])


def test_a_process_that_keeps_dying(drill: Drill) -> None:
    with drill.fault("the poller is killed again and again", "LeaseFlapping", within_s=300.0) as fault:
        epoch = drill.value('halftime_lease_epoch{lease="poller"}')
        for kill in range(1, 5):
            signal_all(drill.processes("poller"), signal.SIGKILL)
            until(lambda kill=kill: drill.value('halftime_lease_epoch{lease="poller"}') >= epoch + kill, 120.0)
        fault.seen()


def test_faults_in_what_is_stored_and_in_models(drill: Drill) -> None:
    store = drill.store
    with (
        drill.fault("ten games in a row miss", "CoverageLow", "CoverageNote", "CoverageKindLow", within_s=200.0,
                    lineage="3") as missed,
        drill.fault("errors all high", "ErrorDrift", within_s=200.0) as drifted,
        drill.fault("no report since yesterday", "ReportStale", within_s=120.0) as old,
        drill.fault("half over, never settled", "SettlementBacklog", within_s=120.0) as waiting,
        drill.fault("an entry nobody can read", "DeadLetters", within_s=120.0) as poison,
    ):  # fmt: skip
        planted.misses(store)
        planted.drifted(store)
        planted.old_report(store)
        planted.forgotten_half(store)
        planted.poison(drill.redis)
        for fault in (old, waiting, poison, missed, drifted):
            fault.seen()
        planted.covered(store)
        planted.as_before(store)
        planted.new_report(store)
        planted.settled_at_last(store)
        planted.no_dead_letters(drill.redis)


def test_a_champion_that_cannot_be_loaded(drill: Drill) -> None:
    with drill.fault("the registry's champion was tampered with", "ModelRefused", within_s=300.0) as fault:
        bad = drill.registry.register(small_bundle(drill.bundles / "bundle-2", seed=2, minutes=(18,)))
        place = bad.source.removeprefix("mlflow-artifacts:/")
        base = f"{drill.settings.resolved_mlflow_uri}/api/2.0/mlflow-artifacts/artifacts"
        httpx.put(f"{base}/{place}/manifest.json", content=b'{"format": "evil"}').raise_for_status()
        drill.registry.set_alias("champion", bad.version)
        fault.seen()
        drill.registry.set_alias("champion", "1")


def test_forecasters_that_do_not_agree_and_backups_that_are_late(drill: Drill) -> None:
    url = drill.settings.resolved_database_url
    with drill.fault(
        "no backup since yesterday, none restored", "BackupStale", "RestoreTestStale", within_s=600.0
    ) as late:
        planted.old_backups(drill.store)
        with (
            drill.fault(
                "one of two forecasters finds no model", "ModelFallback", within_s=240.0, also=("ModelMismatch",)
            ) as fault,
            running_forecaster(
                drill.bundles / "second", None, database_url=url, ready=False, MLFLOW_TRACKING_URI="http://127.0.0.1:1"
            ) as second,
        ):
            second.wait()
            drill.scrape_also(second.http.base_url.netloc.decode())
            fault.seen()
            drill.scrape_also()
        other = small_bundle(drill.bundles / "bundle-3", seed=3, minutes=(18,))
        with (
            drill.fault("one of two forecasters serves another model", "ModelMismatch", within_s=500.0) as fault,
            running_forecaster(drill.bundles / "third", other, database_url=url) as third,
        ):
            drill.scrape_also(third.http.base_url.netloc.decode())
            fault.seen()
            drill.scrape_also()
        late.seen()
        planted.new_backups(drill.store)


def test_a_feed_that_answers_the_same_for_minutes_and_a_forecaster_that_is_slow(drill: Drill) -> None:
    until(lambda: drill.value("halftime_games_on_clock") > 0, 300.0)
    names = ("RequestBudgetBurnsFast", "RequestBudgetBurns", "RequestBudgetBurnsSlowly", "PredictionLatencyHigh")
    with drill.fault("the feed stands still", "FeedStale", within_s=600.0) as still:
        drill.feed.clock.hold()
        with drill.fault("the forecaster gets hardly any processor", *names, within_s=900.0) as slow:
            slow.seen(lambda: slow_requests(drill))
        until_good(drill)
        still.seen()
        drill.feed.clock.release()


def slow_requests(drill: Drill) -> None:
    """Two requests for which the forecaster gets a hundredth of a second in every two; then a pause.

    Time between arrival and the first line of our code is not measured: they must be held up in the middle.
    """
    processes = drill.processes("forecaster")
    asking = [threading.Thread(target=drill.predict) for _ in range(2)]
    with drill.frozen(processes):
        for thread in asking:
            thread.start()
        for _ in range(3):
            time.sleep(2.0)
            signal_all(processes, signal.SIGCONT)
            time.sleep(0.01)
            signal_all(processes, signal.SIGSTOP)
        time.sleep(2.0)
    for thread in asking:
        thread.join()
    time.sleep(25.0)


def until_good(drill: Drill) -> None:
    """Good requests, until the slow ones are few enough to be within the budget of every window."""
    budget = "max(halftime:predict_bad:ratio_3d) < 0.0009 and max(halftime:predict_bad:ratio_30m) < 0.0009"
    done = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=drill.settings.forecaster_url, timeout=30.0) as client:
            while not done.is_set():
                client.post("/predict", json={"pattern": list(range(18))}).raise_for_status()

    threads = [threading.Thread(target=ask) for _ in range(GOOD_REQUESTS_AT_ONCE)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: drill.prometheus.ask(budget), 600.0)
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_feed_that_fails(drill: Drill) -> None:
    with drill.fault("the feed answers 500", "FeedSilent", within_s=180.0) as fault:
        drill.feed.misbehave("server_error")
        fault.seen()
        drill.feed.behave()
    with drill.fault("the feed throttles us", "FeedRefuses", within_s=240.0, also=("FeedSilent",)) as fault:
        drill.feed.misbehave("throttled=0.5")
        fault.seen()
        drill.feed.behave()


def test_loops_that_hang(drill: Drill) -> None:
    hangs = drill.fault("the poller hangs", "PollerAbsent", within_s=180.0, also=("FeedSilent", "LeaseFlapping"))
    with hangs as fault, drill.frozen(drill.processes("poller")):
        fault.seen()
    hangs = drill.fault("the predictor hangs", "StreamLag", within_s=240.0)
    with hangs as fault, drill.frozen(drill.processes("predictor")):
        fault.seen()


def test_a_redis_that_hangs(drill: Drill) -> None:
    pid = int(drill.redis.info("server")["process_id"])
    hangs = drill.fault("Redis hangs", "RedisDown", within_s=240.0, also=("StreamLag", "LeaseFlapping"))
    with hangs as fault, drill.frozen([psutil.Process(pid)]):
        fault.seen()


def test_no_exporter(drill: Drill) -> None:
    with drill.fault("the exporter is gone", "TargetsAbsent", within_s=300.0, job="halftime-exporter") as fault:
        drill.stack.remove(["exporter"])
        fault.seen()
        drill.stack.add(["exporter"])


def test_a_full_disk(drill: Drill) -> None:
    if not drill.settings.home.is_mount():
        pytest.skip("skipped: the data folder has no disk of its own (root can mount one)")
    with drill.fault("the disk is full but for 4%", "DiskWillFill", within_s=600.0) as fault:
        fill(drill)
        fault.seen()
        (drill.settings.home / "filler").unlink()


def fill(drill: Drill) -> None:
    """Writes until 4% of the data folder's disk are free."""
    disk = shutil.disk_usage(drill.settings.home)
    with (drill.settings.home / "filler").open("wb") as file:
        left = disk.free - disk.total // 25
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))


def test_a_database_that_hangs(drill: Drill) -> None:
    server = psutil.Process(drill.postgres.process.pid)
    with (
        drill.fault("PostgreSQL hangs", "DatabaseDown", within_s=240.0) as down,
        drill.fault(
            "and predictions are served on", "SpoolNotDraining", within_s=700.0, also=("StreamLag", "LeaseFlapping")
        ) as spool,
        drill.frozen([server, *server.children(recursive=True)]),
    ):
        assert drill.predict() == 200
        down.seen()
        spool.seen(drill.predict)


def test_everything_clears_and_is_told(drill: Drill) -> None:
    drill.cleared(40 * 60.0)
    until(lambda: drill.told() or all(alert.told_at for alert in drill.record.expected), 180.0)
    rows = [alert.row() for alert in drill.record.expected]
    median_s = statistics.median(float(row["fired_s"] or 0.0) for row in rows)
    path = get_settings().home / "drills" / "alerts.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"median_fired_s": median_s, "alerts": rows}, indent=2) + "\n", encoding="utf-8")
    table = Table(*rows[0], title=f"{len(rows)} alerts fire after {median_s:g} s (median); {path}")
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    Console(width=140).print(table)


def test_nothing_fired_that_no_fault_called_for(drill: Drill) -> None:
    assert [(one.name, dict(one.labels)) for one in drill.record.unexpected()] == []


def test_every_alert_had_a_fault_of_its_own(drill: Drill) -> None:
    rules = yaml.safe_load(prometheus.RULES.read_text(encoding="utf-8"))
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    assert names - {alert.name for alert in drill.record.expected} == {"Watchdog"}
