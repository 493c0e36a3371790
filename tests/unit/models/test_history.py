import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.history import COLUMNS, MARGIN_COLUMNS, POSSESSION_COLUMNS, History, HistoryError
from tests.unit.models.builders import make_history


def to_frame(history: History) -> pd.DataFrame:
    frame = pd.DataFrame(history.margins, columns=list(MARGIN_COLUMNS))
    for name in ("game_id", "season", "season_type", "home", "away"):
        frame[name] = getattr(history, name)
    frame["date"] = [day.item() for day in history.date]
    frame["diff_final"] = history.final_margin
    return frame[list(COLUMNS)]


def test_rows_in_any_order_give_the_same_history() -> None:
    history = make_history(40)
    shuffled = to_frame(history).sample(frac=1.0, random_state=3)
    again = History.from_frame(shuffled, "simulated")
    assert again.game_id.tolist() == history.game_id.tolist()
    assert np.array_equal(again.margins, history.margins)
    assert again.date.tolist() == history.date.tolist()


def test_before_leaves_out_the_day_itself() -> None:
    history = make_history(40)
    day = dt.date(2018, 10, 23)
    assert history.before(day).last_date == dt.date(2018, 10, 22)


def test_seasons_picks_by_the_year_a_season_starts() -> None:
    history = make_history(12)
    assert len(history.seasons(2018)) == 12
    assert len(history.seasons(2019)) == 0


def test_change_is_halftime_margin_less_margin_at_the_minute() -> None:
    history = make_history(8)
    assert np.array_equal(history.change(18), history.margins[:, 24] - history.margins[:, 18])


def test_arrays_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        make_history(8).margins[0, 3] = 7


def test_two_sources_are_never_mixed() -> None:
    frame = to_frame(make_history(8))
    frame["source"] = ["recorded"] * 4 + ["simulated"] * 4
    with pytest.raises(HistoryError, match="one source"):
        History.from_frame(frame)


def test_a_frame_must_say_where_its_games_come_from() -> None:
    with pytest.raises(HistoryError, match="no source"):
        History.from_frame(to_frame(make_history(8)))
    with pytest.raises(HistoryError, match="must be one of"):
        History.from_frame(to_frame(make_history(8)), "made up")


def test_a_missing_column_is_named() -> None:
    with pytest.raises(HistoryError, match="diff_07"):
        History.from_frame(to_frame(make_history(8)).drop(columns="diff_07"), "recorded")


def test_an_unfinished_game_is_named() -> None:
    frame = to_frame(make_history(8)).astype({"diff_40": float})
    frame.loc[2, "diff_40"] = float("nan")
    with pytest.raises(HistoryError, match=r"0021800003 lacks margins"):
        History.from_frame(frame, "recorded")


def test_a_game_that_comes_twice_is_named() -> None:
    frame = to_frame(make_history(8))
    with pytest.raises(HistoryError, match="0021800001 comes more than once"):
        History.from_frame(pd.concat([frame, frame.head(1)]), "recorded")


def test_a_game_that_does_not_start_at_zero_is_refused() -> None:
    frame = to_frame(make_history(8))
    frame.loc[0, "diff_00"] = 2
    with pytest.raises(HistoryError, match="starts at margin 2"):
        History.from_frame(frame, "recorded")


def test_an_empty_history_has_no_dates() -> None:
    with pytest.raises(HistoryError, match="no dates"):
        _ = make_history(8).take(slice(0, 0)).last_date


def test_possession_is_read_where_the_frame_tells_it() -> None:
    history = make_history(8)
    frame = to_frame(history)
    assert not History.from_frame(frame, "recorded").possession.any()
    frame = frame.join(pd.DataFrame(history.possession, columns=list(POSSESSION_COLUMNS)))
    shuffled = frame.sample(frac=1.0, random_state=3)
    assert np.array_equal(History.from_frame(shuffled, "recorded").possession, history.possession)
    assert np.array_equal(history.take(slice(2, 4)).possession, history.possession[2:4])
    with pytest.raises(HistoryError, match="23 of 24 possession columns"):
        History.from_frame(frame.drop(columns="poss_09"), "recorded")
    frame.loc[3, "poss_05"] = 2
    with pytest.raises(HistoryError, match="0021800004 has a possession other than"):
        History.from_frame(frame, "recorded")


def test_recorded_games_load(recorded: Path) -> None:
    history = History.from_frame(pd.read_parquet(recorded / "games.parquet"), "recorded")
    assert len(history) == 12812
    assert (history.first_date, history.last_date) == (dt.date(2013, 10, 29), dt.date(2023, 6, 12))
