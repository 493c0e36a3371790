"""The command line as a person meets it: help with examples, errors in one sentence, an end that leaves nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from flows.cli import app
from infra.detached import read_status
from services.settings import ROOT
from services.store import Store
from tests.support.night_home import NightHome, finish, night_home
from tests.support.rows import prediction_row
from tests.support.waiting import until

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
NOBODY = "postgresql+psycopg2://nobody:secret@127.0.0.1:1/none"


@pytest.fixture(scope="module")
def home() -> Iterator[NightHome]:
    """A data folder in which nothing runs; no recorded games."""
    with night_home(None) as made:
        yield made
        assert made.marked() == []
        assert made.listening() == []


def test_the_commands_are_those_that_were_asked_for() -> None:
    asked = {"up", "down", "status", "night", "replay", "backfill", "train", "predict", "reproduce", "doctor"}
    assert asked <= COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_the_command_accepts(name: str) -> None:
    told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}, color=False)
    assert told.exit_code == 0
    example = re.search(r"Example: (\./halftime .+)", told.output)
    assert example is not None, told.output
    program, command, *arguments = shlex.split(example[1].rstrip(" │"))
    assert (program, command) == ("./halftime", name)
    assert COMMANDS[name].make_context(name, arguments).args == []


def test_the_program_itself_runs_from_any_folder_with_relative_settings(home: NightHome, tmp_path: Path) -> None:
    programs = home.folder / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs.parent / ".installed").touch()
    # A virtual environment as far as the program can tell: what runs is the one of the tests.
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    (tmp_path / "games").mkdir()
    env = home.env(HALFTIME_HOME=os.path.relpath(home.folder, tmp_path), HALFTIME_DATA="games")
    said = subprocess.run(
        [ROOT / "halftime", "backfill"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert said.returncode != 0
    assert f"HALFTIME_DATA={tmp_path / 'games'} holds no games.parquet" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (["backfill", "--source", "archive", "--seasons", "20x"], {"DATABASE_URL": NOBODY}, "--seasons 2018-2024"),
        (["backfill", "--source", "archive"], {"DATABASE_URL": NOBODY}, "--seasons 2018-2024"),
        (["backfill", "--source", "nba"], {"DATABASE_URL": NOBODY}, "'nba'.*recorded"),
        (["backfill"], {"HALFTIME_DATA": "/nowhere"}, "HALFTIME_DATA=/nowhere holds no games.parquet: name"),
        (["backfill"], {"DATABASE_URL": "postgres://you@there/db"}, "DATABASE_URL must start with postgresql"),
        (["status"], {"HALFTIME_REPLAY_SPEED": "fast", "HALFTIME_ALPHA": "2"}, "HALFTIME_REPLAY_SPEED='fast'.*ALPHA"),
        (["train"], {}, "DATABASE_URL is unset.*make up"),
        (["train"], {"DATABASE_URL": NOBODY}, "database unavailable.*Connection refused"),
        (["reproduce", "12"], {}, "'12' is not a prediction id"),
        (["predict", "--", "1", "2"], {}, "forecaster at http://127.0.0.1:[0-9]+.* gave no answer"),
        (["replay", "1999-01-01"], {}, "no simulated games to replay on 1999-01-01; the nearest: 2013-"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_sentence(home: NightHome, arguments: list[str], env: dict[str, str], words: str) -> None:
    assert re.search(words, home.run(*arguments, **env).sentence)


def test_recorded_nights_that_are_not_there_name_the_nearest(recorded: Path, home: NightHome) -> None:
    said = home.run("night", "--date", "2023-02-17", HALFTIME_DATA=str(recorded)).sentence
    assert re.search(r"no recorded games to replay on 2023-02-17; the nearest: 2023-02-16 \(3 games\)", said)


def test_options_out_of_range_are_a_usage_error(home: NightHome) -> None:
    done = home.run("night", "--speed", "9999")
    assert done.status == 2
    assert "--speed" in done.err
    assert "Traceback" not in done.err


def test_a_taken_port_names_its_owner_and_the_setting_that_moves_it(home: NightHome) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", home.ports["board"]))
        holder.listen()
        said = home.run("up").sentence
    assert f"port {home.ports['board']} for board is taken by process {os.getpid()}" in said
    assert "HALFTIME_BOARD_PORT" in said
    assert not (home.folder / "postgres").exists()


def test_an_outside_server_that_does_not_answer_is_named_before_anything_starts(home: NightHome) -> None:
    said = home.run("night", "--date", "2023-02-03", DATABASE_URL=NOBODY, REDIS_URL="redis://127.0.0.1:1/0").sentence
    assert re.search("DATABASE_URL.*Connection refused", said)
    assert "REDIS_URL" in said
    assert "secret" not in said
    assert not (home.folder / "mlflow").exists()


def test_status_and_down_say_that_nothing_runs(home: NightHome) -> None:
    done = home.run("status", "--json")
    assert done.status == 1
    assert json.loads(done.out)["stack"] is None
    shown = home.run("status")
    assert shown.status == 1
    assert "make up" in shown.err
    gone = home.run("down")
    assert (gone.status, gone.out) == (0, "")
    assert "nothing was running" in gone.err


def test_doctor_names_a_missing_champion_missing_history_and_what_to_do(
    home: NightHome, database_url: str, redis_url: str, mlflow_url: str
) -> None:
    servers = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "MLFLOW_TRACKING_URI": mlflow_url}
    done = home.run("doctor", "--json", PREFECT_API_URL="http://127.0.0.1:1/api", **servers)
    assert done.status == 1
    found = {check["name"]: check for check in json.loads(done.out)}
    assert found["database"]["ok"]
    assert found["redis"]["ok"]
    assert "no champion" in found["champion"]["detail"]
    assert found["champion"]["remedy"] == "./halftime train --promote"
    assert found["history"]["remedy"] == "./halftime backfill"
    assert "PREFECT_API_URL" in found["prefect"]["remedy"]


def test_a_prediction_that_is_not_there_or_whose_model_is_gone_is_one_sentence(
    home: NightHome, store: Store, database_url: str, mlflow_url: str
) -> None:
    servers = {"DATABASE_URL": database_url, "MLFLOW_TRACKING_URI": mlflow_url}
    unknown = "2f0f0c9e-8f0a-5d8e-9d5c-3f6a1f0e9b7a"
    assert f"no prediction {unknown}" in home.run("reproduce", unknown, **servers).sentence
    row = prediction_row(None)
    store.record_prediction([row])
    assert "halftime-simulated" in home.run("reproduce", str(row.id), **servers).sentence


def test_training_without_history_says_what_to_run(home: NightHome, database_url: str, mlflow_url: str) -> None:
    said = home.run("train", DATABASE_URL=database_url, MLFLOW_TRACKING_URI=mlflow_url).sentence
    assert re.search(r"no simulated games before .*: run `\./halftime backfill`", said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_night_that_is_interrupted_leaves_nothing_running(number: signal.Signals) -> None:
    with night_home(None) as home:
        process = home.start("night", "--date", "2023-02-03", "--json")

        def postgres_is_ready() -> bool:
            assert process.poll() is None, finish(process, 10).err
            status = read_status(home.settings())
            service = status.service("postgres") if status is not None else None
            return service is not None and service.state == "ready"

        until(postgres_is_ready, 90)
        process.send_signal(number)
        done = finish(process, 60)
        assert done.status == 128 + number
        assert done.out == ""
        assert "Traceback" not in done.err
        assert home.marked() == []
        assert home.listening() == []
        assert not list((home.folder / "run").glob("*.json"))
