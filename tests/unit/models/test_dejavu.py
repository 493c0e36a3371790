from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.dejavu import RATING_WEIGHT, Dejavu, HistoryTooSmall
from models.ratings import rate_history
from tests.unit.models.builders import make_history

HISTORY = make_history(200)
RATINGS, _ = rate_history(HISTORY)
DEJAVU = Dejavu.from_history(HISTORY, RATINGS, neighbours=30)
PATHS = st.lists(st.integers(-6, 6), min_size=0, max_size=23).map(
    lambda steps: np.cumsum([0, *steps])[1:].astype(float)
)


def by_hand(pattern: np.ndarray, rating: float | None, dejavu: Dejavu) -> float:
    minute = len(pattern)
    squared = ((dejavu.margins[:, 1 : minute + 1] - pattern) ** 2).sum(axis=1)
    if rating is not None:
        squared = squared + (RATING_WEIGHT * (dejavu.ratings - np.rint(rating))) ** 2
    near = squared <= np.sort(squared)[dejavu.neighbours - 1]
    return float((dejavu.margins[near, 24].astype(int) - dejavu.margins[near, minute]).mean())


@settings(max_examples=60, deadline=None)
@given(pattern=PATHS, rating=st.none() | st.floats(-20, 20))
def test_the_answer_is_the_mean_change_of_every_game_as_near_as_the_kth(
    pattern: np.ndarray, rating: float | None
) -> None:
    assert DEJAVU.look(pattern, rating, 5).change == pytest.approx(by_hand(pattern, rating, DEJAVU), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(pattern=PATHS, order=st.permutations(range(len(HISTORY))), rating=st.none() | st.floats(-20, 20))
def test_the_order_of_the_history_changes_no_bit(pattern: np.ndarray, order: list[int], rating: float | None) -> None:
    shuffled = HISTORY.take(np.array(order))
    other = Dejavu.from_history(shuffled, rate_history(shuffled)[0], neighbours=30)
    one, another = (dejavu.look(pattern, rating, 5) for dejavu in (DEJAVU, other))
    assert (one.change, one.similar) == (another.change, another.similar)


@settings(max_examples=30, deadline=None)
@given(pattern=PATHS, rating=st.none() | st.floats(-20, 20))
def test_many_at_once_are_the_same_bits_as_one_by_one(pattern: np.ndarray, rating: float | None) -> None:
    ratings = None if rating is None else np.array([rating, rating])
    changes, shares = DEJAVU.looks(np.stack([pattern, -pattern]), ratings)
    alone = [DEJAVU.look(path, rating, 1) for path in (pattern, -pattern)]
    assert np.array_equal(shares, [near.shares for near in alone])
    assert changes.tolist() == [near.change for near in alone]


@settings(max_examples=30, deadline=None)
@given(pattern=PATHS, rating=st.none() | st.floats(-20, 20))
def test_following_a_game_says_what_each_minute_alone_would(pattern: np.ndarray, rating: float | None) -> None:
    followed = list(DEJAVU.follow(pattern, rating, 5))
    alone = [DEJAVU.look(pattern[:minute], rating, 5) for minute in range(len(pattern) + 1)]
    assert [(near.change, near.similar) for near in followed] == [(near.change, near.similar) for near in alone]
    assert np.array_equal([near.shares for near in followed], [near.shares for near in alone])


@pytest.mark.parametrize("near_in_sample", [True, False])
def test_a_sample_that_misleads_changes_nothing(near_in_sample: bool) -> None:
    """Near games only where the sample looks, so that too few seem near, or only where it does not."""
    history = make_history(2000, seed=3)
    dejavu = Dejavu.from_history(history, np.zeros(2000), neighbours=320)
    sampled = np.arange(2000) % 10 == 0
    margins = np.where((sampled == near_in_sample)[:, None], dejavu.margins, 90).astype(np.int16)
    dejavu, pattern = replace(dejavu, margins=margins), history.margins[5, 1:19].astype(float)
    assert dejavu.look(pattern, None, 5).change == pytest.approx(by_hand(pattern, None, dejavu), abs=1e-12)


def test_a_remembered_game_is_most_similar_to_itself() -> None:
    game = DEJAVU.look(HISTORY.margins[17, 1:19].astype(float), None, 5).similar[0]
    assert (game.game_id, game.similarity_distance) == (str(HISTORY.game_id[17]), 0.0)
    assert game.path == HISTORY.margins[17, :25].tolist()
    assert game.pattern == game.path[1:19]
    assert game.change == game.path[24] - game.path[18]
    assert game.margin_24 == game.path[24]


def test_similar_games_come_nearest_first_and_newest_first_when_equal() -> None:
    similar = DEJAVU.look(np.array([2.0, 0.0]), None, 5).similar
    keys = [(game.similarity_distance, -game.date.toordinal()) for game in similar]
    assert keys == sorted(keys)
    assert len(similar) == 5


def test_before_tip_off_without_a_rating_every_game_counts() -> None:
    near = DEJAVU.look(np.array([]), None, 5)
    assert near.change == pytest.approx(HISTORY.margins[:, 24].mean())
    assert [game.game_id for game in near.similar] == HISTORY.game_id[::-1][:5].tolist()


def test_a_known_rating_prefers_games_between_teams_as_unequal() -> None:
    alike = DEJAVU.look(np.array([]), 9.0, 5).similar
    assert min(game.rating for game in alike) >= sorted(DEJAVU.ratings.tolist())[-40]


def test_squared_distances_stay_whole_in_single_precision() -> None:
    extreme = np.full((40, 25), 100, dtype=np.int16)
    extreme[:, 0] = 0
    ratings = np.full(40, 60, dtype=np.int16)
    dejavu = Dejavu(HISTORY.game_id[:40], HISTORY.date[:40], HISTORY.home[:40], HISTORY.away[:40], extreme, ratings, 5)
    similar = dejavu.look(np.full(23, -100.0), -60.0, 1).similar
    assert similar[0].similarity_distance == ((23 * 200**2 + (RATING_WEIGHT * 120) ** 2) / 23) ** 0.5


def test_more_neighbours_than_games_are_refused_with_both_numbers() -> None:
    with pytest.raises(HistoryTooSmall, match="500 neighbours asked of 200 games"):
        Dejavu.from_history(HISTORY, RATINGS, neighbours=500)
