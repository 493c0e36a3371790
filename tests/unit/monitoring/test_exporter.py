"""The exporter's start: what it says when it cannot serve."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from monitoring import exporter
from monitoring.rows import Facts, Waiting
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


def test_a_frozen_database_is_told_as_down_in_time_and_readings_do_not_pile_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thaw, readings = threading.Event(), []

    def frozen(_: object) -> Facts:
        readings.append(threading.current_thread())
        thaw.wait(30)
        return Facts({}, {}, {}, {}, {}, 0, 0, None, Waiting(0, None), Waiting(0, None), {}, {}, {}, (), {}, {})

    monkeypatch.setattr(exporter, "read_facts", frozen)
    collector = exporter.DatabaseCollector(create_engine("postgresql+psycopg2://"), deadline_s=0.05)
    for _ in range(3):
        assert up(collector) == 0
    assert len(readings) == 1, "one reading waits, the others wait for it"
    thaw.set()
    readings[0].join(10)
    assert up(collector) == 1
    assert len(readings) == 2, "what came too late is not shown"


def up(collector: exporter.DatabaseCollector) -> float:
    return next(
        sample.value
        for family in collector.collect()
        for sample in family.samples
        if sample.name == "halftime_database_up"
    )
