"""Rows of docs/brief-defects.md about what an answer says, leaves behind and keeps to itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bentos import forecaster
from bentos.answering import ServedModel
from bentos.champion import NoModelError
from bentos.contracts import PredictRequest, RequestRefused
from bentos.edge import ARRIVAL, Arrival
from bentos.engine import Engine
from services.settings import Settings
from tests.support.running_forecaster import NO_DATABASE
from tests.support.small_model import small_ensemble

REQUEST = PredictRequest(pattern=[1.0] * 18)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    model = ServedModel("17", "a" * 64, small_ensemble(minutes=(18,)), "a test")
    made = Engine(Settings(home=tmp_path, database_url=NO_DATABASE, data=None), lambda current: current or model)
    made.champion.refresh()
    yield made
    made.close()


@pytest.fixture
def arrived() -> Iterator[str]:
    token = ARRIVAL.set(Arrival("the-id", None))
    yield "the-id"
    ARRIVAL.reset(token)


def rows(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in (home / "spool").glob("*.jsonl") for line in path.read_text().splitlines()]


def numbers(value: object) -> Iterator[object]:
    """Every leaf of a JSON value that is no text."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from numbers(one)
    elif not isinstance(value, str) and value is not None:
        yield value


def test_answer_and_row_tell_one_time_in_utc(engine: Engine, tmp_path: Path) -> None:
    body = json.loads(engine.predict(REQUEST, None))
    (row,) = rows(tmp_path)
    told = datetime.fromisoformat(body["timestamp"])
    assert datetime.fromisoformat(row["created_at"]) == told
    assert told.utcoffset() is not None
    assert body["timestamp"].endswith("Z")


def test_answer_and_row_carry_version_and_digest_of_the_model_that_answered(engine: Engine, tmp_path: Path) -> None:
    body = json.loads(engine.predict(REQUEST, None))
    (row,) = rows(tmp_path)
    for told in (body, row):
        assert (told["model_version"], told["model_digest"]) == ("17", "a" * 64)
        assert told["calibration_id"]
        assert told["code_version"]


def test_answer_and_row_tell_the_same_forecast(engine: Engine, tmp_path: Path) -> None:
    body = json.loads(engine.predict(REQUEST, None))
    (row,) = rows(tmp_path)
    told = (body["point_forecast"], body["interval_lower"], body["interval_upper"])
    assert (row["point"], row["lower"], row["upper"]) == told
    assert (row["id"], row["request_id"]) == (body["prediction_id"], body["request_id"])


def test_a_forecast_is_plain_numbers_whose_json_is_the_same_bits(engine: Engine) -> None:
    forecast = engine.champion.model.ensemble.forecast(REQUEST.pattern, 18, 0.05, None)
    leaves = [forecast.point, forecast.interval.lower, forecast.interval.upper, forecast.alpha]
    leaves += [forecast.components.dejavu, forecast.components.lstm, forecast.components.persistence]
    assert {type(one) for one in leaves} == {float}
    for game in forecast.similar:
        assert {type(one) for one in (*game.pattern, *game.path, game.change, game.margin_24)} == {int}
    body = json.loads(engine.predict(REQUEST, None))
    assert [body["point_forecast"], body["interval_lower"], body["interval_upper"]] == leaves[:3]
    assert {type(one) for one in numbers(body)} <= {float, int}


def test_a_prediction_without_a_game_is_served_and_durable(engine: Engine, tmp_path: Path) -> None:
    body = json.loads(engine.predict(REQUEST, None))
    (row,) = rows(tmp_path)
    assert (body["game_id"], row["game_id"]) == (None, None)


def test_a_refusal_keeps_its_status_and_sentence(arrived: str) -> None:
    answer = forecaster.failure(RequestRefused(409, "Use a new id."))
    assert answer.status_code == 409
    assert json.loads(bytes(answer.body)) == {"error": "Use a new id.", "detail": [], "request_id": arrived}


def test_a_fault_shows_an_id_and_nothing_of_its_cause(arrived: str, caplog: pytest.LogCaptureFixture) -> None:
    cause = RuntimeError('(psycopg2.OperationalError) password "hunter2" for user "halftime" at 10.0.0.7')
    answer = forecaster.failure(cause)
    assert answer.status_code == 500
    text = bytes(answer.body).decode()
    assert arrived in text
    for leak in ("psycopg2", "hunter2", "halftime", "10.0.0.7", "RuntimeError", "Traceback"):
        assert leak not in text
    assert "hunter2" in caplog.text, "the reason is in the log"


def test_what_will_pass_is_503_with_a_time_to_come_back(arrived: str) -> None:
    answer = forecaster.failure(NoModelError("no model is loaded yet"))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
