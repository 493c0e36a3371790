"""Three forecasters behind one nginx: they are killed and rolled under load, and figures add up all the same."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from tests.support.balanced import Platform, running_exporter
from tests.support.balanced_games import (
    Callers,
    Settled,
    counted,
    figures,
    forecast_games,
    outcome,
    rows_in,
    settled_in,
)
from tests.support.lives import NO_ANSWER, scraped, together, uncounted
from tests.support.load import Answer, Ask, latency, load
from tests.support.running_forecaster import PATTERN
from tests.support.scraped import Page
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(900)
RATE = 100
BEFORE, UNDER_FIRE = range(24), range(24, 36)
STEADY_S = 6


class Night:
    """What was asked so far, of all tests, and the games that have an official forecast."""

    def __init__(self, platform: Platform) -> None:
        self.callers = Callers(platform.balancer.url)
        self.games: list[Settled] = []
        self.under_load: list[Answer] = []

    @property
    def answers(self) -> list[Answer]:
        return self.callers.answers + self.under_load

    def predicted(self) -> set[str]:
        """Request ids of the forecasts that callers got."""
        got = (one for one in self.answers if one.ask.path == "/predict" and one.status == 200)
        return {one.ask.body["request_id"] for one in got if one.ask.body}


@pytest.fixture(scope="module")
def night(platform: Platform) -> Iterator[Night]:
    opened = Night(platform)
    yield opened
    opened.callers.close()


def say(text: str) -> None:
    print(f"    {text}", flush=True)  # noqa: T201 - a drill is watched


def good() -> Ask:
    return Ask("POST", "/predict", {"pattern": PATTERN, "request_id": f"load-{uuid.uuid4()}"})


def steady_mix(games: list[Settled]) -> Iterator[Ask]:
    """Of ten requests eight are good, two of them the same one; one is refused, and one asks for the summary or
    contradicts an outcome."""
    for number in range(STEADY_S * RATE // 10):
        for _ in range(6):
            yield good()
        again = good()
        yield again
        yield again
        yield Ask("POST", "/predict", {"pattern": [1, 2, 3]})
        yield Ask("GET", "/metrics/summary") if number % 2 else outcome(games[number % len(games)], off=1)


def test_what_the_replicas_count_is_what_callers_asked_by_status(platform: Platform, night: Night) -> None:
    night.games += forecast_games(night.callers, platform.store, BEFORE)
    for game in night.games:
        first, again = (night.callers.ask(outcome(game)).json() for _ in range(2))
        assert (first["status"], again["status"]) == ("settled", "unchanged")
    unknown = Ask("POST", "/record_actual", {"game_id": "0022299999", "actual_differential": 1})
    assert night.callers.ask(unknown).status_code == 404
    asks = steady_mix(night.games)
    night.under_load += asyncio.run(load(platform.balancer.url, asks, RATE, threading.Event()))
    asked = counted(night.answers)
    until(lambda: together(map(scraped, platform.forecasters)) >= asked)
    lives = [scraped(one) for one in platform.forecasters]
    assert together(lives) == asked
    assert {status for _, _, status in asked} == {200, 400, 404, 409}
    assert min(life.counted["POST", "/predict", 200] for life in lives) > 0
    pages = [one.page() for one in platform.forecasters]
    assert sum(page.sum("halftime_predictions_total") for page in pages) == asked["POST", "/predict", 200]
    assert sum(page.only("halftime_http_request_seconds_count", route="/predict") for page in pages) == (
        asked["POST", "/predict", 200] + asked["POST", "/predict", 400]
    )
    # What was sent twice has one row, whichever replicas answered.
    until(lambda: len(rows_in(platform.store)) >= len(night.predicted()))
    assert sorted(rows_in(platform.store)) == sorted(night.predicted())
    assert len(night.predicted()) < asked["POST", "/predict", 200]
    by_status = ", ".join(f"{n} {route} {status}" for (_, route, status), n in sorted(asked.items()))
    say(f"counted by three replicas as asked: {by_status}")
    say(f"without a fault: {latency(night.under_load)}")


def test_killed_and_rolled_replicas_cost_no_request_and_lose_no_row(platform: Platform, night: Night) -> None:
    games = forecast_games(night.callers, platform.store, UNDER_FIRE)
    night.games += games
    waiting = iter(games)
    asks = (outcome(game) if n % 50 == 49 and (game := next(waiting, None)) else good() for n in count())
    stop, before = threading.Event(), counted(night.answers)
    already, lives = len(platform.balancer.passed()), []
    first, second, third = platform.forecasters
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(lambda: asyncio.run(load(platform.balancer.url, asks, RATE, stop)))
        try:
            time.sleep(2.0)
            lives.append(scraped(first))
            first.kill()
            time.sleep(2.0)
            first.start()
            for one in (second, third):
                lives.append(scraped(one))
                one.end()
                one.start()
                time.sleep(1.0)
        finally:
            stop.set()
        answers = asking.result()
    night.under_load += answers
    assert [(one.status, one.text) for one in answers if one.status != 200] == []
    assert len(answers) > RATE * 5
    assert next(waiting, None) is None
    # nginx saw each answer that a caller got, and says who gave it.
    until(lambda: len(platform.balancer.passed()) >= already + len(answers))
    passed = platform.balancer.passed()
    assert Counter((one.method, one.path, one.status) for one in passed if one.path != "/livez") == counted(
        night.answers
    )
    unseen, bound = uncounted(lives, passed, platform)
    until(lambda: together([*lives, *map(scraped, platform.forecasters)]) >= counted(night.answers) - unseen)
    # Nothing is missing but that, of any status.
    everything = together([*lives, *map(scraped, platform.forecasters)])
    retried = [one for one in passed[already:] if len(one.tries) > 1]
    refused = Counter(
        (one.method, one.path, status) for one in retried for _, status in one.tries[:-1] if status not in NO_ANSWER
    )
    assert everything == counted(night.answers) + refused - unseen
    # The killed one's rows are drained by its successor.
    until(lambda: len(rows_in(platform.store)) >= len(night.predicted()), 60.0)
    assert sorted(rows_in(platform.store)) == sorted(night.predicted())
    say(f"one killed, two rolled: {latency(answers)}, 0 failed, {len(retried)} asked of another replica")
    say(
        f"{(counted(night.answers) - before).total()} asked meanwhile; {unseen.total()} not in any scrape, at most"
        f" {bound} could be"
    )


def test_summary_tables_and_exporter_agree_whichever_replica_is_asked(
    platform: Platform, night: Night, tmp_path: Path
) -> None:
    games = sorted(night.games, key=lambda game: game.game_id)
    assert settled_in(platform.store) == games
    direct = [one.running.http.get("/metrics/summary").json() for one in platform.forecasters]
    balanced = [night.callers.ask(Ask("GET", "/metrics/summary")).json() for _ in range(6)]
    told = direct[0]
    assert direct + balanced == [told] * (len(direct) + 6)
    expected = figures(games)
    assert 0.5 < expected["coverage"] < 1.0
    assert told["n_predictions"] == len(games) == len(BEFORE) + len(UNDER_FIRE)
    assert told["avg_error"] == pytest.approx(expected["mae"])
    assert told["empirical_coverage"] == pytest.approx(expected["coverage"])
    assert told["served"] == len(rows_in(platform.store)) == len(night.predicted())
    (group,) = told["groups"]
    assert {name: group[name] for name in expected} == pytest.approx(expected)
    with running_exporter(platform.env, tmp_path / "exporter.log") as url:
        page = Page.of(url)
    gauges = {
        "games": "halftime_settled_games",
        "coverage": "nba_conformal_coverage",
        "mean_width": "halftime_interval_mean_width_points",
        "mae": "halftime_mae_points",
        "rmse": "halftime_rmse_points",
        "mae_persistence": "halftime_mae_persistence_points",
    }
    shown = {figure: page.only(name, source="simulated", level="0.95") for figure, name in gauges.items()}
    assert shown == pytest.approx(expected)
    assert page.sum("nba_predictions_total") == told["served"]
    assert page.sum("halftime_official_forecasts_total") == page.sum("halftime_settlements_total") == len(games)
    say(
        f"summaries of all replicas, tables and exporter agree: {told['served']} served, {len(games)} settled,"
        f" coverage {expected['coverage']:.4f}, mean error {expected['mae']:.4f}, width {expected['mean_width']:.4f}"
    )
