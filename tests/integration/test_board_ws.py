"""The board as its own process, on a real Redis and a real PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.connection import Connection

from models.game import Play, Snapshot, Status
from services.board_game import SimilarGame
from services.board_reads import SourceDownError
from services.board_store import BoardStore, status_text
from services.broadcast import Broadcast, Event
from services.store import Store
from tests.support.board_night import forecast, score, settlement
from tests.support.board_process import BoardProcess, board_process
from tests.support.rows import GAME, NIGHT, NOON, at_minute, forecast_row, game_row, history_row, prediction_row
from tests.support.servers import PostgresServer, free_port, running_redis
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
LATER = "0022200782"


@contextmanager
def board(database_url: str, redis_url: str, home: Path, port: int | None = None) -> Iterator[BoardProcess]:
    """The board over these servers."""
    env = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "HALFTIME_HOME": str(home)}
    with board_process(home / "board.log", port=port, **env) as process:
        yield process


def hear(client: Connection) -> dict[str, Any]:
    """The next message that is not a heartbeat."""
    while True:
        body: dict[str, Any] = json.loads(client.recv(timeout=20))
        if body["type"] != "heartbeat":
            return body


def close_code(client: Connection) -> int | None:
    """Reads to the end and gives the close code."""
    try:
        while True:
            client.recv(timeout=20)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def tell(broadcast: Broadcast, kind: Any, game_id: str, data: dict[str, Any]) -> str:
    return broadcast.publish(Event(kind, game_id, datetime.now(UTC), data))


@dataclass(frozen=True)
class Seen:
    snapshot: Snapshot
    polled_at: datetime = NOON


def snapshot(t: float = 1100.0, home: int = 40, status: Status = Status.LIVE, **changes: Any) -> Snapshot:
    plays = (Play(1, 1, 12.0, 2, 0), Play(7, 2, 1080.0, home, 37))
    return Snapshot(GAME, "BOS", "PHX", status, changes.pop("period", 2), t, plays=plays, event_at=NOON, **changes)


@pytest.fixture
def own_redis(redis_url: str) -> str:
    """A database of the shared Redis that no other test uses; the board's keys have no prefix of a test's own."""
    url = redis_url.rsplit("/", 1)[0] + "/7"
    broadcast = Broadcast(url)
    broadcast._redis.flushdb()
    broadcast.close()
    return url


@pytest.fixture
def played(store: Store) -> Store:
    """A night with a settled forecast, and a history game of the same date that nobody followed."""
    store.upsert_games([game_row(), history_row("0022200799", home="LAL", away="DEN")])
    store.record_tick(Seen(snapshot(home=39)))
    store.record_forecast(prediction_row(), forecast_row())
    store.record_tick(Seen(snapshot(1500.0, 44, period=3), NOON + timedelta(minutes=30)))
    store.record_actual(GAME, 7, 62, 55, source="feed")
    store.settle(GAME)
    return store


def test_a_night_is_read_from_the_database_alone(played: Store) -> None:
    reads = BoardStore(played.engine)
    assert reads.newest_night() == NIGHT.isoformat()
    assert reads.nights() == [NIGHT.isoformat()]
    (game,) = reads.games(NIGHT.isoformat())
    assert game.score is not None
    assert (game.score.home_score, game.score.status_text, game.score.source) == (44, "Q3 11:00", "recorded")
    assert game.pattern is not None
    assert game.pattern.minute == 24
    assert game.forecast is not None
    assert (game.forecast.point, game.forecast.persistence, game.forecast.model_version) == (4.5, 3.0, "3")
    assert game.settlement is not None
    assert (game.settlement.actual, game.settlement.covered, game.settlement.error) == (7.0, True, 2.5)
    assert game.disposition is not None
    assert game.disposition.disposition == "forecast"


def test_a_forecast_from_the_database_brings_its_similar_games_and_components(store: Store) -> None:
    path = list(range(25))
    similar = {
        "game_id": "0021900001", "date": "2019-11-02", "home": "MIL", "away": "TOR", "similarity_distance": 1.5,
        "pattern": path[1:19], "path": path, "change": 6, "margin_24": 24,
    }  # fmt: skip
    weights = {"dejavu": 0.25, "lstm": 0.75, "persistence": 0.0}
    parts = {"dejavu": 4.0, "lstm": 4.75, "persistence": 3.0, "weights": weights, "similar": [similar] * 5}
    store.upsert_games([game_row()])
    store.record_forecast(prediction_row(components=parts), forecast_row())
    (game,) = BoardStore(store.engine).games(NIGHT.isoformat())
    assert game.forecast is not None
    assert game.forecast.similar == (SimilarGame("2019-11-02", "MIL", "TOR", 6.0, 24.0, tuple(map(float, path))),) * 5
    assert game.forecast.components == {"dejavu": 4.0, "lstm": 4.75}
    assert game.forecast.weights == weights


def test_the_newest_forecast_and_how_it_moved_come_from_the_database_too(played: Store) -> None:
    shape = {"first": -1, "probabilities": [0.25, 0.5, 0.25], "intervals": []}
    played.upsert_games([game_row(LATER, home="LAL", away="DEN")])
    played.record_forecast(*at_minute(0, LATER))
    played.record_forecast(*at_minute(7, LATER, components={"distribution": shape, "similar": []}))
    played.record_forecast(*at_minute(7, LATER, revision=1, components={"distribution": shape}, point=6.0))
    official, other = BoardStore(played.engine).games(NIGHT.isoformat())
    assert official.latest == official.forecast
    assert [step.minute for step in official.trajectory] == [18]
    assert other.forecast is None
    assert other.latest is not None
    assert (other.latest.minute, other.latest.revision, other.latest.point) == (7, 1, 6.0)
    assert other.latest.distribution is not None
    assert other.latest.distribution.probabilities == (0.25, 0.5, 0.25)
    assert [(step.minute, step.revision, step.point) for step in other.trajectory] == [(0, 0, 4.5), (7, 1, 6.0)]
    assert other.settlement is None


def test_similar_games_that_cannot_be_read_do_not_hide_the_forecast(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.upsert_games([game_row()])
    row = prediction_row(components={"dejavu": 4.0, "lstm": 4.75, "similar": [{"date": 3}]})
    store.record_forecast(row, forecast_row())
    (game,) = BoardStore(store.engine).games(NIGHT.isoformat())
    assert game.forecast is not None
    assert (game.forecast.point, game.forecast.similar) == (4.5, ())
    assert str(row.id) in caplog.text


def test_a_date_that_was_only_history_shows_its_results(played: Store) -> None:
    played.upsert_games([history_row("0022200001", league_date=date(2022, 12, 1))])
    (game,) = BoardStore(played.engine).games("2022-12-01")
    assert game.score is not None
    assert (game.score.status, game.score.home_score, game.score.elapsed_s) == ("final", 97, 2880.0)
    assert game.pattern is not None
    assert game.pattern.margins[-1] == -24
    assert BoardStore(played.engine).games("1999-01-01") == []


def test_a_date_that_only_shadows_forecast_is_no_night_of_the_board(store: Store) -> None:
    store.upsert_games([game_row()])
    store.record_shadow(prediction_row(request_id=f"shadow:{GAME}:18:0:9"), forecast_row())
    reads = BoardStore(store.engine)
    assert reads.nights() == []
    (game,) = reads.games(NIGHT.isoformat())
    assert game.forecast is None
    store.record_forecast(prediction_row(), forecast_row())
    assert reads.nights() == [NIGHT.isoformat()]


def test_a_followed_game_never_shows_the_end_that_history_knows(store: Store) -> None:
    store.upsert_games([history_row()])
    store.record_void(GAME, "postponed")
    (game,) = BoardStore(store.engine).games(NIGHT.isoformat())
    assert game.score is not None
    assert (game.score.status, game.score.home_score) == ("scheduled", 0)
    assert game.pattern is None
    assert game.disposition is not None


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (snapshot(status=Status.SCHEDULED, t=0.0, period=0), "Scheduled"),
        (snapshot(1099.2), "Q2 5:40"),
        (snapshot(1440.0, period_ended=True), "Half"),
        (snapshot(2160.0, period=3, period_ended=True), "End Q3"),
        (snapshot(2880.0, period=4, status=Status.FINAL), "Final"),
        (snapshot(3480.0, period=6, status=Status.FINAL), "Final/OT2"),
        (snapshot(3000.0, period=5), "OT1 3:00"),
    ],
)
def test_where_a_game_is_reads_like_the_scoreboard(shown: Snapshot, text: str) -> None:
    assert status_text(shown) == text


def test_reports_are_read_back(store: Store) -> None:
    reads = BoardStore(store.engine)
    assert reads.reports() == []
    store.record_report("night", NIGHT, {"mae": 4.1}, model_version="3")
    (row,) = reads.reports()
    assert (row["kind"], row["league_date"]) == ("night", "2023-02-03")
    report = reads.report(row["id"])
    assert report is not None
    assert report["body"] == {"mae": 4.1}
    assert reads.report(10**30) is None


def test_a_database_that_is_away_is_named_as_such() -> None:
    away = Store.open(f"postgresql+psycopg2://nobody:x@127.0.0.1:{free_port()}/none")
    with away, pytest.raises(SourceDownError, match="database"):
        BoardStore(away.engine).ping()


def test_the_state_joins_database_and_stream_and_then_follows(
    played: Store, database_url: str, own_redis: str, tmp_path: Path
) -> None:
    broadcast = Broadcast(own_redis)
    tell(broadcast, "score", LATER, score("DEN", "GSW"))
    with board(database_url, own_redis, tmp_path) as process, process.join() as client:
        state = hear(client)
        assert [game["game_id"] for game in state["games"]] == [GAME, LATER]
        assert state["games"][0]["settlement"]["actual"] == 7
        told = tell(broadcast, "forecast", LATER, forecast())
        event = hear(client)
        assert (event["id"], event["type"], event["game_id"]) == (told, "forecast", LATER)
        body = process.get("/api/games").json()
        assert (body["last_id"], body["totals"]["forecast"], body["totals"]["settled"]) == (told, 2, 1)
        assert process.get("/readyz").json()["database"] == "up"


def test_a_client_resumes_on_another_board_with_the_same_ids(database_url: str, own_redis: str, tmp_path: Path) -> None:
    broadcast = Broadcast(own_redis)
    with board(database_url, own_redis, tmp_path) as one, board(database_url, own_redis, tmp_path) as other:
        tell(broadcast, "score", GAME, score())
        with one.join() as client:
            until(lambda: one.get("/api/games").json()["totals"]["games"] == 1)
            last = hear(client)["last_id"]
            if last == "0-0":
                last = hear(client)["last_id"]
        ids = [tell(broadcast, "score", GAME, score(home_score=50 + number)) for number in range(5)]
        until(lambda: other.get("/api/games").json()["last_id"] == ids[-1])
        with other.join(f"?last_id={last}") as client:
            assert hear(client)["missed"] == 5
            assert [hear(client)["id"] for _ in ids] == ids
            after = tell(broadcast, "settlement", GAME, settlement(3))
            assert hear(client)["id"] == after


def test_sigterm_ends_the_process_at_once_with_1012_for_every_client(
    database_url: str, own_redis: str, tmp_path: Path
) -> None:
    with board(database_url, own_redis, tmp_path) as process:
        with process.join() as first, process.join() as second:
            hear(first), hear(second)
            process.child.send_signal(signal.SIGTERM)
            for client in (first, second):
                assert close_code(client) == 1012
        assert process.child.wait(30) == 0


def test_while_redis_is_away_the_board_says_so_and_afterwards_catches_up(database_url: str, tmp_path: Path) -> None:
    port = free_port()
    with contextlib.ExitStack() as servers:
        redis = servers.enter_context(running_redis(port))
        with board(database_url, redis.url, tmp_path) as process:
            tell(Broadcast(redis.url), "score", GAME, score())
            # Until the board has read the tables the page answers 503, without totals.
            until(lambda: process.get("/api/games").json().get("totals", {}).get("games") == 1)
            servers.close()
            until(lambda: process.get("/readyz").status_code == 503)
            assert process.get("/api/games").json()["totals"]["games"] == 1
            with process.join() as client, running_redis(port) as anew:
                assert hear(client)["type"] == "state"
                until(lambda: process.get("/readyz").status_code == 200)
                tell(Broadcast(anew.url), "score", GAME, score(home_score=77))
                while (body := hear(client))["type"] != "score":
                    assert body["type"] == "state"
                assert body["data"]["home_score"] == 77


def test_without_redis_at_the_start_the_night_comes_from_the_database(
    played: Store, database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    with board(database_url, f"redis://127.0.0.1:{port}/0", tmp_path) as process, process.join() as client:
        assert [game["game_id"] for game in hear(client)["games"]] == [GAME]
        assert process.get("/readyz").status_code == 503
        with running_redis(port):
            until(lambda: process.get("/readyz").status_code == 200)
            assert [game["game_id"] for game in hear(client)["games"]] == [GAME]


def test_a_frozen_database_stops_neither_the_live_board_nor_its_end(
    postgres_server: PostgresServer, own_redis: str, tmp_path: Path
) -> None:
    url = postgres_server.new_database()
    broadcast = Broadcast(own_redis)
    with board(url, own_redis, tmp_path) as process, process.join() as client:
        hear(client)
        until(lambda: process.get("/readyz").json()["database"] == "up")
        frozen = stop_all(postgres_server.process.pid)
        try:
            assert process.get("/api/games?date=2020-01-01").status_code == 503
            assert process.get("/livez").status_code == 200
            tell(broadcast, "score", GAME, score())
            assert hear(client)["type"] == "state"
            process.child.send_signal(signal.SIGTERM)
            assert process.child.wait(30) == 0
        finally:
            for pid in frozen:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def stop_all(session: int) -> list[int]:
    """Freezes every process of a session; their ids."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) == session:
                    os.kill(int(entry.name), signal.SIGSTOP)
                    found.append(int(entry.name))
    return found


def test_a_taken_port_is_named_with_the_setting_to_change(database_url: str, own_redis: str, tmp_path: Path) -> None:
    with board(database_url, own_redis, tmp_path) as process:
        env = os.environ | {"DATABASE_URL": database_url, "REDIS_URL": own_redis, "HALFTIME_HOME": str(tmp_path)}
        command = [sys.executable, "-m", "services.board", "--port", process.url.rsplit(":", 1)[1]]
        second = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert second.returncode == 2
    assert "HALFTIME_BOARD_PORT" in second.stderr
