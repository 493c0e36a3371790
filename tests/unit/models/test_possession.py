"""Who has the ball at a minute mark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.history import History
from models.history_frame import recorded_held
from models.possession import Kind, possessions

HOME, AWAY, NOBODY = 1, -1, 0
Told = tuple[int, float, Kind, int]  # period, t, kind, side


def held(*games: list[Told]) -> list[list[int]]:
    rows = [(number, *play) for number, game in enumerate(games) for play in game]
    game, period, t, kind, side = np.array(rows).reshape(-1, 5).T
    whole = [column.astype(np.int64) for column in (game, period, kind, side)]
    answer: list[list[int]] = possessions(whole[0], whole[1], t, whole[2], whole[3], len(games)).tolist()
    return answer


def after(*plays: Told) -> list[int]:
    """Of one game."""
    return held(list(plays))[0]


def by_hand(plays: list[Told]) -> list[int]:
    """The rule play by play, as one would tell it."""
    had = (Kind.MADE_SHOT, Kind.MISSED_SHOT, Kind.MADE_FREE_THROW, Kind.MISSED_FREE_THROW, Kind.TURNOVER)
    first = next((side for period, _, kind, side in plays if period == 1 and side and kind in had), 0)
    marks = []
    for minute in range(24):
        quarter = 1 if minute < 12 else 2
        ball = held_there = 0 if quarter == 1 else -first
        for period, t, kind, side in plays:
            if period != quarter:
                continue
            if kind in (Kind.MISSED_SHOT, Kind.MISSED_FREE_THROW, Kind.JUMP_BALL):
                ball = 0
            elif kind is Kind.TURNOVER and not side:
                ball = -ball
            elif kind is Kind.OTHER or not side:
                continue
            else:
                ball = side if kind is Kind.REBOUND else -side
            if t <= 60 * minute and minute not in (0, 12):
                held_there = ball
        marks.append(held_there)
    return marks


@pytest.mark.parametrize(
    ("kind", "then"),
    [
        (Kind.MADE_SHOT, AWAY),
        (Kind.MADE_FREE_THROW, AWAY),
        (Kind.FOUL, AWAY),
        (Kind.TURNOVER, AWAY),
        (Kind.REBOUND, HOME),
        (Kind.MISSED_SHOT, NOBODY),
        (Kind.MISSED_FREE_THROW, NOBODY),
        (Kind.JUMP_BALL, NOBODY),
        (Kind.OTHER, HOME),
    ],
)
def test_what_the_home_team_does_decides_who_has_it_next(kind: Kind, then: int) -> None:
    assert after((1, 20.0, Kind.REBOUND, HOME), (1, 50.0, kind, HOME))[1] == then


def test_a_turnover_or_rebound_without_a_team_is_the_last_holders() -> None:
    assert after((1, 20.0, Kind.REBOUND, HOME), (1, 50.0, Kind.TURNOVER, NOBODY))[1:3] == [AWAY, AWAY]
    assert after((1, 20.0, Kind.REBOUND, HOME), (1, 50.0, Kind.REBOUND, NOBODY))[1] == HOME
    assert after((1, 20.0, Kind.MISSED_SHOT, HOME), (1, 50.0, Kind.TURNOVER, NOBODY))[1] == NOBODY


def test_a_play_on_the_mark_counts_and_one_after_it_does_not() -> None:
    game = after((1, 60.0, Kind.MADE_SHOT, AWAY), (1, 120.1, Kind.MADE_SHOT, HOME))
    assert game[:4] == [NOBODY, HOME, HOME, AWAY]


def test_the_team_without_the_first_possession_starts_the_second_period() -> None:
    opened = [(1, 5.0, Kind.JUMP_BALL, HOME), (1, 9.0, Kind.FOUL, HOME), (1, 9.0, Kind.MADE_FREE_THROW, AWAY)]
    game = after(*opened, (1, 720.0, Kind.MISSED_SHOT, AWAY), (2, 790.0, Kind.MADE_SHOT, HOME))
    assert game[12:15] == [HOME, HOME, AWAY]


def test_a_late_entry_belongs_to_the_period_it_names() -> None:
    game = after((1, 30.0, Kind.TURNOVER, HOME), (2, 750.0, Kind.REBOUND, HOME), (1, 700.0, Kind.MADE_SHOT, HOME))
    assert game[11:14] == [AWAY, AWAY, HOME]
    assert after((1, 30.0, Kind.TURNOVER, HOME), (1, 650.0, Kind.REBOUND, AWAY))[11:13] == [AWAY, AWAY]


def test_a_game_without_plays_is_unknown_throughout() -> None:
    assert after() == [NOBODY] * 24
    assert held([], [(1, 30.0, Kind.REBOUND, HOME)]) == [[0] * 24, [0, *[1] * 11, *[0] * 12]]


plays = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(0, 7200).map(lambda tenths: tenths / 10),
        st.sampled_from(list(Kind)),
        st.sampled_from([HOME, AWAY, NOBODY]),
    ).map(lambda play: (play[0], (play[0] - 1) * 720 + play[1], play[2], play[3])),
    max_size=40,
)


@given(st.lists(plays, min_size=1, max_size=4))
def test_many_games_at_once_are_each_game_told_by_hand(games: list[list[Told]]) -> None:
    assert held(*games) == [by_hand(game) for game in games]


def test_recorded_possession_is_worth_about_half_a_point(recorded: Path) -> None:
    games = pd.read_parquet(recorded / "games.parquet")
    games = games[games["season"] == 2022]
    held_by = recorded_held(pd.read_parquet(recorded / "plays_2022.parquet"), games)
    history = History.from_frame(games, "recorded")
    ordered = held_by[pd.Index(games["game_id"]).get_indexer(pd.Index(history.game_id))]
    worth = []
    for minute in range(1, 24):
        lead, change = history.margins[:, minute].astype(float), history.change(minute).astype(float)
        columns = np.column_stack([np.ones(len(lead)), lead, ordered[:, minute]])
        worth.append(np.linalg.lstsq(columns, change, rcond=None)[0][2])
    assert 0.35 < np.mean(worth) < 0.65
    assert (ordered[:, 1:] != 0).mean() > 0.85
