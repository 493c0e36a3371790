import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import Case
from models.forecast import BadPattern
from models.history import Result
from models.recalibration import RecalibrationError, TooFewSettled, recalibrate
from models.settlement import SettledGame
from tests.unit.models.builders import TEAMS, make_ensemble

ENSEMBLE = make_ensemble()
RATED, UNRATED = Case(18, True, False), Case(18, False, False)
NIGHT = dt.date(2019, 2, 1)


def settled(number: int, rating: float | None = 2.0, actual: float = 5.0, minute: int = 18) -> SettledGame:
    pattern = tuple(float(value % 7) for value in range(number, number + minute))
    return SettledGame(f"00218{80000 + number:05d}", NIGHT, pattern, minute, rating, actual)


GAMES = [settled(number, actual=float(number)) for number in range(8)]


def test_new_games_push_the_oldest_out() -> None:
    done = recalibrate(ENSEMBLE, GAMES, window=60)
    before, after = ENSEMBLE.calibration[RATED], done.ensemble.calibration[RATED]
    assert len(after) == len(before)
    assert after.errors.game_ids == (*before.errors.game_ids[8:], *(game.game_id for game in GAMES))
    assert (done.games_added, done.games_dropped) == (8, 8)
    assert done.ensemble.trained_through == NIGHT


def test_residuals_are_actual_less_the_point_the_model_gives() -> None:
    after = recalibrate(ENSEMBLE, GAMES).ensemble.calibration
    game = GAMES[-1]
    for case, rating in ((RATED, game.rating), (UNRATED, None)):
        point = game.pattern[-1] + ENSEMBLE.before_calibration(game.pattern, 18, rating)[0]
        assert after[case].errors.residuals[-1] == pytest.approx(game.actual - point, abs=1e-12)


def test_the_points_stay_and_the_calibration_id_changes() -> None:
    done = recalibrate(ENSEMBLE, GAMES)
    assert done.previous_calibration_id == ENSEMBLE.calibration_id
    assert done.ensemble.calibration_id != ENSEMBLE.calibration_id
    pattern = [1.0] * 18
    assert done.ensemble.forecast(pattern, 18, 0.1, 2.0).point == ENSEMBLE.forecast(pattern, 18, 0.1, 2.0).point


def test_larger_errors_widen_the_interval() -> None:
    wild = [settled(number, actual=60.0) for number in range(20)]
    before = ENSEMBLE.adaptive[RATED].half_width(0.1)
    assert recalibrate(ENSEMBLE, wild).ensemble.adaptive[RATED].half_width(0.1) > before


def test_other_minutes_keep_their_calibration() -> None:
    assert (
        recalibrate(ENSEMBLE, GAMES).ensemble.calibration[Case(6, True, False)]
        is ENSEMBLE.calibration[Case(6, True, False)]
    )


def test_a_game_settled_without_rating_calibrates_only_forecasts_without_one() -> None:
    blind = [settled(number, rating=None) for number in range(8)]
    after = recalibrate(ENSEMBLE, blind).ensemble.calibration
    assert after[RATED] is ENSEMBLE.calibration[RATED]
    assert after[UNRATED].errors.game_ids[-1] == blind[-1].game_id


def test_too_few_games_are_refused_with_both_numbers() -> None:
    with pytest.raises(TooFewSettled, match=r"3 newly settled games, at least 5 needed.*2 more") as refused:
        recalibrate(ENSEMBLE, GAMES[:3])
    assert (refused.value.found, refused.value.minimum) == (3, 5)


def test_games_handed_over_again_are_not_counted_again() -> None:
    once = recalibrate(ENSEMBLE, GAMES).ensemble
    with pytest.raises(TooFewSettled, match="0 newly settled"):
        recalibrate(once, GAMES)
    one_more = recalibrate(once, [*GAMES, settled(99)], minimum=1)
    assert one_more.games_added == 1


def test_a_game_that_fitted_the_model_is_refused() -> None:
    fitted = SettledGame(str(ENSEMBLE.mixture.dejavu.game_id[0]), NIGHT, (0.0,) * 18, 18, None, 0.0)
    with pytest.raises(RecalibrationError, match="fitted this model"):
        recalibrate(ENSEMBLE, [*GAMES, fitted])


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(BadPattern):
        recalibrate(ENSEMBLE, [SettledGame("0021888888", NIGHT, (0.0,) * 3, 18, None, 0.0)])


def test_the_window_says_how_many_games_are_kept() -> None:
    grown = recalibrate(ENSEMBLE, GAMES, window=66)
    assert (len(grown.ensemble.calibration[RATED]), grown.games_dropped) == (66, 2)
    with pytest.raises(RecalibrationError, match="at least 1"):
        recalibrate(ENSEMBLE, GAMES, window=0)


def test_ratings_take_newer_results_and_skip_those_they_hold() -> None:
    as_of = ENSEMBLE.ratings_as_of
    assert as_of is not None
    old = Result("0021800001", 2018, as_of, TEAMS[0], TEAMS[1], 30)
    new = Result("0021880000", 2018, NIGHT, TEAMS[0], TEAMS[1], 30)
    done = recalibrate(ENSEMBLE, GAMES, [old, new])
    assert done.games_rated == 1
    assert done.ensemble.ratings == ENSEMBLE.ratings.update(new)
    assert recalibrate(done.ensemble, [], [old, new], minimum=0).ensemble.ratings == done.ensemble.ratings


@settings(max_examples=30)
@given(order=st.permutations(range(8)))
def test_the_order_games_are_handed_over_in_changes_nothing(order: list[int]) -> None:
    mixed = recalibrate(ENSEMBLE, [GAMES[place] for place in order]).ensemble
    assert mixed.calibration_id == recalibrate(ENSEMBLE, GAMES).ensemble.calibration_id


def test_night_by_night_is_the_same_as_all_at_once() -> None:
    first = recalibrate(ENSEMBLE, GAMES[:4], minimum=1).ensemble
    second = recalibrate(first, GAMES[4:], minimum=1).ensemble
    together = recalibrate(ENSEMBLE, GAMES).ensemble
    assert np.array_equal(second.calibration[RATED].errors.residuals, together.calibration[RATED].errors.residuals)


def test_nights_handed_over_together_count_as_if_each_had_been_settled_alone() -> None:
    nights = [replace(game, date=NIGHT + dt.timedelta(days=place // 4)) for place, game in enumerate(GAMES)]
    apart = recalibrate(recalibrate(ENSEMBLE, nights[:4], minimum=1).ensemble, nights[4:], minimum=1).ensemble
    assert apart.calibration_id == recalibrate(ENSEMBLE, nights).ensemble.calibration_id
    ledger = apart.ledgers[18]
    assert (ledger.season, ledger.games) == (2018, 8)


def test_a_game_with_possession_calibrates_requests_with_and_without_it() -> None:
    after = recalibrate(ENSEMBLE, [replace(game, possession=1) for game in GAMES]).ensemble.calibration
    for case in (RATED, UNRATED, Case(18, True, True), Case(18, False, True)):
        assert after[case].errors.game_ids[-8:] == tuple(game.game_id for game in GAMES)
    without = recalibrate(ENSEMBLE, GAMES).ensemble.calibration
    assert without[Case(18, True, True)] is ENSEMBLE.calibration[Case(18, True, True)]
