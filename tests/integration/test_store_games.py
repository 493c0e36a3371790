"""Games on the real PostgreSQL: schedule, history, one path for both."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from models.history import History
from services.game_rows import season_of
from services.history import recorded_games
from services.store import RowRefused, Store, UpsertCounts, game_rows
from tests.support.rows import GAME, NIGHT, game_row, history_row


def test_loading_again_changes_nothing(store: Store) -> None:
    rows = [game_row(), history_row("0022200782")]
    assert store.upsert_games(rows) == UpsertCounts(inserted=2)
    with store.engine.begin() as connection:
        before = connection.execute(text("SELECT * FROM games ORDER BY game_id")).all()
    assert store.upsert_games(rows) == UpsertCounts(unchanged=2)
    with store.engine.begin() as connection:
        assert connection.execute(text("SELECT * FROM games ORDER BY game_id")).all() == before


def test_a_game_reads_back_as_it_was_written(store: Store) -> None:
    row = history_row(tip_at=datetime(2023, 2, 4, 0, 30, tzinfo=UTC))
    store.upsert_games([asdict(row)])
    assert store.game(GAME) == row
    assert store.game("0022200999") is None


def test_history_fills_a_scheduled_game_and_the_schedule_does_not_empty_it(store: Store) -> None:
    store.upsert_schedule(game_id=GAME, source="recorded", league_date=NIGHT, home="BOS", away="PHX")
    assert store.upsert_games([history_row()]) == UpsertCounts(updated=1)
    again = store.upsert_schedule(game_id=GAME, source="recorded", league_date=NIGHT, home="BOS", away="PHX")
    assert again == UpsertCounts(unchanged=1)
    assert store.game(GAME) == history_row()


def test_a_game_status_only_moves_forward(store: Store) -> None:
    store.upsert_games([game_row(status="live")])
    assert store.upsert_games([game_row(status="scheduled")]) == UpsertCounts(unchanged=1)
    assert store.upsert_games([game_row(status="final")]) == UpsertCounts(updated=1)
    found = store.game(GAME)
    assert found is not None
    assert found.status == "final"


def test_history_of_two_sources_is_never_mixed_in_one_game(store: Store) -> None:
    store.upsert_games([history_row()])
    archive = history_row(source="archive", home_24=41, away_24=65)
    assert store.upsert_games([archive]) == UpsertCounts(other_source=1)
    assert store.game(GAME) == history_row()


def test_a_stopped_load_goes_on_where_it_was(store: Store) -> None:
    rows = [history_row(f"00222{number:05d}") for number in range(1, 2501)]
    broken = iter([*rows[:1700], replace(rows[1700], home="boston")])
    with pytest.raises(RowRefused, match="games_home_check"):
        store.upsert_games(broken)
    assert store.history_count("recorded") == 1000
    assert store.upsert_games(rows) == UpsertCounts(inserted=1500, unchanged=1000)


def test_a_game_that_comes_twice_is_named(store: Store) -> None:
    with pytest.raises(RowRefused, match=GAME):
        store.upsert_games([game_row(), game_row()])


@pytest.mark.parametrize(
    "wrong",
    [
        {"game_id": "0072200781"}, {"home": "PHX"}, {"source": "guessed"}, {"season": 22}, {"final_margin": 9},
        {"home_24": 41}, {"margins": (0,) * 48}, {"margins": (1,) * 49}, {"n_periods": 3}, {"final_margin": None},
    ],
)  # fmt: skip
def test_a_game_that_contradicts_itself_is_refused(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(RowRefused):
        store.upsert_games([history_row(**wrong)])


def test_racing_loaders_do_not_deadlock(store: Store) -> None:
    rows = [history_row(f"00222{number:05d}") for number in range(1, 301)]
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda turn: store.upsert_games(rows[::-1] if turn % 2 else rows), range(4)))
    assert sum(one.inserted for one in counts) == 300


def test_history_frame_ends_before_the_date_asked(store: Store) -> None:
    store.upsert_games(
        [history_row(), history_row("0022200700", league_date=date(2023, 1, 30)), game_row("0022200999")]
    )
    frame = store.history_frame("recorded", before=NIGHT)
    assert frame["game_id"].tolist() == ["0022200700"]
    assert store.history_frame("recorded")["game_id"].tolist() == ["0022200700", GAME]
    assert store.history_frame("archive").empty
    assert store.history_counts() == {"recorded": 2}


def test_the_slate_is_one_league_date(store: Store) -> None:
    store.upsert_games([game_row(), game_row("0022200782"), game_row("0022200700", league_date=date(2023, 1, 30))])
    assert [game.game_id for game in store.games_on(NIGHT)] == [GAME, "0022200782"]
    assert store.games_on(NIGHT, "simulated") == []


def test_a_game_id_spells_its_season() -> None:
    assert season_of("0022200781") == (2022, "regular")
    assert season_of("0041900101") == (2019, "playoffs")
    assert season_of("0029900001") == (1999, "regular")


def test_possession_is_kept_and_a_poll_never_empties_it(store: Store) -> None:
    held = (0, *[1, -1, 0] * 7, 1, -1)
    store.upsert_games([history_row(possession=held), history_row("0022200700")])
    store.upsert_schedule(game_id=GAME, source="recorded", league_date=NIGHT, home="BOS", away="PHX", status="live")
    kept = store.game(GAME)
    assert kept is not None
    assert kept.possession == held
    history = History.from_frame(store.history_frame("recorded"))
    assert history.game_id.tolist() == ["0022200700", GAME]
    assert history.possession.tolist() == [[0] * 24, list(held)]


@pytest.mark.parametrize("wrong", [(0,) * 23, (1,) * 24, (0, 2, *[0] * 22)])
def test_possession_that_is_none_is_refused(store: Store, wrong: tuple[int, ...]) -> None:
    with pytest.raises(RowRefused, match="possession"):
        store.upsert_games([history_row(possession=wrong)])


def test_a_history_loaded_again_gains_its_possession(store: Store) -> None:
    store.upsert_games([history_row()])
    assert store.upsert_games([history_row(possession=(0, *[1] * 23))]) == UpsertCounts(updated=1)
    assert store.upsert_games([history_row(possession=(0, *[1] * 23))]) == UpsertCounts(unchanged=1)


def test_recorded_history_survives_the_database_unchanged(store: Store, recorded: Path) -> None:
    original = recorded_games(recorded)
    counts = store.upsert_games(game_rows(original, "recorded"))
    assert counts == UpsertCounts(inserted=len(original))
    back = store.history_frame("recorded")
    expected = original.sort_values(["date", "game_id"]).reset_index(drop=True)
    assert set(original.columns) | {"source"} == set(back.columns)
    for name in original.columns:
        assert back[name].tolist() == expected[name].tolist(), name
    assert len(History.from_frame(back)) == len(original)
