"""Rows as types and as JSON, without a database."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.game_rows import season_of
from services.store import PredictionRow, RowRefused, UpsertCounts
from tests.support.rows import prediction_row

FINITE = st.floats(-100, 100)


@given(pattern=st.lists(FINITE, min_size=18, max_size=18), point=FINITE)
def test_a_row_survives_json_to_the_bit(pattern: list[float], point: float) -> None:
    row = prediction_row(pattern=tuple(pattern), point=point, lower=point - 1, upper=point + 1)
    assert PredictionRow.from_json(json.loads(json.dumps(row.to_json()))) == row


@pytest.mark.parametrize(
    "wrong", [{"id": "7"}, {"created_at": "yesterday"}, {"pattern": None}, {"pattern": ["x"]}, {"colour": "red"}]
)
def test_what_is_no_row_is_refused_with_its_field(wrong: dict[str, object]) -> None:
    with pytest.raises(RowRefused, match=r"colour|prediction"):
        PredictionRow.from_json(prediction_row(id=uuid4()).to_json() | wrong)


def test_counts_add_up() -> None:
    assert UpsertCounts(1, 2, 3, 4) + UpsertCounts(4, 3, 2, 1) == UpsertCounts(5, 5, 5, 5)


@pytest.mark.parametrize(
    ("game_id", "season"), [("0011300001", (2013, "preseason")), ("0049900101", (1999, "playoffs")),
                            ("0052300101", (2023, "playin")), ("0062300001", (2023, "cup"))],
)  # fmt: skip
def test_a_game_id_spells_its_season(game_id: str, season: tuple[int, str]) -> None:
    assert season_of(game_id) == season
