import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import Calibration, Case
from models.conformal import CalibrationSet
from models.ensemble import Ensemble
from models.forecast import BadPattern, BadPossession, CalibrationTooSmall, UnsupportedMinute
from models.mixture import Games
from models.ratings import rate_history
from tests.unit.models.builders import make_ensemble, make_history

ENSEMBLE = make_ensemble()
ROOT = Path(__file__).parents[3]
EVERY_MINUTE = make_ensemble(minutes=tuple(range(24)))
# At minute 18 it has no calibration set that knows who has the ball.
UNCALIBRATED = replace(
    EVERY_MINUTE,
    calibration={
        case: games for case, games in EVERY_MINUTE.calibration.items() if (case.minute, case.possession) != (18, True)
    },
)
PATTERNS = st.lists(st.integers(-6, 6), min_size=18, max_size=18).map(lambda steps: np.cumsum(steps).tolist())
RATINGS = st.none() | st.floats(-20, 20)


@settings(max_examples=60)
@given(pattern=PATTERNS, rating=RATINGS, alpha=st.floats(0.02, 0.99))
def test_a_forecast_is_a_function_of_its_input(pattern: list[int], rating: float | None, alpha: float) -> None:
    first = ENSEMBLE.forecast(pattern, 18, alpha, rating)
    assert first == make_ensemble().forecast([float(margin) for margin in pattern], 18, alpha, rating)
    assert first.point == pattern[-1] + ENSEMBLE.before_calibration(pattern, 18, rating)[0]
    assert first.interval.lower <= first.point <= first.interval.upper
    assert (first.alpha, first.minute, first.rating) == (alpha, 18, rating)


@settings(max_examples=40)
@given(pattern=PATTERNS, rating=RATINGS, possession=st.sampled_from([-1, 0, 1]))
def test_the_point_is_the_weighted_mean_of_the_components_and_the_ball(
    pattern: list[int], rating: float | None, possession: int
) -> None:
    forecast = ENSEMBLE.forecast(pattern, 18, 0.1, rating, possession)
    parts, weights = forecast.components, forecast.weights
    mean = weights.dejavu * parts.dejavu + weights.lstm * parts.lstm + weights.persistence * parts.persistence
    assert forecast.point == pytest.approx(mean + parts.possession, abs=1e-9)
    assert parts.possession == 0.4 * possession
    assert parts.persistence == pattern[-1]


@settings(max_examples=40)
@given(pattern=PATTERNS, rating=RATINGS, alphas=st.tuples(st.floats(0.02, 0.99), st.floats(0.02, 0.99)))
def test_intervals_are_nested_in_alpha(pattern: list[int], rating: float | None, alphas: tuple[float, float]) -> None:
    wide = ENSEMBLE.forecast(pattern, 18, min(alphas), rating).interval
    narrow = ENSEMBLE.forecast(pattern, 18, max(alphas), rating).interval
    assert wide.lower <= narrow.lower
    assert narrow.upper <= wide.upper


def test_everything_that_leaves_is_a_plain_number() -> None:
    forecast = ENSEMBLE.forecast([0] * 18, 18, 0.1, 3)
    numbers = [forecast.point, forecast.interval.lower, forecast.half_width, forecast.sd, forecast.components.lstm]
    assert {type(number) for number in numbers} == {float}
    game = forecast.similar[0]
    assert {type(value) for value in (*game.path, *game.pattern, game.change, game.rating)} == {int}


def test_five_similar_games_come_with_their_paths_and_what_happened_next() -> None:
    forecast = ENSEMBLE.forecast([0] * 18, 18, 0.1, None)
    assert len(forecast.similar) == 5
    for game in forecast.similar:
        assert len(game.path) == 25
        assert game.change == game.path[24] - game.path[18]


def test_a_forecast_can_be_made_before_tip_off() -> None:
    forecast = ENSEMBLE.forecast([], 0, 0.1, 4.0)
    assert forecast.components.persistence == 0.0
    assert forecast.point != 0.0


def test_requests_with_and_without_a_rating_have_their_own_weights_and_calibration() -> None:
    with_rating, without = (ENSEMBLE.forecast([0] * 18, 18, 0.1, rating) for rating in (0.0, None))
    assert with_rating.weights != without.weights
    assert with_rating.half_width != without.half_width


def test_a_minute_without_calibration_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(UnsupportedMinute, match="minute 7: this model answers at minute 0, 6, 18"):
        ENSEMBLE.forecast([0] * 7, 7, 0.1, None)


def test_the_pattern_must_have_as_many_margins_as_minutes() -> None:
    with pytest.raises(BadPattern, match="17 margins, minute 18"):
        ENSEMBLE.forecast([0] * 17, 18, 0.1, None)


def test_an_alpha_the_calibration_cannot_support_is_refused() -> None:
    with pytest.raises(CalibrationTooSmall, match="at least 99 games, this one has 60"):
        ENSEMBLE.forecast([0] * 18, 18, 0.01, None)


def test_who_has_the_ball_is_one_of_three() -> None:
    with pytest.raises(BadPossession, match="possession is 2"):
        ENSEMBLE.forecast([0] * 18, 18, 0.1, None, 2)


def test_requests_that_know_who_has_the_ball_have_their_own_calibration() -> None:
    assert ENSEMBLE.case(18, True, -1) == Case(18, True, True)
    assert ENSEMBLE.case(18, True, 0) == Case(18, True, False)
    # Before tip-off nobody has it, so there is no such calibration, and the one without serves.
    assert ENSEMBLE.case(0, True, 1) == Case(0, True, False)


@settings(max_examples=40)
@given(pattern=PATTERNS, rating=RATINGS, possession=st.sampled_from([-1, 0, 1]))
def test_the_distribution_has_the_point_as_its_mean_up_to_its_calibration(
    pattern: list[int], rating: float | None, possession: int
) -> None:
    _, shape = ENSEMBLE.before_calibration(pattern, 18, rating, possession)
    forecast = ENSEMBLE.forecast(pattern, 18, 0.1, rating, possession)
    assert pattern[-1] + float(shape @ np.arange(-80, 81)) == pytest.approx(forecast.point, abs=1e-6)
    assert forecast.distribution.mean == pytest.approx(forecast.point, abs=2.0)


def test_many_at_once_are_as_one_by_one() -> None:
    history = make_history(200).take(slice(150, None))
    games = Games(history, rate_history(history)[0])
    for minute in ENSEMBLE.minutes:
        points = ENSEMBLE.points(games, minute)
        first, pmf = ENSEMBLE.pmfs(games, minute, points)
        for row in range(0, len(history), 7):
            alone = ENSEMBLE.forecast(
                history.margins[row, 1 : minute + 1].tolist(), minute, 0.1, games.ratings[row],
                int(history.possession[row, minute]),
            )  # fmt: skip
            assert alone.point == points[row]
            told = alone.distribution.probabilities
            start = alone.distribution.first - first[row]
            assert pmf[row, start : start + len(told)] == pytest.approx(told, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    pattern=st.lists(st.integers(-6, 6), min_size=0, max_size=23).map(lambda steps: np.cumsum(steps).tolist()),
    rating=RATINGS,
    balls=st.lists(st.sampled_from([-1, 0, 1]), min_size=24, max_size=24),
)
def test_a_whole_path_has_the_bits_of_its_minutes_one_by_one(
    pattern: list[int], rating: float | None, balls: list[int]
) -> None:
    path = EVERY_MINUTE.path(pattern, 0.1, rating, balls[: len(pattern) + 1])
    assert path == tuple(
        EVERY_MINUTE.forecast(pattern[:minute], minute, 0.1, rating, balls[minute])
        for minute in range(len(pattern) + 1)
    )


MANY_GAMES = """
from dataclasses import replace
import numpy as np
from models.dejavu import Dejavu
from models.mixture import Games
from tests.unit.models.builders import make_ensemble, make_history

history, ensemble = make_history(20_000, seed=5, season=2010), make_ensemble(minutes=tuple(range(24)))
# Large enough that the product with a pattern is shared among threads.
memory = Dejavu.from_history(history, np.linspace(-12.0, 12.0, len(history)), 500)
ensemble = replace(ensemble, mixture=replace(ensemble.mixture, dejavu=memory))
asked = Games(history.take(slice(0, 40)), np.linspace(-9.0, 9.0, 40))
points = ensemble.points(asked, 18)
print(points.tobytes().hex(), ensemble.pmfs(asked, 18, points)[1].tobytes().hex())
for row in range(0, 40, 8):
    margins, held = history.margins[row, 1:24].tolist(), history.possession[row].tolist()
    print([forecast.as_dict() for forecast in ensemble.path(margins, 0.1, 3.0, held)])
"""


def test_neither_another_run_nor_another_number_of_threads_changes_a_bit() -> None:
    def run(threads: int) -> bytes:
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        command = [sys.executable, "-c", MANY_GAMES]
        return subprocess.run(command, check=True, cwd=ROOT, capture_output=True, env={**os.environ, **limits}).stdout

    assert len({run(threads) for threads in (1, 1, 2, 4)}) == 1


def test_a_path_needs_who_had_the_ball_at_each_of_its_minutes() -> None:
    with pytest.raises(BadPossession, match="possession at 3 minutes: 3 margins need 4"):
        EVERY_MINUTE.path([1, 2, 3], 0.1, None, [0, 1, 0])


def test_the_calibration_id_follows_the_calibration_alone() -> None:
    assert ENSEMBLE.calibration_id == make_ensemble().calibration_id
    assert ENSEMBLE.calibration_id == replace(ENSEMBLE, source="recorded").calibration_id
    sets, case = dict(ENSEMBLE.calibration), Case(18, True, False)
    errors = CalibrationSet(sets[case].errors.game_ids, sets[case].errors.residuals + 1e-9)
    sets[case] = replace(sets[case], errors=errors)
    assert replace(ENSEMBLE, calibration=sets).calibration_id != ENSEMBLE.calibration_id


def test_a_game_cannot_both_fit_and_calibrate() -> None:
    sets = dict(ENSEMBLE.calibration)
    remembered = CalibrationSet((str(ENSEMBLE.mixture.dejavu.game_id[3]),), np.zeros(1))
    sets[Case(18, True, False)] = Calibration(remembered, np.zeros(1), np.ones(1))
    with pytest.raises(ValueError, match="also used to fit"):
        replace(ENSEMBLE, calibration=sets)


def test_a_missing_case_is_refused() -> None:
    sets = {case: games for case, games in ENSEMBLE.calibration.items() if case != (6, False, False)}
    with pytest.raises(ValueError, match="with and one without a rating"):
        replace(ENSEMBLE, calibration=sets)
    sets = {case: games for case, games in ENSEMBLE.calibration.items() if case != (6, False, True)}
    with pytest.raises(ValueError, match="with possession is needed both"):
        replace(ENSEMBLE, calibration=sets)


def test_an_ensemble_cannot_be_changed_in_place() -> None:
    ensemble: Ensemble = make_ensemble()
    with pytest.raises(TypeError):
        ensemble.calibration[Case(18, True, False)] = ensemble.calibration[Case(6, True, False)]  # type: ignore[index]


def test_before_tip_off_nobody_has_the_ball_whatever_is_said() -> None:
    without, told = (EVERY_MINUTE.forecast([], 0, 0.1, 3.0, ball) for ball in (0, 1))
    assert without == told
    assert (told.possession, told.components.possession) == (0, 0.0)
    assert EVERY_MINUTE.path([2], 0.1, 3.0, [1, 1])[0] == without
    later = [EVERY_MINUTE.forecast([2.0], 1, 0.1, 3.0, ball).point for ball in (0, 1)]
    assert later[1] - later[0] == pytest.approx(EVERY_MINUTE.mixture.possession_value)


@settings(max_examples=20, deadline=None)
@given(pattern=PATTERNS, rating=RATINGS, ball=st.sampled_from([-1, 1]))
def test_the_ball_counts_only_where_it_is_calibrated(pattern: list[int], rating: float | None, ball: int) -> None:
    told = UNCALIBRATED.forecast(pattern, 18, 0.1, rating, ball)
    assert told == UNCALIBRATED.forecast(pattern, 18, 0.1, rating)
    assert (told.possession, told.components.possession) == (0, 0.0)
    # At the other minutes nothing changes, and one whole path may have both.
    path = UNCALIBRATED.path(pattern, 0.1, rating, [ball] * 19)
    assert [forecast.possession for forecast in path] == [0, *[ball] * 17, 0]
    assert path[17] == EVERY_MINUTE.forecast(pattern[:17], 17, 0.1, rating, ball)
    for minute, heard in ((0, 0), (17, ball), (18, 0)):
        change, shape = UNCALIBRATED.before_calibration(pattern[:minute], minute, rating, ball)
        alone, silent = UNCALIBRATED.before_calibration(pattern[:minute], minute, rating, heard)
        assert (change, shape.tolist()) == (alone, silent.tolist())
        assert path[minute].point == (pattern[minute - 1] if minute else 0.0) + change


@pytest.mark.parametrize("minute", [0, 17, 18])
def test_many_at_once_leave_out_the_ball_where_it_is_not_calibrated(minute: int) -> None:
    history = make_history(200).take(slice(150, None))
    held = history.possession.copy()
    # What a feed may say of the tip-off; no game has the ball in play by then.
    held[:, 0] = 1
    games = Games(replace(history, possession=held), rate_history(history)[0])
    points = UNCALIBRATED.points(games, minute)
    first, pmf = UNCALIBRATED.pmfs(games, minute, points)
    for row in range(0, len(history), 7):
        alone = UNCALIBRATED.forecast(
            history.margins[row, 1 : minute + 1].tolist(), minute, 0.1, games.ratings[row], int(held[row, minute])
        )
        assert alone.point == points[row]
        told = alone.distribution.probabilities
        start = alone.distribution.first - first[row]
        assert pmf[row, start : start + len(told)] == pytest.approx(told, abs=1e-5)


def test_who_has_the_ball_is_checked_before_tip_off_too() -> None:
    with pytest.raises(BadPossession, match="possession is 2"):
        EVERY_MINUTE.before_calibration([], 0, None, 2)
