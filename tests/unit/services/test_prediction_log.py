"""The log of predictions: whole lines, one each, in the file of their league date, and never in a prediction's way."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.answering import ServedModel, answer
from bentos.contracts import PREDICTIONS, PredictRequest
from services.answer import Prediction
from services.prediction_log import MAX_LINE_BYTES, PredictionLog, league_date, log_path, logged_days
from services.settings import ROOT
from services.telemetry import configure_logging
from tests.support.small_model import small_ensemble

EVENING = datetime(2026, 11, 25, 1, 30, tzinfo=UTC)  # 20:30 of 24 November in New York
DAY = date(2026, 11, 24)
FIELDS = {
    "event", "level", "timestamp", "league_date", "request_id", "prediction_id", "game_id", "minute", "home", "away",
    "margin", "point", "lower", "upper", "alpha", "model_version", "model_digest", "calibration_id", "duration_ms",
    "trace_id",
}  # fmt: skip


@cache
def _served() -> Prediction:
    model = ServedModel("12", "d" * 64, small_ensemble(minutes=(18,)), "a test")
    request = PredictRequest(pattern=[1.0] * 18, game_id="0022600001", home="BOS", away="NYK")
    return answer(model, request, request_id="live:1", prediction_id=PREDICTIONS, now=EVENING)


def served(**changes: Any) -> Prediction:
    """A served prediction; ``changes`` are not validated, so they may be what no answer should hold."""
    return _served().model_copy(update=changes)


def written(folder: Path, day: date = DAY) -> list[dict[str, Any]]:
    data = log_path(folder, day).read_bytes()
    assert data.endswith(b"\n")
    return [json.loads(line, parse_constant=pytest.fail) for line in data.split(b"\n")[:-1]]


def make(folder: Path, keep_days: int = 30) -> PredictionLog:
    return PredictionLog(folder, keep_days, copy_to=None)


def put(log: PredictionLog, day: date | None = None, **changes: Any) -> None:
    log.write(served(**changes), day=day, margin=9.0, duration_ms=3.21049)


def test_a_line_is_the_whole_prediction_as_json_without_anything_before_it(tmp_path: Path) -> None:
    put(make(tmp_path))
    (line,) = written(tmp_path)
    assert set(line) == FIELDS
    assert line["timestamp"] == "2026-11-25T01:30:00+00:00"
    assert (line["league_date"], line["request_id"], line["game_id"]) == ("2026-11-24", "live:1", "0022600001")
    assert (line["margin"], line["duration_ms"], line["point"]) == (9.0, 3.21, served().point_forecast)
    assert (line["prediction_id"], line["model_digest"]) == (str(PREDICTIONS), "d" * 64)


def test_the_file_is_that_of_the_league_date_whatever_the_time_zone_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for zone in ("UTC", "Asia/Tokyo", "Pacific/Honolulu"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        put(make(tmp_path / zone))
        assert list(logged_days(tmp_path / zone)) == [DAY]
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("eastern", "day"),
    [
        (datetime(2026, 11, 24, 23, 59), date(2026, 11, 24)),
        (datetime(2026, 11, 25, 0, 1), date(2026, 11, 24)),
        (datetime(2026, 11, 25, 5, 59), date(2026, 11, 24)),
        (datetime(2026, 11, 25, 6, 0), date(2026, 11, 25)),
        (datetime(2026, 11, 1, 5, 59), date(2026, 10, 31)),  # clocks were set back at 2:00
        (datetime(2027, 3, 14, 6, 0), date(2027, 3, 14)),  # and forward
        (datetime(2027, 1, 1, 1, 0), date(2026, 12, 31)),
    ],
)
def test_a_night_ends_at_six_in_new_york(eastern: datetime, day: date) -> None:
    assert league_date(eastern.replace(tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)) == day


def test_a_night_stays_in_one_file_across_midnight_and_the_next_gets_its_own(tmp_path: Path) -> None:
    log = make(tmp_path)
    for hours in (0, 4, 8, 24):  # 20:30, 0:30, 4:30, 20:30 in New York
        put(log, timestamp=EVENING + timedelta(hours=hours))
    assert {day: len(written(tmp_path, day)) for day in logged_days(tmp_path)} == {DAY: 3, DAY + timedelta(days=1): 1}


def test_the_date_that_a_request_names_goes_before_the_clock(tmp_path: Path) -> None:
    log = make(tmp_path)
    put(log, day=date(2023, 2, 3))
    put(log)
    put(log, day=date(2023, 2, 3))
    assert [line["league_date"] for line in written(tmp_path, date(2023, 2, 3))] == ["2023-02-03"] * 2
    assert len(written(tmp_path)) == 1


def test_logs_older_than_the_setting_are_deleted_while_running_and_nothing_else_is(tmp_path: Path) -> None:
    others = ["forecaster.log", "predictions_2020-01-01.log.gz", "predictions_2020-02-31.log", "predictions_notes.log"]
    days = [DAY - timedelta(days=age) for age in (400, 31, 30, 29)] + [DAY + timedelta(days=500)]
    for name in [*others, *(log_path(tmp_path, day).name for day in days)]:
        (tmp_path / name).write_text("{}\n")
        os.utime(tmp_path / name, (0, 0))
    log = make(tmp_path, keep_days=30)
    put(log)
    assert list(logged_days(tmp_path)) == [days[2], days[3], DAY]
    put(log, timestamp=EVENING + timedelta(days=1))
    assert list(logged_days(tmp_path)) == [days[3], DAY, DAY + timedelta(days=1)]
    assert {path.name for path in tmp_path.iterdir()} > set(others)


def test_the_log_of_a_past_night_replayed_now_stays_as_long_as_any_other(tmp_path: Path) -> None:
    log, past, now = make(tmp_path), date(2023, 2, 3), datetime.now(UTC)
    put(log, day=past, timestamp=now)
    put(log, timestamp=now)
    assert past in logged_days(tmp_path)
    put(log, timestamp=now + timedelta(days=32))
    assert past not in logged_days(tmp_path)


@given(ids=st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1, max_size=8))
def test_ids_may_be_any_text_and_lines_out_are_predictions_in(
    tmp_path_factory: pytest.TempPathFactory, ids: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    log = make(folder)
    for game, request, version in ids:
        put(log, game_id=game, request_id=request, model_version=version)
    log.close()
    lines = written(folder)
    if all(len(text) <= 128 for texts in ids for text in texts):
        said = [(line["game_id"], line["request_id"], line["model_version"]) for line in lines]
        assert said == ids
    assert len(lines) == len(ids)
    # Nor for readers that take other signs for the end of a line.
    assert len(log_path(folder, DAY).read_text().splitlines()) == len(ids)


def test_a_newline_in_a_game_id_forges_no_line(tmp_path: Path) -> None:
    hostile = '0022600001"}\n{"event": "prediction", "point": 99}\x1b[31m\u2028'
    put(make(tmp_path), game_id=hostile)
    (line,) = written(tmp_path)
    assert line["game_id"] == hostile


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_does_not_have_is_null(tmp_path: Path, bad: float) -> None:
    make(tmp_path).write(served(point_forecast=bad, interval_lower=bad), day=None, margin=bad, duration_ms=bad)
    (line,) = written(tmp_path)
    assert [line[name] for name in ("point", "lower", "margin", "duration_ms")] == [None] * 4


def test_a_password_never_reaches_the_log(tmp_path: Path) -> None:
    put(make(tmp_path), model_version="postgresql+psycopg2://halftime:s3cret@db/halftime", request_id="redis://:pw@h/0")
    text = log_path(tmp_path, DAY).read_text()
    assert "s3cret" not in text
    assert "pw@h" not in text


def test_a_line_is_shorter_than_a_pipe_takes_at_once_however_long_the_ids_are(tmp_path: Path) -> None:
    for sign in ("x", "\x00", "\U0001f3c0"):
        put(make(tmp_path), game_id=sign * 9000, request_id=sign * 9000, model_version=sign * 9000)
    put(make(tmp_path), request_id="r" * 128, game_id="0022600001")
    lines = log_path(tmp_path, DAY).read_bytes().splitlines(keepends=True)
    assert max(map(len, lines)) < MAX_LINE_BYTES
    assert [line["prediction_id"] for line in written(tmp_path)] == [str(PREDICTIONS)] * 4
    assert written(tmp_path)[-1]["request_id"] == "r" * 128


WORKER = """
import sys
from pathlib import Path
from tests.unit.services.test_prediction_log import make, put, served
log, name = make(Path(sys.argv[1])), sys.argv[2]
served()
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
for number in range(1000):
    put(log, request_id=f"{name}:{number}", model_version=name * (1 + number % 100))
"""


def test_several_processes_write_whole_lines_into_one_file(tmp_path: Path) -> None:
    names = "abcd"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": "."},
        )
        for name in names
    ]  # fmt: skip
    for worker in workers:  # all of them are there before the first writes
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=120)
        assert worker.returncode == 0
    lines = written(tmp_path)
    turns = sum(one["request_id"][0] != two["request_id"][0] for one, two in pairwise(lines))
    assert turns >= len(names)  # they did write at the same time
    for name in names:
        own = [line["request_id"] for line in lines if line["request_id"].startswith(name)]
        assert own == [f"{name}:{number}" for number in range(1000)]
    assert len(lines) == 4000


def test_setting_logging_up_twice_doubles_no_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging()
        first = PredictionLog(tmp_path, 30, copy_to=1)
        configure_logging()
        put(first)
        second = PredictionLog(tmp_path, 30, copy_to=1)
        put(second)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert len(written(tmp_path)) == 2
    assert capfd.readouterr().out == log_path(tmp_path, DAY).read_text()


def refusing(number: int) -> Callable[..., int]:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(("call", "number"), [("open", errno.EROFS), ("write", errno.ENOSPC), ("fstat", errno.EIO)])
def test_a_disk_that_refuses_is_said_once_and_once_more_when_it_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str, number: int
) -> None:
    log = make(tmp_path)
    put(log, request_id="before")
    for _ in range(2):
        with monkeypatch.context() as broken:
            broken.setattr(os, call, refusing(number))
            if call == "open":
                log.close()
            for _ in range(3):
                put(log)
        put(log, request_id="after")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    assert os.strerror(number) in said[0]
    assert "predictions go on" in said[0]
    assert "again; 3 were not" in said[1]
    assert [line["request_id"] for line in written(tmp_path)] == ["before", "after", "after"]


def test_a_folder_that_cannot_be_made_stops_nothing_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file stands where the folder should")
    log = make(tmp_path / "logs")
    put(log)
    (tmp_path / "logs").unlink()
    put(log)
    assert len(written(tmp_path / "logs")) == 1


@pytest.mark.parametrize("by_another", [False, True])
def test_a_torn_line_costs_no_other_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_another: bool) -> None:
    log, whole = make(tmp_path), os.write
    put(log)
    monkeypatch.setattr(os, "write", lambda fd, line: whole(fd, line[:40]))
    put(log)
    monkeypatch.undo()
    if by_another:
        os.utime(log_path(tmp_path, DAY), (0, 0))  # long ago: nobody is writing it at this moment
        put(make(tmp_path))
    put(log)
    put(log)
    lines = log_path(tmp_path, DAY).read_bytes().split(b"\n")[:-1]
    assert [number for number, line in enumerate(lines) if len(line) == 40] == [1]
    assert len([json.loads(line) for line in lines if len(line) != 40]) == (4 if by_another else 3)


def test_a_deleted_file_is_begun_anew(tmp_path: Path) -> None:
    log = make(tmp_path)
    put(log)
    log_path(tmp_path, DAY).unlink()
    put(log)
    assert len(written(tmp_path)) == 1


def test_an_old_log_that_cannot_be_deleted_costs_no_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log_path(tmp_path, date(2020, 1, 1)).mkdir()
    os.utime(log_path(tmp_path, date(2020, 1, 1)), (0, 0))
    put(make(tmp_path))
    assert len(written(tmp_path)) == 1
    assert "old logs of predictions could not be deleted" in caplog.text


def test_standard_output_gets_the_same_line_and_a_reader_that_stops_holds_up_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, into = os.pipe()
    log = PredictionLog(tmp_path, 30, copy_to=into)
    put(log)
    assert os.read(out, MAX_LINE_BYTES) == log_path(tmp_path, DAY).read_bytes()
    for _ in range(200):  # more than a pipe holds
        put(log)
    os.close(out)
    put(log)
    os.close(into)
    put(log)
    assert len(written(tmp_path)) == 203
    assert [record.getMessage() for record in caplog.records] == [
        "a prediction could not be written to standard output ([Errno 11] nobody reads it); predictions go on"
    ]
