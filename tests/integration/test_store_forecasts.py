"""Predictions, forecasts of every minute and dispositions on the real PostgreSQL."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.store import Outcome, PredictionRow, RowRefused, Store, StoreError, UnknownGame
from tests.support.rows import GAME, at_minute, forecast_row, game_row, identity, prediction_row


@pytest.fixture
def known(store: Store) -> Store:
    store.upsert_games([game_row()])
    return store


def count(store: Store, table: str) -> int:
    with store.engine.begin() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_logged_prediction_is_really_there(known: Store) -> None:
    row = prediction_row()
    assert known.record_prediction([row]) == 1
    assert known.prediction(row.id) == row
    assert known.prediction_of_request(row.request_id) == row


def test_recording_a_prediction_again_changes_nothing(known: Store) -> None:
    first, second = prediction_row(), prediction_row(None, home=None, away=None)
    assert known.record_prediction([first, second]) == 2
    assert known.record_prediction([second.to_json(), first.to_json()]) == 0
    assert count(known, "predictions") == 2


def test_floats_come_back_with_the_same_bits(known: Store) -> None:
    row = prediction_row(point=0.1 + 0.2, lower=-1 / 3, upper=math.pi, pattern=tuple(m / 7 for m in range(18)))
    known.record_prediction([row])
    back = known.prediction(row.id)
    assert back is not None
    assert (back.point, back.lower, back.upper, back.pattern) == (row.point, row.lower, row.upper, row.pattern)


@pytest.mark.parametrize(
    "wrong",
    [
        {"point": math.nan}, {"lower": -math.inf}, {"upper": 1e308}, {"lower": 5.0}, {"upper": 4.0}, {"alpha": 1.0},
        {"alpha": math.nan}, {"pattern": (1.0,) * 17}, {"pattern": (math.nan,) * 18}, {"pattern": (101.0,) * 18},
        {"minute": 24, "pattern": (1.0,) * 24}, {"game_id": "002220078"}, {"game_id": "0022200781\n"}, {"home": "Bos"},
        {"model_digest": ""}, {"calibration_id": ""}, {"context": {"x": math.nan}}, {"request_id": ""},
    ],
)  # fmt: skip
def test_nonsense_is_refused_whatever_the_caller_checked(known: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(RowRefused):
        known.record_prediction([prediction_row(**wrong)])
    assert count(known, "predictions") == 0


def test_a_prediction_without_a_field_names_it(known: Store) -> None:
    values = prediction_row().to_json()
    del values["model_digest"]
    with pytest.raises(RowRefused, match="model_digest"):
        known.record_prediction([values])


def test_the_first_official_forecast_is_recorded_and_the_second_finds_it(known: Store) -> None:
    first = known.record_forecast(prediction_row(), forecast_row())
    second = known.record_forecast(prediction_row(), forecast_row())
    assert (first.outcome, second.outcome) == (Outcome.RECORDED, Outcome.ALREADY)
    assert (second.prediction_id, second.forecast_id) == (first.prediction_id, first.forecast_id)
    assert second.committed_at == first.committed_at
    assert known.disposition(GAME) == "forecast"


def test_official_and_spool_agree_on_one_prediction_row(known: Store) -> None:
    spooled = prediction_row(request_id="official:1")
    known.record_prediction([spooled])
    result = known.record_forecast(prediction_row(request_id="official:1"), forecast_row())
    assert result.prediction_id == spooled.id
    assert count(known, "predictions") == 1


def test_a_revision_stands_above_the_first_forecast(known: Store) -> None:
    known.record_forecast(prediction_row(), forecast_row())
    known.record_forecast(prediction_row(point=6.0), forecast_row(revision=1, persistence=5))
    latest = known.latest_forecast(GAME)
    assert latest is not None
    assert (latest.revision, latest.persistence, latest.prediction.point) == (1, 5, 6.0)
    assert count(known, "forecasts") == 2


def test_forecasts_of_other_minutes_stand_beside_the_official_one_and_decide_nothing(known: Store) -> None:
    for minute in (0, 7, 23):
        result = known.record_forecast(*at_minute(minute))
        assert (result.outcome, result.disposition) == (Outcome.RECORDED, None)
    assert known.disposition(GAME) is None
    assert known.latest_forecast(GAME) is None
    known.record_forecast(prediction_row(), forecast_row())
    standing = [known.latest_forecast(GAME, minute) for minute in (0, 7, 18, 23)]
    assert [each and (each.minute, each.persistence, len(each.pattern)) for each in standing] == [
        (0, 0, 0), (7, 3, 7), (18, 3, 18), (23, 3, 23),
    ]  # fmt: skip
    assert count(known, "forecasts") == 4
    assert count(known, "official_forecasts") == 1


@pytest.mark.parametrize("minute", [7, 18])
def test_an_attempt_repeated_across_a_change_of_champion_finds_the_first_forecast(known: Store, minute: int) -> None:
    pattern = (3.0,) * minute
    first = known.record_forecast(prediction_row(minute=minute, pattern=pattern), at_minute(minute)[1])
    changed = prediction_row(minute=minute, pattern=pattern, model_version="4", calibration_id="cal-2", point=9.0)
    again = known.record_forecast(changed, at_minute(minute)[1])
    assert (again.outcome, again.forecast_id) == (Outcome.ALREADY, first.forecast_id)
    standing = known.latest_forecast(GAME, minute)
    assert standing is not None
    assert standing.prediction.model_version == "3"
    revised = known.record_forecast(changed, forecast_row(minute=minute, revision=1))
    assert revised.outcome is Outcome.RECORDED
    with known.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT revision, model_version, calibration_id, role FROM forecasts ORDER BY id")
        )
        assert rows.all() == [(0, "3", "cal-1", "champion"), (1, "4", "cal-2", "champion")]


def test_a_minute_is_not_forecast_any_more_once_the_outcome_is_known(known: Store) -> None:
    known.record_forecast(prediction_row(), forecast_row())
    known.record_actual(GAME, 5, source="feed", state="provisional")
    assert known.record_forecast(*at_minute(23)).outcome is Outcome.REFUSED
    assert count(known, "forecasts") == 1


@pytest.mark.parametrize("decided", ["missed", "void"])
def test_a_game_decided_otherwise_gets_no_forecast_of_any_minute(known: Store, decided: str) -> None:
    known.record_disposition(GAME, decided, "postponed")
    result = known.record_forecast(*at_minute(7))
    assert (result.outcome, result.disposition) == (Outcome.REFUSED, decided)
    assert count(known, "forecasts") == 0


def test_a_challenger_may_stand_beside_the_champion_and_is_not_what_stands(known: Store) -> None:
    known.record_forecast(*at_minute(7))
    shadow = prediction_row(minute=7, pattern=(3.0,) * 7, model_version="4")
    known.record_prediction([shadow])
    add = (
        "INSERT INTO forecasts (game_id, minute, revision, role, prediction_id, model_version, calibration_id,"
        " tick_digest, persistence, forecast_at) SELECT game_id, minute, 0, :role, id, model_version, calibration_id,"
        " repeat('ab', 16), 3, now() FROM predictions WHERE model_version = '4'"
    )
    with known.engine.begin() as connection:
        connection.execute(text(add), {"role": "shadow"})
    for role in ("champion", "shadow"):
        with pytest.raises(IntegrityError), known.engine.begin() as connection:
            connection.execute(text(add), {"role": role})
    with pytest.raises(IntegrityError, match="forecasts_role_check"), known.engine.begin() as connection:
        connection.execute(text(add), {"role": "judge"})
    standing = known.latest_forecast(GAME, 7)
    assert standing is not None
    assert standing.prediction.model_version == "3"


def test_no_official_forecast_is_none(known: Store) -> None:
    assert known.latest_forecast(GAME) is None
    assert known.disposition(GAME) is None


def test_an_official_forecast_of_another_game_than_its_prediction_is_refused(known: Store) -> None:
    with pytest.raises(RowRefused, match="names a prediction"):
        known.record_forecast(prediction_row("0022200782"), forecast_row())


def test_an_unknown_game_is_named(store: Store) -> None:
    with pytest.raises(UnknownGame, match=GAME):
        store.record_forecast(prediction_row(), forecast_row())
    with pytest.raises(UnknownGame):
        store.record_missed(GAME, "late")
    assert count(store, "predictions") == 0


@pytest.mark.parametrize("decided", ["missed", "void"])
def test_a_game_decided_otherwise_gets_no_official_forecast(known: Store, decided: str) -> None:
    assert known.record_disposition(GAME, decided, "no snapshot before the half") == (decided, True)
    result = known.record_forecast(prediction_row(), forecast_row())
    assert (result.outcome, result.disposition, result.forecast_id) == (Outcome.REFUSED, decided, None)
    assert count(known, "forecasts") == 0
    assert count(known, "predictions") == 1, "the prediction was served, so it stays"


def test_a_forecast_game_cannot_become_missed(known: Store) -> None:
    known.record_forecast(prediction_row(), forecast_row())
    assert known.record_missed(GAME, "late") == "forecast"


def test_forecast_is_no_disposition_by_itself(known: Store) -> None:
    with pytest.raises(RowRefused):
        known.record_disposition(GAME, "forecast", "said so")


def test_twenty_racing_official_forecasts_leave_one_row(known: Store) -> None:
    barrier = Barrier(20)

    def issue(number: int) -> Any:
        barrier.wait()
        return known.record_forecast(prediction_row(id=identity(number + 1)), forecast_row())

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(issue, range(20)))
    assert Counter(result.outcome for result in results) == {Outcome.RECORDED: 1, Outcome.ALREADY: 19}
    assert len({result.prediction_id for result in results}) == 1
    assert (count(known, "forecasts"), count(known, "dispositions")) == (1, 1)


def test_missed_and_forecast_race_to_exactly_one_disposition(known: Store) -> None:
    for number in range(8):
        game = f"00222008{number:02d}"
        known.upsert_games([game_row(game)])
        barrier = Barrier(4)

        def forecast(game: str = game, barrier: Barrier = barrier) -> str:
            barrier.wait()
            return known.record_forecast(prediction_row(game), forecast_row(game)).disposition

        def miss(game: str = game, barrier: Barrier = barrier) -> str:
            barrier.wait()
            return known.record_missed(game, "late")

        with ThreadPoolExecutor(4) as pool:
            racing = [pool.submit(act) for act in (forecast, miss, forecast, miss)]
            told = {future.result() for future in racing}
        assert len(told) == 1, "everybody is told the same"
        official = known.latest_forecast(game)
        assert (official is not None) == (told == {"forecast"})


def test_racing_drains_of_the_same_rows_store_each_once(known: Store) -> None:
    rows = [prediction_row(id=identity(number + 1)) for number in range(50)]
    with ThreadPoolExecutor(6) as pool:
        stored = list(pool.map(lambda turn: known.record_prediction(rows[::-1] if turn % 2 else rows), range(6)))
    assert sum(stored) == 50
    assert count(known, "predictions") == 50


@pytest.mark.parametrize("table", ["predictions", "forecasts", "dispositions"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "TRUNCATE {} CASCADE", "UPDATE {} SET game_id = game_id"])
def test_what_was_forecast_cannot_be_rewritten(known: Store, table: str, change: str) -> None:
    known.record_forecast(prediction_row(), forecast_row())
    with pytest.raises(Exception, match="append-only"), known.engine.begin() as connection:
        connection.execute(text(change.format(table)))
    assert count(known, table) == 1


def test_rows_read_from_json_need_a_time_zone() -> None:
    values = prediction_row().to_json() | {"created_at": "2023-02-03T12:00:00"}
    with pytest.raises(RowRefused, match="time zone"):
        PredictionRow.from_json(values)


def test_a_hostile_request_id_stays_text(known: Store) -> None:
    row = prediction_row(request_id="'; DROP TABLE predictions; --")
    known.record_prediction([row])
    assert known.prediction_of_request(row.request_id) == row


def test_a_nul_character_is_refused_not_an_internal_error(known: Store) -> None:
    with pytest.raises(StoreError):
        known.record_prediction([prediction_row(request_id="a\x00b")])
