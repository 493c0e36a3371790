"""Backups and restores on the real PostgreSQL: what was kept comes back, and what is not whole is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg2
import pytest
from sqlalchemy import make_url, text

from bentos.answering import ServedModel, answer
from bentos.contracts import PredictRequest, identify, prediction_row
from flows.backup import backup, restore, try_restore
from flows.report import build_report
from infra import backup_programs
from infra.backup_contents import snapshot
from infra.backup_manifest import (
    BackupDamaged,
    BackupError,
    RestoreDiffers,
    RestoreRefused,
    TableContents,
    manifest_of,
    read_manifest,
)
from infra.backup_programs import address
from infra.backup_restore import compare
from models.bundle import write_bundle
from services import migrate
from services.database import transaction
from services.settings import ROOT, Settings
from services.store import ForecastRow, PredictionRow, Store
from tests.support.night_home import night_home
from tests.support.rows import NOON
from tests.support.servers import PostgresServer
from tests.support.settled_night import NIGHT, add_forecast, add_game, add_outcome, game_id
from tests.support.small_model import small_ensemble
from tests.support.waiting import until

MLFLOW_ELSEWHERE = "http://127.0.0.1:1"


def settings_for(home: Path, url: str, **changes: object) -> Settings:
    given = {"home": home, "data": None, "database_url": url, "mlflow_tracking_uri": MLFLOW_ELSEWHERE} | changes
    return Settings(**given)  # type: ignore[arg-type]


def settled_night(store: Store, bundle: Path) -> str:
    """Three settled games, the official forecast of the first by the model in ``bundle``; that prediction's id."""
    digest = write_bundle(small_ensemble(), bundle, {"code_version": "test"})
    request = PredictRequest(
        pattern=[float(minute % 5) for minute in range(18)], request_id="live:1", game_id=game_id(1)
    )
    request_id, prediction_id = identify(request, None)
    model = ServedModel(f"folder-{digest[:12]}", digest, small_ensemble(), "test")
    given = answer(model, request, request_id=request_id, prediction_id=prediction_id, now=NOON)
    for number in (1, 2, 3):
        add_game(store, number)
    store.record_forecast(
        PredictionRow.from_json(prediction_row(request, given)),
        ForecastRow(
            game_id=game_id(1), minute=18, revision=0, tick_digest="ab" * 16, persistence=2, forecast_at=NOON,
            polled_at=NOON, queued_at=NOON,
        ),
    )  # fmt: skip
    add_forecast(store, 2)
    add_forecast(store, 3)
    for number in (1, 2, 3):
        add_outcome(store, number, 5 + number)
    return str(prediction_id)


@contextmanager
def locked(url: str) -> Iterator[None]:
    """While inside, whoever wants to read the table ``games`` waits."""
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE games IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        connection.close()


def dumping(folder: Path) -> list[psutil.Process]:
    """pg_dump programs that write into the folder now."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "pg_dump" and str(folder) in " ".join(process.info["cmdline"] or []):
            found.append(process)
    return found


def test_a_night_comes_back_the_same_and_so_does_every_forecast(
    store: Store, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    prediction = settled_night(store, bundle)
    settings = settings_for(tmp_path / "home", postgres_server.cluster.url("halftime"), bundle=bundle)
    before = build_report(store, NIGHT)
    made = backup(settings)
    kept = made.manifest.database.tables
    assert (kept["games"].rows, kept["forecasts"].rows, kept["settlements"].rows) == (3, 3, 3)
    assert kept.keys() >= {"predictions", "actuals", "alembic_version", "leases"}

    fresh = postgres_server.new_database()
    done = restore(settings, made.dump, fresh)
    assert (done.to_json()["rows"], done.left) == (made.manifest.database.rows, tuple(done.left))
    with snapshot(address(fresh)) as back:
        assert back.contents() == kept
    with Store.open(fresh) as again:
        assert build_report(again, NIGHT).model_dump(exclude={"created_at"}) == before.model_dump(
            exclude={"created_at"}
        )
        # Identities go on where they were, and what is append-only is so again.
        add_game(again, 4)
        add_forecast(again, 4)
        with pytest.raises(Exception, match="append-only"), transaction(again.engine) as connection:
            connection.execute(text("DELETE FROM forecasts"))
    with night_home(None) as home:
        said = home.run("reproduce", prediction, "--json", DATABASE_URL=fresh, HALFTIME_BUNDLE=str(bundle))
    assert said.status == 0, said.err
    assert json.loads(said.out)["equal"] is True


def test_the_restore_test_restores_compares_and_leaves_nothing(
    store: Store, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    settled_night(store, tmp_path / "bundle")
    settings = settings_for(tmp_path / "home", postgres_server.cluster.url("halftime"))
    made = backup(settings)
    assert "all the same" in try_restore(settings).line()
    with transaction(store.engine) as connection:
        names = connection.execute(text("SELECT datname FROM pg_database")).scalars().all()
    assert [name for name in names if "restore_test" in name] == []
    tested, kept = store.backup_history()
    assert (kept.kind, kept.ok, kept.file_name) == ("backup", True, made.dump.name)
    assert (kept.sha256, kept.rows) == (made.manifest.database.sha256, made.manifest.database.rows)
    assert (tested.kind, tested.ok, tested.file_name) == ("restore_test", True, made.dump.name)


def test_a_restore_test_that_fails_is_noted_as_failed(
    store: Store, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "home", postgres_server.cluster.url("halftime"))
    made = backup(settings)
    made.dump.write_bytes(made.dump.read_bytes()[:-1])
    with pytest.raises(BackupDamaged):
        try_restore(settings)
    assert [row.ok for row in store.backup_history()] == [False, True]
    assert store.backup_ages().restore_test_s is None


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_flipped_byte_is_refused_and_the_file_named(
    database_url: str, postgres_server: PostgresServer, tmp_path: Path, place: int
) -> None:
    settings = settings_for(tmp_path / "home", database_url)
    made = backup(settings)
    content = bytearray(made.dump.read_bytes())
    content[place] ^= 1
    made.dump.write_bytes(content)
    fresh = postgres_server.new_database()
    with pytest.raises(BackupDamaged, match=f"{made.dump.name} is not what was kept"):
        restore(settings, made.dump, fresh)
    with snapshot(address(fresh)) as untouched:
        assert untouched.tables() == []


def test_a_manifest_that_tells_of_other_rows_is_found_out(
    store: Store, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    add_game(store, 1)
    settings = settings_for(tmp_path / "home", postgres_server.cluster.url("halftime"))
    made = backup(settings)
    told = json.loads(manifest_of(made.dump).read_text())
    told["database"]["tables"]["games"]["sha256"] = "0" * 64
    told["database"]["tables"]["ticks"]["rows"] = 7
    manifest_of(made.dump).write_text(json.dumps(told))
    with pytest.raises(RestoreDiffers, match="the 1 rows of games are not the same; ticks has 0 rows and had 7"):
        restore(settings, made.dump, postgres_server.new_database())


def test_a_missing_and_a_strange_table_are_differences() -> None:
    one = TableContents(rows=1, sha256="a" * 64)
    with pytest.raises(RestoreDiffers, match="mine is missing; yours is not in the backup"):
        compare({"mine": one}, {"yours": one}, "x")


def test_a_database_that_holds_anything_is_not_written_into(
    store: Store, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "home", postgres_server.cluster.url("halftime"))
    made = backup(settings)
    add_game(store, 1)
    store.close()
    with pytest.raises(RestoreRefused, match=r"not empty \(.*games.*\), and a restore overwrites nothing"):
        restore(settings, made.dump)
    strange = postgres_server.new_database()
    with Store.open(strange) as other, transaction(other.engine) as connection:
        connection.execute(text("CREATE TABLE mine (x int)"))
    with pytest.raises(RestoreRefused, match="mine"):
        restore(settings, made.dump, strange)


def test_migrated_tables_without_rows_are_an_empty_database(
    store: Store, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    add_game(store, 1)
    settings = settings_for(tmp_path / "home", postgres_server.cluster.url("halftime"))
    made = backup(settings)
    fresh = postgres_server.new_database()
    migrate.upgrade(fresh)
    restore(settings, made.dump, fresh)
    with Store.open(fresh) as again:
        assert again.game(game_id(1)) is not None
        with pytest.raises(RestoreRefused, match="not empty"):
            restore(settings, made.dump, fresh)


def test_a_database_somebody_uses_is_not_restored_into(
    database_url: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "home", database_url)
    made = backup(settings)
    fresh = postgres_server.new_database()
    with Store.open(fresh) as other:
        other.ping()
        with pytest.raises(RestoreRefused, match="1 other connections"):
            restore(settings, made.dump, fresh)


def test_a_backup_of_newer_code_is_refused(store: Store, postgres_server: PostgresServer, tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "home", postgres_server.cluster.url("halftime"))
    made = backup(settings)
    told = json.loads(manifest_of(made.dump).read_text()) | {"revision": "9999"}
    manifest_of(made.dump).write_text(json.dumps(told))
    with pytest.raises(RestoreRefused, match="revision 9999, which this code"):
        restore(settings, made.dump, postgres_server.new_database())


def test_a_dump_without_a_manifest_is_no_backup(database_url: str, tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "home", database_url)
    made = backup(settings)
    manifest_of(made.dump).unlink()
    with pytest.raises(BackupDamaged, match="has no manifest"):
        restore(settings, made.dump, database_url)
    with pytest.raises(BackupError, match=r"there is no backup in .*`\./halftime backup`"):
        try_restore(settings)


def test_a_backup_during_writes_is_one_snapshot(store: Store, postgres_server: PostgresServer, tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "home", postgres_server.cluster.url("halftime"))
    for number in range(8):
        add_game(store, number)
    stop, rounds = threading.Event(), []

    def write() -> None:
        revision = 0
        while not stop.is_set():
            for number in range(8):
                add_forecast(store, number, revision=revision)
            revision += 1
            rounds.append(revision)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: len(rounds) > 2)
        made = backup(settings)
        after = len(rounds)
        until(lambda: len(rounds) > after)
    finally:
        stop.set()
        writer.join()
    fresh = postgres_server.new_database()
    restore(settings, made.dump, fresh)
    with Store.open(fresh) as again, transaction(again.engine) as connection:
        counts = "SELECT (SELECT count(*) FROM forecasts), (SELECT count(*) FROM predictions)"
        forecasts, predictions = connection.execute(text(counts)).one()
    # A forecast and its prediction are one transaction: a backup has both or neither.
    assert forecasts == predictions == made.manifest.database.tables["forecasts"].rows
    assert forecasts >= 16


def test_an_interrupted_dump_leaves_no_file_that_looks_whole(
    postgres_server: PostgresServer, database_url: str, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "home", database_url)
    folder = tmp_path / "home" / "backups"
    failed: list[BaseException] = []

    def run() -> None:
        try:
            backup(settings)
        except BackupError as error:
            failed.append(error)

    with locked(database_url):
        making = threading.Thread(target=run)
        making.start()
        until(lambda: len(dumping(folder)) == 1)
        with pytest.raises(BackupError, match="another backup is being made"):
            backup(settings)
        dumping(folder)[0].terminate()
        making.join()
    assert "pg_dump of database halftime ended with" in str(failed[0])
    assert [path.name for path in folder.iterdir()] == [".lock"]
    # The program itself killed: what is left has not the name of a backup, and is gone with the next one.
    env = os.environ | {"HALFTIME_HOME": str(settings.home), "DATABASE_URL": database_url, "HALFTIME_DATA": ""}
    command = [sys.executable, "-m", "flows.cli", "backup"]
    with locked(database_url):
        process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, start_new_session=True)
        until(lambda: len(dumping(folder)) == 1, timeout_s=60)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert {path.name for path in folder.iterdir()} == {".lock", ".partial"}
    made = backup(settings)
    assert {path.name for path in folder.iterdir()} == {".lock", made.dump.name, manifest_of(made.dump).name}


def test_the_password_is_on_no_command_line_and_in_no_output(database_url: str, tmp_path: Path) -> None:
    secret = make_url(database_url).password
    assert secret
    folder = tmp_path / "kept"
    with night_home(None) as home:
        changes = {"DATABASE_URL": database_url, "MLFLOW_TRACKING_URI": MLFLOW_ELSEWHERE, "HALFTIME_LOG_LEVEL": "DEBUG"}
        with locked(database_url):
            process = home.start("backup", "--to", str(folder), "--json", **changes)
            until(lambda: len(dumping(folder)) == 1, timeout_s=60)
            [program] = dumping(folder)
            seen = [" ".join(each.cmdline()) for each in (program, psutil.Process(process.pid))]
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        dump = json.loads(out)["dump"]
        tried = home.run("backup", "--check", "--to", str(folder), "--json", **changes)
        wrong = home.run("restore", dump, "--yes", **changes)
    assert "database halftime is not empty (backups)" in wrong.sentence
    assert "dbname=halftime" in seen[0]
    texts = [*seen, out, err, tried.out, tried.err, wrong.err, Path(dump).with_suffix(".json").read_text()]
    assert [told for told in texts if secret in told] == []


def test_only_the_newest_whole_backups_are_kept(database_url: str, tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "home", database_url, backups_kept=2)
    folder = tmp_path / "home" / "backups"
    first = backup(settings)

    def aged(stamp: str) -> Path:
        """The first backup again, as one made at another time."""
        dump = folder / f"halftime-{stamp}.dump"
        dump.write_bytes(first.dump.read_bytes())
        told = json.loads(manifest_of(first.dump).read_text())
        told["database"]["file"] = dump.name
        manifest_of(dump).write_text(json.dumps(told))
        return dump

    oldest, older, damaged = (aged(f"202001{day:02d}T000000Z") for day in (1, 2, 3))
    damaged.write_bytes(b"not a dump")
    (folder / "notes.txt").write_text("mine")
    until(lambda: not (folder / f"halftime-{_second()}.dump").exists())
    made = backup(settings)
    assert made.forgotten.deleted == (damaged.name, older.name, oldest.name)
    [told] = made.forgotten.damaged
    assert damaged.name in told
    assert {path.name for path in folder.glob("*.dump")} == {first.dump.name, made.dump.name}
    assert (folder / "notes.txt").exists()
    # A damaged one counts for nothing: the good one before it stays.
    made.dump.write_bytes(b"rotten")
    until(lambda: not (folder / f"halftime-{_second()}.dump").exists())
    again = backup(settings)
    assert again.forgotten.deleted == ()
    assert first.dump.exists()


def _second() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def test_programs_older_than_the_server_are_refused_by_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def program(folder: Path, version: str) -> Path:
        folder.mkdir()
        for name in ("pg_dump", "pg_restore"):
            (folder / name).write_text(f'#!/bin/sh\necho "{name} (PostgreSQL) {version}"\n')
            (folder / name).chmod(0o755)
        return folder

    old, new = program(tmp_path / "old", "13.4"), program(tmp_path / "new", "18.1 (Debian 18.1-1)")
    monkeypatch.setattr(backup_programs, "_folders", lambda: [old, new])
    assert backup_programs.programs_for(130004) == old
    assert backup_programs.programs_for(160002) == new
    monkeypatch.setattr(backup_programs, "_folders", lambda: [old])
    with pytest.raises(BackupError, match=r"is PostgreSQL 16.*pg_dump is of version 13.*postgresql-client-16"):
        backup_programs.programs_for(160002)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgres://u:hush@there/db", "must start with"),
        ("postgresql+psycopg2://u:hush%zz@there/db", "cannot be read"),
        ("postgresql+psycopg2://u:hush@there/", "names no database"),
        ("postgresql+psycopg2://u:hush@there/db?sslpassword=hush", "holds sslpassword"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str, words: str) -> None:
    with pytest.raises(Exception, match=words) as caught:
        address(url)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_folder_that_cannot_be_written_and_a_name_that_is_no_backup_are_named(
    database_url: str, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "home", database_url)
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupError, match=r"the folder .*file/backups cannot be written"):
        backup(settings, tmp_path / "file" / "backups")
    with pytest.raises(BackupError, match="has not the name of a backup"):
        restore(settings, tmp_path / "file", database_url)


def test_a_database_without_tables_is_no_backup(postgres_server: PostgresServer, tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "home", postgres_server.new_database())
    with pytest.raises(BackupError, match="none of Halftime's tables"):
        backup(settings)


def test_what_is_not_in_a_backup_is_said(database_url: str, tmp_path: Path) -> None:
    made = backup(settings_for(tmp_path / "home", database_url))
    assert read_manifest(made.dump).left_out == made.manifest.left_out
    assert "MLFLOW_TRACKING_URI names a server elsewhere" in made.manifest.left_out[0]
    assert MLFLOW_ELSEWHERE not in made.manifest.left_out[0]
