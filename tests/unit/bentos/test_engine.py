"""A worker's engine: an answer is durable before it is given, and the first one is the only one."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import structlog

from bentos.answering import ServedModel
from bentos.champion import NoModelError
from bentos.contracts import PredictRequest, RecordActualRequest, RequestRefused, read_request
from bentos.database import Database, DatabaseDownError
from bentos.engine import Engine
from models.forecast import BrokenForecast, Forecast, Interval
from services.database import RowRefused
from services.prediction_log import log_path
from services.settings import ROOT, Settings
from services.spool import InsertRefused, SpoolError
from services.store import Store
from services.trace import Ids
from tests.support.running_forecaster import NO_DATABASE
from tests.support.small_model import small_ensemble

SMALL = small_ensemble(minutes=(18,))
REQUEST = PredictRequest(pattern=[1.0] * 18)


def served(version: str) -> ServedModel:
    return ServedModel(version, version * 64, SMALL, "a test")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, database_url=NO_DATABASE, data=None)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    made = Engine(settings, lambda current: current or served("1"))
    made.champion.refresh()
    yield made
    made.close()


def on_disk(engine: Engine, folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in (folder / "spool").glob("*.jsonl") for line in path.read_text().splitlines()]


def test_answer_is_on_disk_before_it_is_given(engine: Engine, tmp_path: Path) -> None:
    body = json.loads(engine.predict(REQUEST, None))
    (row,) = on_disk(engine, tmp_path)
    assert row["id"] == body["prediction_id"]


def test_a_request_with_all_its_fields_is_answered_and_kept(engine: Engine, tmp_path: Path) -> None:
    fields = {
        "pattern": [1.0] * 18, "minute": 18, "alpha": 0.1, "home": "BOS", "away": "NYK", "game_id": "0022190001",
        "date": "2022-01-28", "possession": "away", "above": [-3, 5.5], "levels": [0.6], "request_id": "all:1",
    }  # fmt: skip
    fields["model_digest"] = engine.champion.model.digest
    assert set(fields) == set(PredictRequest.model_fields)
    request = read_request(PredictRequest, json.dumps(fields).encode())
    body = engine.predict(request, None)
    assert engine.predict(request, None) == body
    assert on_disk(engine, tmp_path)[0]["context"] == json.loads(body)["context"]


def test_without_a_key_every_call_is_a_prediction_of_its_own(engine: Engine) -> None:
    one, two = (json.loads(engine.predict(REQUEST, None)) for _ in range(2))
    assert one["prediction_id"] != two["prediction_id"]
    assert one["point_forecast"] == two["point_forecast"]


def test_same_key_gives_the_first_answer_even_after_a_new_champion_and_a_restart(
    engine: Engine, settings: Settings
) -> None:
    first = engine.predict(REQUEST, "k")
    heir = Engine(settings, lambda current: served("2"))
    heir.champion.refresh()
    assert heir.predict(REQUEST, "k") == first
    assert heir.predict(REQUEST.model_copy(update={"request_id": "k"}), None) == first
    assert json.loads(heir.predict(REQUEST, None))["model_version"] == "2"
    with pytest.raises(RequestRefused) as caught:
        heir.predict(REQUEST.model_copy(update={"alpha": 0.2}), "k")
    assert caught.value.status == 409
    heir.close()


def test_repeated_answer_is_made_durable_too(engine: Engine, tmp_path: Path) -> None:
    engine.predict(REQUEST, "k")
    engine.predict(REQUEST, "k")
    one, two = on_disk(engine, tmp_path)
    assert one == two


def test_no_answer_without_a_durable_row(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SpoolError, match="free some disk space"):
        engine.predict(REQUEST, None)


def test_no_answer_without_a_model(settings: Settings) -> None:
    engine = Engine(settings, lambda current: served("1"))
    with pytest.raises(NoModelError):
        engine.predict(REQUEST, None)
    assert "still being loaded" in str(engine.unready())
    assert engine.health()["status"] == "not ready"
    engine.champion.refresh()
    assert engine.unready() is None
    assert engine.health()["status"] == "ready"
    engine.close()


@pytest.mark.parametrize("point", [float("nan"), float("inf"), 99.0])
def test_broken_forecast_is_never_published(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: float
) -> None:
    good = SMALL.forecast([1.0] * 18, 18, 0.05, None)

    def broken(*_: object) -> Forecast:
        return Forecast(
            point=point, interval=Interval(-5.0, 5.0), alpha=0.05, minute=18, components=good.components,
            weights=good.weights, similar=(), rating=None, possession=0, half_width=5.0, sd=1.0, n_calibration=60,
            distribution=good.distribution,
        )  # fmt: skip

    monkeypatch.setattr(type(SMALL), "forecast", broken)
    with pytest.raises(BrokenForecast):
        engine.predict(REQUEST, None)
    assert on_disk(engine, tmp_path) == []


async def test_outcome_without_a_database_is_told_so(engine: Engine) -> None:
    with pytest.raises(DatabaseDownError, match="cannot be reached"):
        await engine.record_actual(RecordActualRequest(game_id="0022200776", actual_differential=3))


async def test_database_that_hangs_costs_a_deadline_and_few_threads(settings: Settings) -> None:
    import threading

    release = threading.Event()
    database = Database(settings, deadline_s=0.05)

    def hang(_: Store) -> None:
        release.wait(30)

    for _ in range(3):
        with pytest.raises(DatabaseDownError, match="did not answer"):
            await database.call(hang)
    with pytest.raises(DatabaseDownError, match="busy"):
        await database.call(hang)
    release.set()


def test_row_the_database_refuses_is_refused_for_good(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(settings)

    def refuse(self: Store, rows: object) -> int:
        raise RowRefused("breaks a rule")

    monkeypatch.setattr(Store, "record_prediction", refuse)
    with pytest.raises(InsertRefused, match="breaks a rule"):
        database.insert([])
    with pytest.raises(InsertRefused, match="misses"):
        database.insert([{"id": 1}])


async def test_missing_local_database_is_told_so(tmp_path: Path) -> None:
    database = Database(Settings(home=tmp_path, database_url=None))
    with pytest.raises(DatabaseDownError, match="cannot be reached"):
        await database.call(lambda store: store.ping())


def test_a_model_that_cannot_be_had_is_refused_by_its_field(engine: Engine) -> None:
    request = REQUEST.model_copy(update={"model_digest": "9" * 64})
    with pytest.raises(RequestRefused, match="model_digest names a model that cannot be had") as refused:
        engine.predict(request, None)
    assert (refused.value.status, refused.value.problems[0].field) == (404, "model_digest")


def test_a_request_that_names_the_champion_before_is_answered_by_it(settings: Settings) -> None:
    versions = iter("12")
    engine = Engine(settings, lambda current: served(next(versions)))
    for _ in range(2):
        engine.champion.refresh()
    named = REQUEST.model_copy(update={"model_digest": "1" * 64})
    said = [json.loads(engine.predict(request, None))["model_version"] for request in (REQUEST, named)]
    engine.close()
    assert said == ["2", "1"]


def test_a_request_id_that_is_kept_for_shadows_is_refused_in_body_and_header(engine: Engine) -> None:
    for request, key in ((REQUEST.model_copy(update={"request_id": "shadow:1"}), None), (REQUEST, "shadow:1")):
        with pytest.raises(RequestRefused, match="kept for shadows"):
            engine.predict(request, key)


def logged(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in (folder / "logs").glob("*.log") for line in path.read_text().splitlines()]


def test_each_prediction_is_logged_once_under_its_date_and_repeated_answers_are_not(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    request = REQUEST.model_copy(update={"date": date(2022, 1, 28), "game_id": "0022190001", "request_id": "live:1"})
    body = json.loads(engine.predict(request, None))
    assert log_path(tmp_path / "logs", date(2022, 1, 28)).is_file()
    engine.predict(request, None)
    other = Engine(settings, lambda current: served("2"))
    other.champion.refresh()
    other.predict(request, "live:1")
    other.close()
    (line,) = logged(tmp_path)
    same = ("request_id", "prediction_id", "game_id", "minute", "alpha", "model_version", "calibration_id")
    assert {name: line[name] for name in same} == {name: body[name] for name in same}
    assert (line["point"], line["margin"]) == (body["point_forecast"], 1.0)
    engine.predict(REQUEST, None)
    engine.predict(REQUEST, None)
    assert len(logged(tmp_path)) == 3


def test_what_was_not_answered_is_not_logged(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestRefused):
        engine.predict(REQUEST.model_copy(update={"alpha": 1e-6}), "refused")

    def full(row: object) -> None:
        raise SpoolError("no space")

    monkeypatch.setattr(engine.spool, "append", full)
    with pytest.raises(SpoolError):
        engine.predict(REQUEST, None)
    assert logged(tmp_path) == []


def test_predictions_go_on_while_their_log_cannot_be_written(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logs").write_text("a file stands where the folder should")
    ids = {json.loads(engine.predict(REQUEST, None))["prediction_id"] for _ in range(3)}
    assert {row["id"] for row in on_disk(engine, tmp_path)} == ids
    assert sum("predictions go on" in record.getMessage() for record in caplog.records) == 1
    (tmp_path / "logs").unlink()
    engine.predict(REQUEST, None)
    assert len(logged(tmp_path)) == 1


def test_whatever_is_logged_during_a_prediction_carries_its_request_and_game(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: list[dict[str, object]] = []
    monkeypatch.setattr(engine.spool, "append", lambda row: bound.append(structlog.contextvars.get_contextvars()))
    engine.predict(REQUEST.model_copy(update={"game_id": "0022190001"}), "k")
    assert bound == [{"request_id": "k", "game_id": "0022190001"}]
    assert structlog.contextvars.get_contextvars() == {}


def test_the_trace_of_a_request_is_in_its_line_of_the_log(engine: Engine, tmp_path: Path) -> None:
    engine.predict(PredictRequest(pattern=[1.0] * 18, date=date(2026, 1, 5)), None, Ids("a" * 32))
    engine.predict(PredictRequest(pattern=[1.0] * 18, date=date(2026, 1, 5)), None)
    lines = log_path(tmp_path / "logs", date(2026, 1, 5)).read_text().splitlines()
    assert [json.loads(line)["trace_id"] for line in lines] == ["a" * 32, None]


def test_a_worker_that_serves_leaves_what_stays_out_of_later_collections(settings: Settings) -> None:
    code = (
        "import gc\n"
        "from bentos.engine import Engine\n"
        "from services.settings import Settings\n"
        "from tests.unit.bentos.test_engine import served\n"
        f"settings = Settings(home={str(settings.home)!r}, database_url={NO_DATABASE!r}, data=None)\n"
        "engine = Engine(settings, lambda current: current or served('1'))\n"
        "engine.champion.refresh()\n"
        "assert gc.get_freeze_count() == 0, 'a process that only looks is left as it is'\n"
        "engine.close()\n"
        "engine = Engine(settings, lambda current: current or served('1'))\n"
        "engine.start(wait_s=20)\n"
        "assert gc.get_freeze_count() > 10_000\n"
        "engine.close()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
