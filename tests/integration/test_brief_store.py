"""Rows of docs/brief-defects.md that only a real PostgreSQL can show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, inspect, text

from services.store import Store, StoreError
from tests.support.rows import GAME, game_row, prediction_row


def test_a_stored_prediction_is_counted_and_seen_by_another_program(store: Store, database_url: str) -> None:
    row = prediction_row()
    other = create_engine(database_url)
    with other.connect() as connection:
        seen = text("SELECT count(*) FROM predictions WHERE id = :id")
        assert connection.execute(seen, {"id": row.id}).scalar_one() == 0
        assert store.record_prediction([row]) == 1
        assert store.record_prediction([row]) == 0, "new rows are counted, not assumed"
        assert connection.execute(seen, {"id": row.id}).scalar_one() == 1
    other.dispose()


def test_every_promised_table_is_there_without_anybody_asking_for_ddl(database_url: str) -> None:
    engine = create_engine(database_url)
    tables = set(inspect(engine).get_table_names())
    engine.dispose()
    assert {"predictions", "actuals", "model_performance"} <= tables


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("field", ["point", "lower", "upper", "alpha"])
def test_a_numpy_number_that_slipped_through_is_a_named_error_and_no_row(store: Store, kind: Any, field: str) -> None:
    plain = prediction_row()
    row = prediction_row(id=plain.id, **{field: kind(getattr(plain, field))})
    with pytest.raises(StoreError, match="refused"):
        store.record_prediction([row])
    assert store.prediction(plain.id) is None
    assert store.record_prediction([plain]) == 1, "the same row in plain numbers is taken"


def test_an_outcome_of_a_numpy_type_is_a_named_error_and_no_row(store: Store) -> None:
    store.upsert_games([game_row()])
    outcome: Any = np.int64(3)
    with pytest.raises(StoreError, match="refused"):
        store.record_actual(GAME, outcome, source="feed")
    assert store.latest_actual(GAME) is None


def test_a_prediction_without_a_game_is_stored(store: Store) -> None:
    row = prediction_row(None)
    assert store.record_prediction([row]) == 1
    stored = store.prediction(row.id)
    assert stored is not None
    assert stored.game_id is None


def test_the_time_answered_is_the_time_stored_whatever_zone_the_reader_is_in(store: Store, database_url: str) -> None:
    row = prediction_row()
    store.record_prediction([row])
    other = create_engine(database_url, connect_args={"options": "-c timezone=Asia/Tokyo"})
    with other.connect() as connection:
        query = text("SELECT created_at FROM predictions WHERE id = :id")
        assert connection.execute(query, {"id": row.id}).scalar_one() == row.created_at
    other.dispose()
