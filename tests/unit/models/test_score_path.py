"""From plays to minute margins, and which scores are believed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.score_path import Fault, Plays, ScorePath, score_path

NAN = float("nan")


def plays(
    *rows: tuple[int, float, float, float], points: list[tuple[int, int]] | None = None, review: int = -1
) -> Plays:
    """Rows are (period, t, home, away); without ``points`` they are what the score shown implies."""
    period, t, home, away = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    if points is None:
        points = [(int(h), int(a)) for h, a in zip(np.diff(home, prepend=0), np.diff(away, prepend=0), strict=True)]
    return Plays(
        period=period.astype(np.int64),
        t=t,
        home=home,
        away=away,
        home_points=np.array([h for h, _ in points], dtype=np.int64),
        away_points=np.array([a for _, a in points], dtype=np.int64),
        review=np.arange(len(rows)) == review,
    )


def path(told: ScorePath | Fault) -> ScorePath:
    assert isinstance(told, ScorePath)
    return told


def test_a_play_exactly_on_the_mark_counts_for_it() -> None:
    told = path(score_path(plays((1, 60, 2, 0), (1, 61, 2, 3), (4, 2880, 4, 3))))
    assert told.margins[:3].tolist() == [0, 2, -1]


def test_a_play_at_the_start_of_a_period_does_not_count_for_the_one_before() -> None:
    told = path(score_path(plays((1, 720, 2, 0), (2, 720, 5, 0), (4, 2880, 6, 0))))
    assert told.margins[11:14].tolist() == [0, 2, 5]


def test_the_score_stays_where_no_play_shows_one() -> None:
    told = path(score_path(plays((1, 30, 2, 0), (1, 90, NAN, NAN), (4, 2880, 2, 3), points=[(2, 0), (0, 0), (0, 3)])))
    assert told.margins[1:3].tolist() == [2, 2]
    assert (told.home, told.away, told.periods, told.repaired) == (2, 3, 4, False)


def test_overtime_is_beyond_the_last_mark() -> None:
    told = path(score_path(plays((4, 2880, 90, 90), (5, 3180, 93, 90), points=[(90, 90), (3, 0)])))
    assert told.margins[48] == 0
    assert (told.home - told.away, told.periods) == (3, 5)


def test_a_jump_of_more_than_three_is_told_again_from_the_baskets() -> None:
    rows = [(1, 30, 2, 0), (1, 60, 20, 0), (1, 90, 4, 0), (4, 2880, 4, 2)]
    told = path(score_path(plays(*rows, points=[(2, 0), (2, 0), (0, 0), (0, 2)])))  # type: ignore[arg-type]
    assert told.repaired
    assert told.margins[1] == 4


def test_a_corrupt_score_that_the_baskets_do_not_confirm_is_left_out() -> None:
    rows = [(1, 30, 2, 0), (1, 60, 20, 0), (4, 2880, 20, 2)]
    assert score_path(plays(*rows, points=[(2, 0), (2, 0), (0, 2)])) is Fault.CORRUPT_SCORE  # type: ignore[arg-type]


def test_points_taken_back_are_believed_after_a_review_only() -> None:
    rows = ((1, 30, 3, 0), (1, 31, NAN, NAN), (1, 40, 2, 0), (4, 2880, 2, 4))
    rows = (*rows[:3], (2, 900, 2, 2), rows[3])
    points = [(3, 0), (0, 0), (0, 0), (0, 2), (0, 2)]
    reviewed = path(score_path(plays(*rows, points=points, review=1)))
    assert not reviewed.repaired
    assert reviewed.margins[1] == 2
    assert score_path(plays(*rows, points=points)) is Fault.CORRUPT_SCORE


@pytest.mark.parametrize(
    "rows",
    [
        [(1, 30.0, 2.0, 0.0)],
        [(4, 2880.0, 90.0, 90.0)],
        [(4, 2880.0, NAN, NAN)],
    ],
)
def test_a_game_without_an_end_is_unfinished(rows: list[tuple[int, float, float, float]]) -> None:
    assert score_path(plays(*rows, points=[(0, 0)])) is Fault.UNFINISHED


@given(st.lists(st.tuples(st.integers(1, 2880), st.booleans(), st.integers(1, 3)), min_size=1, max_size=80))
def test_margins_follow_every_sound_order_of_baskets(baskets: list[tuple[int, bool, int]]) -> None:
    baskets = sorted(baskets, key=lambda b: b[0])
    home = away = 0
    rows: list[tuple[int, float, float, float]] = []
    for t, by_home, points in baskets:
        home, away = (home + points, away) if by_home else (home, away + points)
        rows.append((min(-(-t // 720), 4), float(t), float(home), float(away)))
    rows.append((4, 2880.0, float(home), float(away)))
    told = score_path(plays(*rows))
    if home == away:
        assert told is Fault.UNFINISHED
        return
    for minute in range(49):
        expected = sum(p if by_home else -p for t, by_home, p in baskets if t <= 60 * minute)
        assert path(told).margins[minute] == expected
