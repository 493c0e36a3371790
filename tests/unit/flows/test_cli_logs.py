"""The command `logs`: what it shows of which file, what it counts, and how it follows."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.log_lines import NothingToRead, Reader, parsed, said
from infra.logs import begin_log, limit_log
from services.prediction_log import PredictionLog, log_path
from services.settings import ROOT, get_settings
from tests.unit.services.test_prediction_log import DAY, EVENING, served

NEXT = date(2026, 11, 25)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the logs of a data folder of its own."""
    monkeypatch.setenv("HALFTIME_HOME", str(tmp_path))
    get_settings.cache_clear()
    (tmp_path / "logs").mkdir()
    yield tmp_path / "logs"
    get_settings.cache_clear()


def fill(folder: Path, day: date, *ids: tuple[str | None, str]) -> list[str]:
    """Logs predictions with these game and request ids; their lines."""
    log = PredictionLog(folder, 30, copy_to=None)
    for game, request in ids:
        answer = served(game_id=game, request_id=request, timestamp=EVENING)
        log.write(answer, day=day, margin=9.0, duration_ms=3.2)
    log.close()
    return log_path(folder, day).read_text().splitlines()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["logs", *arguments], env={"COLUMNS": "300"})


def nothing(*arguments: str) -> str:
    """What is said when there is nothing to read; `./halftime` prints it and exits with 1."""
    told = run(*arguments)
    assert isinstance(told.exception, NothingToRead), told.output
    assert told.stdout == ""
    return str(told.exception)


def test_without_a_date_the_newest_log_is_read(folder: Path) -> None:
    fill(folder, DAY, ("0022600001", "old"))
    (line,) = fill(folder, NEXT, ("0022600002", "new"))
    assert run("--json").stdout == f"{line}\n"
    assert json.loads(run("--json", "--date", "2026-11-24").stdout)["request_id"] == "old"


def test_game_and_request_choose_by_equality(folder: Path) -> None:
    lines = fill(folder, DAY, ("0022600001", "a"), ("0022600002", "a"), ("0022600002", "ab"), (None, "b"))
    assert run("--json", "--game", "0022600002").stdout.splitlines() == lines[1:3]
    assert run("--json", "--request", "a").stdout.splitlines() == lines[:2]
    assert run("--json", "--request", "a", "--game", "0022600002").stdout.splitlines() == lines[1:2]
    assert f"no line of game 00226 and of request a in {log_path(folder, DAY)}" in nothing(
        "--game", "00226", "--request", "a"
    )


def test_the_limit_keeps_the_newest_of_the_chosen(folder: Path) -> None:
    lines = fill(folder, DAY, *((f"002260000{number % 2}", str(number)) for number in range(6)))
    assert run("--json", "--limit", "2", "--game", "0022600000").stdout.splitlines() == [lines[2], lines[4]]


def test_a_person_reads_teams_forecast_interval_and_model_on_one_line(folder: Path) -> None:
    fill(folder, DAY, ("0022600001", "live:1"))
    (line,) = run().stdout.splitlines()
    wanted = f"forecast {served().point_forecast:+.1f}  [{served().interval_lower:+.1f}, "
    assert line.startswith("2026-11-25 01:30:00Z  0022600001  BOS-NYK  minute 18  margin +9  " + wanted)
    assert line.endswith("alpha 0.05  model 12  3.2 ms  request live:1")


BAD = (
    b"INFO {}", b"[1]", b'{"point": NaN}', b"\xff\xfe", b'{"torn": ', b"[" * 100_000, b'"text"', b"9" * 5000, b"\x00",
)  # fmt: skip


def test_lines_that_cannot_be_read_are_left_out_counted_and_told(folder: Path) -> None:
    lines = fill(folder, DAY, ("0022600001", "a"))
    with log_path(folder, DAY).open("ab") as file:
        file.write(b"\n\n" + b"\n".join(BAD))  # the last one has no end
    told = run("--json")
    assert told.stdout.splitlines() == lines
    assert f"could not be read and were left out: {len(BAD)}" in told.stderr
    assert told.exit_code == 0


@given(line=st.binary() | st.text().map(str.encode) | st.text().map(lambda text: json.dumps({"event": text}).encode()))
def test_no_line_whatever_it_holds_is_more_than_one_line_or_moves_the_cursor(line: bytes) -> None:
    for reader in (Reader(), Reader(as_text=True), Reader(game="x"), Reader(raw=True)):
        shown = list(reader.shown([line]))
        assert len(shown) + reader.unreadable <= 1
        if not reader.raw:
            assert all(sign.isprintable() or sign == "\t" for text in shown for sign in text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(values=st.lists(json_values, min_size=10, max_size=10))
def test_a_prediction_with_any_values_is_shown(values: list[Any]) -> None:
    names = ("timestamp", "game_id", "home", "away", "minute", "margin", "point", "lower", "alpha", "duration_ms")
    assert said({"event": "prediction", "prediction_id": "p"} | dict(zip(names, values, strict=True)))


def test_what_is_no_json_object_is_not_parsed() -> None:
    assert [parsed(line) for line in BAD] == [None] * len(BAD)


def test_a_services_log_is_read_by_its_name_and_text_of_other_programs_is_shown(folder: Path) -> None:
    own = '{"event": "asked", "level": "info", "at": "2026-11-25T01:30:00.123Z", "game_id": "0022600001", "minute": 6}'
    (folder / "predictor.log").write_text(f"{own}\nstarted \x1b[31mred\n")
    assert run("--service", "predictor").stdout.splitlines() == [
        "2026-11-25 01:30:00Z  info  asked  game_id=0022600001  minute=6",
        "started \\x1b[31mred",
    ]
    told = run("--service", "predictor", "--game", "0022600001", "--json")
    assert told.stdout == f"{own}\n"
    assert "left out: 1" in told.stderr


def test_a_service_is_a_name_and_leads_nowhere_else(folder: Path) -> None:
    (folder.parent / "secret.log").write_text("{}\n")
    for name in ("../secret", "..", "/etc/passwd", "predictions_2026-11-24", ""):
        told = run("--service", name)
        assert (told.exit_code, told.stdout) == (2, "")
    assert run("--service", "board", "--date", "2026-11-24").exit_code == 2


def test_nothing_to_read_names_where_it_looked_and_what_is_there(folder: Path) -> None:
    assert str(folder) in nothing()
    assert str(folder / "board.log") in nothing("--service", "board")
    fill(folder, DAY, ("0022600001", "a"))
    (folder / "poller.log").touch()
    said_of_date = nothing("--date", "2026-11-30")
    assert str(log_path(folder, date(2026, 11, 30))) in said_of_date
    assert "2026-11-24" in said_of_date
    assert "there are poller" in nothing("--service", "board")
    assert f"no line to show in {folder / 'poller.log'}" in nothing("--service", "poller")


def test_nothing_to_read_is_a_sentence_and_exit_1(folder: Path) -> None:
    program = subprocess.run(
        [sys.executable, "-m", "flows.cli", "logs"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert (program.returncode, program.stdout) == (1, "")
    assert program.stderr.startswith("halftime: no prediction was logged yet:")
    assert len(program.stderr.splitlines()) == 1


@contextmanager
def following(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "logs", "--follow", "--json", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_following_goes_on_to_the_next_date_until_it_is_interrupted(folder: Path) -> None:
    with following("--game", "0022600001") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().endswith("; waiting for it\n")
        first = fill(folder, DAY, ("0022600002", "not this"), ("0022600001", "a"))
        assert process.stdout.readline() == f"{first[1]}\n"
        second = fill(folder, DAY, ("0022600001", "b"))
        assert process.stdout.readline() == f"{second[2]}\n"
        with log_path(folder, DAY).open("ab") as file:
            file.write(b'{"torn": ')
        (third,) = fill(folder, NEXT, ("0022600001", "c"))
        assert process.stdout.readline() == f"{third}\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "")
        assert err == "lines that could not be read and were left out: 1\n"


def test_following_a_service_outlives_its_restart_and_its_emptying(folder: Path) -> None:
    path = folder / "forecaster.log"

    def put(number: int, padding: int = 0) -> None:
        with path.open("a") as file:
            file.write(json.dumps({"event": number, "padding": "x" * padding}) + "\n")

    put(1, padding=10_000)
    with following("--service", "forecaster") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == 1
        put(2)
        begin_log(path)  # as a new run of the service does
        put(3, padding=10_000)
        assert [json.loads(process.stdout.readline())["event"] for _ in range(2)] == [2, 3]
        assert limit_log(path, limit_bytes=100)
        put(4)
        assert json.loads(process.stdout.readline())["event"] == 4
