"""A night without a fault, on the stack that `up` starts: no alert fires, and nobody is told anything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date

import pytest

from infra import prometheus
from services.settings import Settings
from services.store import Store
from tests.e2e.conftest import recorded_games
from tests.support.night_home import night_home
from tests.support.running_prometheus import Prometheus, prometheus_program

pytestmark = pytest.mark.timeout(3600)
NIGHT = date(2023, 2, 3)
SPEED = "30"
NIGHT_S = 1500.0


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Settings, Prometheus, Store]]:
    """The night is over and its stack still runs."""
    prometheus_program()
    if not prometheus.installed():
        pytest.skip("skipped: no alertmanager")
    with night_home(recorded_games()) as home:
        started = home.run("up", "--feed", "replay", "--date", str(NIGHT), "--speed", SPEED, timeout_s=400.0)
        assert started.status == 0, started.err
        settings = home.settings(feed="replay")
        with Store.open(settings.resolved_database_url, application="halftime-drill") as store:
            deadline = time.monotonic() + NIGHT_S
            while not over(store, settings.league_source):
                assert time.monotonic() < deadline, store.night(NIGHT, settings.league_source)
                time.sleep(2.0)
            seen = Prometheus(f"http://{prometheus.prometheus_address(settings)}")
            yield settings, seen, store
            seen.close()
        assert home.run("down").status == 0


def over(store: Store, source: str) -> bool:
    """Every game of the night decided and its half settled for good."""
    games = store.night(NIGHT, source).games
    settled = [game for game in games if game.actual is not None and game.actual.state == "final"]
    return bool(games) and len(settled) == len(games)


def test_every_game_had_its_forecast(played: tuple[Settings, Prometheus, Store]) -> None:
    settings, _, store = played
    games = store.night(NIGHT, settings.league_source).games
    assert {game.disposition for game in games} == {"forecast"}


def test_no_alert_fired_but_the_watchdog(played: tuple[Settings, Prometheus, Store]) -> None:
    _, seen, store = played
    fired = seen.ask('count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[6h]))')
    assert [labels["alertname"] for labels, _ in fired] == ["Watchdog"]
    assert store.alert_history() == []
