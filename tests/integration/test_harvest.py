"""Finished games of the live feed become history, once, and the night's ratings learn from them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows.harvest import harvest
from flows.train import history
from models.final import FinishedGame, finished_game
from models.game import Snapshot, Status
from services.replay_night import Night
from services.replay_rules import parse_rules
from services.settings import Settings
from services.store import Store
from services.ticks import Tick
from services.wire import parse_playbyplay
from tests.support.feed_nights import evening
from tests.support.live_path import line_of

TODAY = evening().league_date + timedelta(days=1)
GAMES = evening().games[:3]


@cache
def files() -> dict[str, bytes]:
    """The last play-by-play file of each game."""
    shown = Night(evening(), 1.0, parse_rules(""), 0)
    found = {}
    for game in shown.games[: len(GAMES)]:
        found[game.script.game_id] = game.timeline.body(len(game.timeline.moments))
    return found


def last_snapshot(place: int, plays: int | None = None) -> Snapshot:
    """How a game ended, or how it stood after some plays of its file."""
    game = GAMES[place]
    whole = parse_playbyplay(files()[game.game_id], line_of(game, Status.LIVE))
    assert whole.status is Status.FINAL
    if plays is None:
        return whole
    return Snapshot(game.game_id, game.home, game.away, Status.LIVE, 2, 1440.0, True, whole.plays[:plays])


@pytest.fixture
def feed() -> Iterator[tuple[str, list[str]]]:
    """A feed that has the games' last files, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = next((body for game_id, body in files().items() if game_id in self.path), None)
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path, feed: tuple[str, list[str]]) -> Settings:
    return Settings(
        _env_file=None, database_url=database_url, home=tmp_path, source="recorded", feed="nba", feed_base_url=feed[0]
    )


def known(store: Store, *, status: str = "live", day: date | None = None) -> None:
    """The games as the live path made them known."""
    for game in GAMES:
        store.upsert_schedule(
            game_id=game.game_id, source="live", league_date=day or game.league_date, home=game.home, away=game.away,
            status=status,
        )  # fmt: skip


def seen(store: Store, snapshot: Snapshot) -> None:
    store.record_tick(Tick(snapshot.game_id, snapshot, evening().league_date, "live", datetime.now(UTC)))


def test_finished_games_become_history_once_and_are_learned_from(
    store: Store, settings: Settings, feed: tuple[str, list[str]]
) -> None:
    known(store)
    for place in range(3):
        seen(store, last_snapshot(place))
    assert harvest(store, settings, today=TODAY).games == 3
    assert harvest(store, settings, today=TODAY).games == 0
    assert feed[1] == [], "what was seen is not asked for again"
    games = history(store, settings, TODAY)
    assert games.game_id.tolist() == sorted(game.game_id for game in GAMES)
    for place, game in enumerate(GAMES):
        told, row = finished_game(last_snapshot(place)), store.game(game.game_id)
        assert isinstance(told, FinishedGame)
        assert row is not None
        assert (row.margins, row.possession, row.source, row.status, row.score_method) == (
            told.margins, told.possession, "live", "final", "live",
        )  # fmt: skip
    results = store.results(settings.history_sources, None, TODAY)
    assert [result.margin for result in results] == games.final_margin.tolist()
    assert store.results(("recorded",), None, TODAY) == []


def test_a_game_whose_end_nobody_saw_is_asked_for_again_the_next_day(
    store: Store, settings: Settings, feed: tuple[str, list[str]]
) -> None:
    known(store)
    seen(store, last_snapshot(0))
    seen(store, last_snapshot(1, plays=60))
    assert harvest(store, settings, today=evening().league_date).games == 1, "the others may still be played"
    assert feed[1] == []
    done = harvest(store, settings, today=TODAY)
    assert (done.games, done.fetched) == (2, 2)
    assert len(feed[1]) == 2
    assert store.latest_snapshot(GAMES[2].game_id) == last_snapshot(2), "so the half can be settled too"
    assert harvest(store, settings, today=TODAY).line() == "0 finished games became history (0 asked for again)"


def test_trouble_with_the_feed_loses_nothing_and_the_next_run_asks_again(
    store: Store, settings: Settings, feed: tuple[str, list[str]]
) -> None:
    known(store)
    seen(store, last_snapshot(0))
    down = settings.model_copy(update={"feed_base_url": "http://127.0.0.1:1"})
    first = harvest(store, down, today=TODAY)
    assert (first.games, first.fetched, dict(first.left_out)) == (1, 0, {"unfinished": 2})
    assert harvest(store, settings, today=TODAY).games == 2


def test_games_of_other_feeds_and_postponed_ones_are_left_alone(
    store: Store, settings: Settings, feed: tuple[str, list[str]]
) -> None:
    known(store, status="postponed")
    assert harvest(store, settings, today=TODAY).line() == "0 finished games became history (0 asked for again)"
    replay = settings.model_copy(update={"feed": "replay"})
    assert harvest(store, replay, today=TODAY).left_out == {}
    assert feed[1] == []
