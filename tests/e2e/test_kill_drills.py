"""kill -9 of the live path's processes while games are played: nothing is lost, nothing doubled, nobody lends a hand.

Real processes under the real supervisor, on a simulated slate at 30x: restarts are judged thirty times more harshly
than on a real night, where the last six minutes of a half take a quarter of an hour instead of half a minute.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from sqlalchemy import text

from flows.report import build_report, write_page
from infra.detached import read_status, start_detached, stop_detached
from infra.processes import same_process
from infra.runfile import StackStatus
from models.league import DEFAULT_SEED, simulate_history
from services.settings import Settings
from services.store import Store
from services.ticks import TickStream
from tests.support.night_drill import DrillFeed, Kill, Killer, drill_feed
from tests.support.night_home import NightHome, night_home
from tests.support.running_forecaster import small_bundle
from tests.support.waiting import until

NIGHT = date(2023, 2, 3)
SPEED = 30.0
STACK = ("postgres", "redis", "migrate", "forecaster", "predictor", "poller")
MARKS_WALL_S = (8.0, 15.0, 22.0, 29.0)
# A forecast takes a restarted predictor two seconds at most; with less than this there was no fair chance.
CHANCE_S = 3.0


@dataclass
class Drill:
    """A night with kills, over and its stack still running."""

    home: NightHome
    settings: Settings
    feed: DrillFeed
    killer: Killer
    store: Store
    restarts: dict[str, int]


def planned(feed: DrillFeed) -> list[Kill]:
    """Each service once just before a game's minute 18, and once more at another turn of the night."""
    first, second, third, fourth = feed.games
    return [
        Kill(first.mark_wall_s - 0.5, "forecaster"),
        Kill(second.mark_wall_s - 0.5, "predictor"),
        Kill(third.mark_wall_s - 0.5, "poller"),
        Kill(fourth.mark_wall_s - 0.5, "forecaster"),
        Kill(first.half_wall_s + 0.2, "predictor"),
        Kill(second.half_wall_s + 0.2, "poller"),
    ]


def status_of(settings: Settings) -> StackStatus:
    status = read_status(settings)
    assert status is not None
    return status


def over(store: Store, games: int) -> bool:
    """Every game decided and its half settled for good."""
    night = store.night(NIGHT, "simulated")
    final = [game for game in night.games if game.actual is not None and game.actual.state == "final"]
    return len(final) == games and all(game.disposition is not None for game in night.games)


@pytest.fixture(scope="module")
def drill() -> Iterator[Drill]:
    with night_home(None) as home, drill_feed(NIGHT, SPEED, MARKS_WALL_S) as feed:
        bundle = small_bundle(home.folder / "bundle", minutes=tuple(range(24)))
        settings = home.settings(feed="replay", feed_base_url=feed.url, replay_speed=SPEED, bundle=bundle)
        start_detached(settings, STACK)
        try:
            with Store.open(settings.resolved_database_url, application="halftime-test") as store:
                killer = Killer(settings, feed, planned(feed))
                feed.start()
                deadline = time.monotonic() + 180.0
                while killer.plan or not over(store, len(feed.games)):
                    killer.step()
                    assert time.monotonic() < deadline, f"{killer.plan} {store.night(NIGHT, 'simulated')}"
                restarts = {service.name: service.restarts for service in status_of(settings).services}
                yield Drill(home, settings, feed, killer, store, restarts)
        finally:
            stop_detached(settings)
        assert home.marked() == []


def rows(store: Store, query: str) -> list[Any]:
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_every_process_was_killed_twice_and_came_back_by_itself(drill: Drill) -> None:
    killed = [kill.service for kill, _ in drill.killer.done]
    for service in ("forecaster", "predictor", "poller"):
        assert killed.count(service) == 2
        assert drill.restarts[service] == 2
        now = status_of(drill.settings).service(service)
        assert now is not None
        assert now.pid not in [pid for kill, pid in drill.killer.done if kill.service == service]
    assert all(drill.restarts[name] == 0 for name in ("postgres", "redis"))


def test_every_game_has_one_disposition_and_it_is_a_forecast_where_there_was_a_chance(drill: Drill) -> None:
    found = dict(rows(drill.store, "SELECT game_id, disposition FROM dispositions"))
    assert found.keys() == {game.game_id for game in drill.feed.games}
    for game in drill.feed.games:
        chance_s = drill.killer.complete_s(game.mark_wall_s, game.half_wall_s)
        assert found[game.game_id] == "forecast" or chance_s < CHANCE_S, (game, chance_s)
    assert "forecast" in found.values()


def test_a_forecast_is_one_official_row_made_before_its_half(drill: Drill) -> None:
    made = rows(drill.store, "SELECT game_id, minute, revision, committed_at FROM official_forecasts ORDER BY game_id")
    forecast = rows(drill.store, "SELECT game_id FROM dispositions WHERE disposition = 'forecast' ORDER BY game_id")
    assert [(row[0],) for row in made] == forecast
    for game_id, minute, revision, committed_at in made:
        game = next(game for game in drill.feed.games if game.game_id == game_id)
        assert (minute, revision) == (18, 0)
        assert drill.feed.at(game.mark_wall_s) < committed_at < drill.feed.at(game.half_wall_s + 1.0)


def test_every_forecast_is_settled_once_with_what_happened(drill: Drill) -> None:
    history = simulate_history([2022], DEFAULT_SEED).set_index("game_id")
    night = drill.store.night(NIGHT, "simulated")
    assert night.duplicates == 0
    for game in night.games:
        happened = history.loc[game.game_id]
        assert game.actual is not None
        assert game.actual.margin == happened["diff_24"]
        if game.disposition == "forecast":
            assert game.official is not None
            assert game.settlement is not None
            assert list(game.official.pattern) == [happened[f"diff_{minute:02d}"] for minute in range(1, 19)]
            answer = game.official.prediction
            assert game.settlement.covered == (answer.lower <= game.actual.margin <= answer.upper)
    counted = rows(drill.store, "SELECT count(*), count(DISTINCT forecast_id) FROM settlements")
    assert counted == [(len(rows(drill.store, "SELECT 1 FROM standing_forecasts")),) * 2]


def test_a_minute_has_one_forecast_a_revision_made_before_the_half_from_the_pattern_of_the_history(
    drill: Drill,
) -> None:
    truth = simulate_history([2022], DEFAULT_SEED).set_index("game_id")
    made = rows(
        drill.store,
        "SELECT f.game_id, f.minute, f.revision, f.committed_at, p.pattern FROM forecasts f"
        " JOIN predictions p ON p.id = f.prediction_id ORDER BY f.id",
    )
    assert len({row[:3] for row in made}) == len(made)
    halves = {game.game_id: drill.feed.at(game.half_wall_s + 1.0) for game in drill.feed.games}
    others = 0
    for game_id, minute, _, committed_at, pattern in made:
        assert committed_at < halves[game_id]
        # A free throw on the mark may have come after this one, in a minute's revision.
        assert pattern[:-1] == [truth.loc[game_id, f"diff_{past:02d}"] for past in range(1, minute)]
        others += minute != 18
    assert others > len(drill.feed.games)


def test_nothing_is_owed_and_nothing_was_given_up(drill: Drill) -> None:
    stream = TickStream(drill.settings.resolved_redis_url)
    until(lambda: stream.backlog() == 0)
    assert stream.dead_letters() == []
    stream.close()


def test_its_report_and_page_say_that_the_games_are_simulated(drill: Drill) -> None:
    report = build_report(drill.store, NIGHT, "simulated")
    assert report.source == "simulated"
    assert report.totals.games == report.totals.forecast + report.totals.missed == len(drill.feed.games)
    assert "simulated league" in write_page(drill.settings, report).read_text()


def test_after_a_kill_of_the_supervisor_a_new_start_leaves_nothing_of_the_old(drill: Drill) -> None:
    before = status_of(drill.settings)
    os.kill(before.supervisor_pid, signal.SIGKILL)
    until(lambda: same_process(before.supervisor_pid, before.supervisor_create_time) is None)
    after = start_detached(drill.settings, STACK)
    assert after.supervisor_pid != before.supervisor_pid
    for service in before.services:
        if service.pid is not None and service.create_time is not None:
            assert same_process(service.pid, service.create_time) is None, service.name
    assert over(drill.store, len(drill.feed.games))
    stop_detached(drill.settings)
    assert drill.home.marked() == []
    assert drill.home.listening() == []
