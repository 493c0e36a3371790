"""A server is asked under its address or a name it has; a page that points its own name here gets nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from starlette.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from services.hosts import host_known, is_loopback, strange_host
from tests.support.board_night import score
from tests.support.board_running import RunningBoard, running_board
from tests.support.waiting import until


@pytest.fixture(scope="module")
def board() -> Iterator[RunningBoard]:
    with running_board(allowed_hosts=("board.example",)) as running:
        running.add("score", "0022200760", score())
        until(lambda: running.live.nights.league_date)
        yield running


def port_of(board: RunningBoard) -> str:
    return board.url.rsplit(":", 1)[1]


def test_the_board_answers_nothing_under_a_strange_name(board: RunningBoard) -> None:
    for path in ("/", "/api/games", "/metrics", "/static/app.js"):
        answered = httpx.get(board.url + path, headers={"Host": "attacker.example"})
        assert answered.status_code == 421, path
        assert "HALFTIME_ALLOWED_HOSTS" in answered.json()["error"]
        assert answered.headers["x-content-type-options"] == "nosniff"
        assert httpx.get(board.url + path, headers={"Host": f"board.example:{port_of(board)}"}).status_code == 200, path


def test_a_rebound_name_opens_no_socket_though_its_origin_is_its_host(board: RunningBoard) -> None:
    # What a browser sends when attacker.example resolves to this machine: Host and Origin agree.
    name = f"attacker.example:{port_of(board)}"
    with pytest.raises(InvalidStatus) as refused:
        connect(
            f"ws://{name}/ws", origin=Origin(f"http://{name}"), sock=_socket(board), open_timeout=10, proxy=None
        ).close()
    assert refused.value.response.status_code == 403
    assert board.live.hub.clients == 0


def _socket(board: RunningBoard) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(port_of(board))), timeout=10)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost", True), ("localhost:8000", True), ("LocalHost.:8000", True), ("127.0.0.1:1", True),
        ("[::1]:8000", True), ("[2001:db8::1]", True), ("10.0.0.7", True), ("mine.example", True),
        ("MINE.example.:99", True), ("not.mine.example", False), ("mine.example.evil.test", False), ("", False),
        ("localhost.evil.test", False), ("127.0.0.1.evil.test:80", False), ("127.0.0.1@evil.test", False),
        ("[::1].evil.test", False), ("evil.test", False), ("0x7f.1", False),
    ],
)  # fmt: skip
def test_addresses_localhost_and_named_hosts_are_known(host: str, known: bool) -> None:
    assert host_known(Headers({"host": host}), ["mine.example"]) is known


def test_two_hosts_are_none_and_no_host_is_no_browser() -> None:
    assert host_known(Headers(raw=[]), [])
    assert not host_known(Headers(raw=[(b"host", b"localhost"), (b"host", b"localhost")]), [])


def test_what_is_repeated_of_a_strange_host_is_short_and_plain() -> None:
    assert "evil.test" in strange_host(Headers({"host": "evil.test:80"}))
    assert len(strange_host(Headers({"host": "e" * 5000}))) < 200
    assert "known as that:" in strange_host(Headers({"host": "e<vil>"}))


def test_loopback_is_told_from_every_other_address() -> None:
    assert [one for one in ("127.0.0.1", "127.9.9.9", "::1", "localhost") if not is_loopback(one)] == []
    assert [one for one in (None, "", "0.0.0.0", "::", "10.0.0.7", "example.org") if is_loopback(one)] == []
