from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import psutil
import pytest

from infra.ports import PortsTakenError, PortWanted, find_taken, free_port, is_free, require_free


@pytest.fixture
def held() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def wanted(port: int, service: str = "forecaster") -> PortWanted:
    return PortWanted(service, "127.0.0.1", port, f"HALFTIME_{service.upper()}_PORT")


def test_a_taken_port_is_named_with_its_owner_and_what_to_do(held: int) -> None:
    with pytest.raises(PortsTakenError) as caught:
        require_free([wanted(held)])
    (taken,) = caught.value.taken
    assert taken.pid == os.getpid()
    assert taken.command in caught.value.taken[0].detail
    assert taken.command.startswith(psutil.Process().cmdline()[0])
    assert "HALFTIME_FORECASTER_PORT" in str(caught.value)


def test_every_taken_port_is_named_at_once(held: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = find_taken([wanted(held), wanted(free_port(), "board"), wanted(other.getsockname()[1], "mlflow")])
    assert [each.wanted.service for each in taken] == ["forecaster", "mlflow"]


def test_a_port_held_on_all_addresses_is_taken_on_loopback() -> None:
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        assert not is_free("127.0.0.1", server.getsockname()[1])


def test_two_services_on_one_port_are_found_before_the_second_fails() -> None:
    port = free_port()
    (taken,) = find_taken([wanted(port), wanted(port, "board")])
    assert taken.wanted.service == "board"
    assert "forecaster of this stack" in taken.detail


def test_a_port_that_was_just_let_go_is_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
    client.close()
    assert is_free("127.0.0.1", port)


def test_free_ports_raise_nothing() -> None:
    require_free([wanted(free_port())])
