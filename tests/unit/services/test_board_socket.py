"""The WebSocket on a real connection: state first, resume, limits, slow clients, and a prompt end."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection

from tests.support.board_night import forecast, score
from tests.support.board_running import RunningBoard, running_board
from tests.support.waiting import until

GAME = "0022200760"


@pytest.fixture
def board() -> Iterator[RunningBoard]:
    with running_board(allowed_origins=("https://partner.example",)) as running:
        running.add("score", GAME, score())
        until(lambda: running.live.nights.league_date)
        yield running


def join(board: RunningBoard, query: str = "", **options: Any) -> ClientConnection:
    return connect(board.url.replace("http", "ws") + "/ws" + query, open_timeout=10, close_timeout=5, **options)


def hear(client: Connection) -> dict[str, Any]:
    """The next message that is not a heartbeat."""
    while True:
        body: dict[str, Any] = json.loads(client.recv(timeout=10))
        if body["type"] != "heartbeat":
            return body


def closed_with(client: Connection) -> int | None:
    """Reads to the end and gives the close code."""
    try:
        while True:
            client.recv(timeout=10)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_a_client_gets_the_present_state_and_then_each_event_with_its_id(board: RunningBoard) -> None:
    with join(board) as client:
        state = hear(client)
        assert (state["type"], state["last_id"], len(state["games"])) == ("state", board.live.hub.newest, 1)
        board.add("forecast", GAME, forecast())
        event = hear(client)
        assert (event["type"], event["game_id"], event["data"]["point"]) == ("forecast", GAME, 5.2)
        assert event["id"] == board.live.hub.newest


@pytest.mark.parametrize("way", ["query", "first message"])
def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(board: RunningBoard, way: str) -> None:
    with join(board) as client:
        last = hear(client)["last_id"]
    for points in (46, 48, 50):
        board.add("score", GAME, score(home_score=points))
    until(lambda: board.live.nights.game(GAME).score.home_score == 50)  # type: ignore[union-attr]
    with join(board, f"?last_id={last}" if way == "query" else "?resume=first") as client:
        if way == "first message":
            client.send(json.dumps({"resume": last}))
        assert hear(client) == {"type": "resumed", "last_id": board.live.hub.newest, "missed": 3}
        assert [hear(client)["data"]["home_score"] for _ in range(3)] == [46, 48, 50]
        board.add("score", GAME, score(home_score=53))
        assert hear(client)["data"]["home_score"] == 53


def test_an_id_that_is_not_remembered_gives_the_whole_state(board: RunningBoard) -> None:
    with join(board, "?last_id=nonsense") as client:
        assert hear(client)["type"] == "state"


@pytest.mark.parametrize("word", ["hello", '{"last": 1}', "[]", "{"])
def test_a_first_message_of_another_form_is_refused(board: RunningBoard, word: str) -> None:
    with join(board, "?resume=first") as client:
        client.send(word)
        assert closed_with(client) == 1008


def test_another_night_brings_the_whole_state_of_it(board: RunningBoard) -> None:
    with join(board) as client:
        hear(client)
        board.add("score", "0022200770", score(league_date="2023-02-04"))
        state = hear(client)
        assert (state["type"], state["league_date"]) == ("state", "2023-02-04")
        assert [game["game_id"] for game in state["games"]] == ["0022200770"]


def test_a_foreign_origin_is_refused_before_the_handshake(board: RunningBoard) -> None:
    with pytest.raises(InvalidStatus) as refused:
        join(board, origin="https://evil.example")
    assert refused.value.response.status_code == 403
    assert board.live.hub.clients == 0


def test_this_host_and_a_listed_origin_are_let_in(board: RunningBoard) -> None:
    for origin in (board.url, "https://partner.example"):
        with join(board, origin=origin) as client:
            assert hear(client)["type"] == "state"


def test_a_client_that_speaks_is_closed(board: RunningBoard) -> None:
    with join(board) as client:
        client.send("hello")
        assert closed_with(client) == 1008
    until(lambda: board.live.hub.clients == 0)


def test_a_frame_beyond_the_limit_is_closed_with_1009(board: RunningBoard) -> None:
    with join(board) as client:
        client.send("x" * 5000)
        assert closed_with(client) == 1009
    until(lambda: board.live.hub.clients == 0)


def test_a_client_that_leaves_is_forgotten(board: RunningBoard) -> None:
    client = join(board)
    hear(client)
    assert board.live.hub.clients == 1
    client.close()
    until(lambda: board.live.hub.clients == 0)


def test_heartbeats_say_whether_the_stream_answers() -> None:
    with running_board(heartbeat_s=0.05) as board, join(board) as client:
        while (body := json.loads(client.recv(timeout=10)))["type"] != "heartbeat":
            pass
        assert body["stream"] == "up"
        board.stream.down = True
        until(lambda: json.loads(client.recv(timeout=10)).get("stream") == "down")


def test_after_an_outage_of_the_stream_clients_get_the_state_anew(board: RunningBoard) -> None:
    with join(board) as client:
        hear(client)
        board.stream.down = True
        until(lambda: not board.live.stream_up)
        board.stream.add("score", GAME, score(home_score=60))
        board.stream.down = False
        state = hear(client)
        assert (state["type"], state["games"][0]["score"]["home_score"]) == ("state", 60)


def test_more_clients_than_the_limit_are_asked_to_try_again() -> None:
    with running_board(max_clients=1) as board, join(board) as first:
        hear(first)
        with join(board) as second:
            assert closed_with(second) == 1013


def never_reading(board: RunningBoard) -> socket.socket:
    """A client that opens the WebSocket and then takes nothing more."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    host, port = board.url.removeprefix("http://").split(":")
    raw.connect((host, int(port)))
    key = base64.b64encode(os.urandom(16)).decode()
    raw.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return raw


def test_a_client_that_never_reads_is_dropped_and_the_others_get_every_event() -> None:
    with running_board(room=20) as board, join(board) as quick, never_reading(board):
        board.add("score", GAME, score(home_score=0))
        hear(quick), hear(quick)
        until(lambda: board.live.hub.clients == 2)
        sent = 0
        padding = "x" * 20_000
        while board.live.hub.dropped == 0:
            assert sent < 2000
            for _ in range(10):
                sent += 1
                board.add("score", GAME, score(home_score=sent, status_text=padding))
            got = [hear(quick) for _ in range(10)]
            assert [body["data"]["home_score"] for body in got] == list(range(sent - 9, sent + 1))
        until(lambda: board.live.hub.clients == 1)


def test_stopping_closes_every_client_with_1012_even_when_one_never_reads() -> None:
    with running_board() as board:
        quick, stuck = join(board), never_reading(board)
        hear(quick)
        until(lambda: board.live.hub.clients == 2)
        for number in range(200):
            board.add("score", GAME, score(home_score=number, status_text="x" * 20_000))
        board.server.should_exit = True
        assert closed_with(quick) == 1012
        board.thread.join(30)
        assert not board.thread.is_alive()
        stuck.close()
        quick.close()
