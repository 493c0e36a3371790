"""The exporter's start: what it says when it cannot serve."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring import exporter
from services.settings import Settings


@pytest.fixture(autouse=True)
def kept_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_without_a_database_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporter, "get_settings", lambda: Settings(home=tmp_path, database_url=None))
    assert exporter.main() == 2
    assert "make up" in capsys.readouterr().err


def test_a_taken_port_is_an_error_and_not_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings(
            home=tmp_path,
            database_url="postgresql+psycopg2://nobody:x@127.0.0.1:1/none",
            redis_url="redis://127.0.0.1:1/0",
            exporter_port=taken.getsockname()[1],
        )
        monkeypatch.setattr(exporter, "get_settings", lambda: settings)
        assert exporter.main() == 1
