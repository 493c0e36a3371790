import json
import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

import models.backtest as backtest
from models import baselines
from models.backtest import (
    BacktestError,
    BacktestSpec,
    Fitted,
    SeasonResult,
    check_seasons,
    fit_before,
    masked,
    predictions,
    rated_season,
    run_season,
    walk,
)
from models.backtest_result import combine
from models.backtest_walk import Predictions
from models.baselines import Forecaster, halves, leads
from models.history import History
from models.mixture import Games
from models.ratings import RatingParams, Ratings, rate_history
from tests.support.leaks import altered, leaking
from tests.support.seasons import several_seasons, small_spec

pytest.importorskip("torch")

HISTORY = several_seasons(2016, 2017, 2018, 2019)
SPEC = small_spec(0, 18)
SEASON = 2018
NAMES = [
    "persistence", "linear", "dejavu-published", "gradient-boosting", "dejavu", "lstm", "ensemble", "split-conformal",
]  # fmt: skip
COLUMNS = [
    "season", "minute", "forecaster", "n", "mae", "rmse", "crps", "brier", "mse_skill", "crps_skill",
    "coverage_80", "coverage_90", "coverage_95", "width_95", "interval_score_95",
]  # fmt: skip
DATES = np.unique(HISTORY.seasons(SEASON).date)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit_before(HISTORY, SEASON, SPEC)


@pytest.fixture(scope="module")
def result(fitted: Fitted) -> SeasonResult:
    return walk(HISTORY, SEASON, fitted, SPEC)


def said_of(history: History, fitted: Fitted, minute: int) -> Mapping[str, Predictions]:
    return predictions(rated_season(history, SEASON, SPEC), minute, fitted, SPEC)


def test_a_season_has_a_row_for_each_minute_and_forecaster_in_the_order_asked(result: SeasonResult) -> None:
    rows = [scored.row for scored in result.scores.values()]
    assert [(row["minute"], row["forecaster"]) for row in rows] == [(m, name) for m in (0, 18) for name in NAMES]
    assert all(list(row)[: len(COLUMNS)] == COLUMNS for row in rows)
    assert {row["season"] for row in rows} == {SEASON}
    assert {row["n"] for row in rows} == {240}
    json.dumps(rows, allow_nan=False)
    assert {type(row[name]) for row in rows for name in COLUMNS[4:]} == {float}


def test_persistence_is_scored_as_by_hand_and_has_no_skill_against_itself(result: SeasonResult) -> None:
    games = HISTORY.seasons(SEASON)
    errors = games.change(18).astype(float)
    row = result.scores[18, "persistence"].row
    assert row["mae"] == pytest.approx(np.abs(errors).mean())
    assert row["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert (row["mse_skill"], row["crps_skill"], row["mse_skill_lower"], row["crps_skill_upper"]) == (0, 0, 0, 0)


def test_split_conformal_is_the_ensembles_point_with_an_interval_that_never_changes(fitted: Fitted) -> None:
    said = said_of(HISTORY, fitted, 18)
    plain, ensemble = said["split-conformal"], said["ensemble"]
    assert np.array_equal(plain.points, ensemble.points)
    widths = (plain.upper - plain.lower).round(9)
    assert all(len(np.unique(column)) == 1 for column in widths.T)
    assert len(np.unique((ensemble.upper - ensemble.lower)[:, -1].round(9))) > 1


def test_the_ensemble_is_walked_as_the_product_would_forecast_the_first_evening(fitted: Fitted) -> None:
    games, said = rated_season(HISTORY, SEASON, SPEC), said_of(HISTORY, fitted, 18)["ensemble"]
    for row in np.flatnonzero(games.history.date == DATES[0]):
        one = fitted.ensemble.forecast(
            games.history.margins[row, 1:19].tolist(), 18, 0.05, float(games.ratings[row]),
            int(games.history.possession[row, 18]),
        )  # fmt: skip
        assert said.points[row] == pytest.approx(one.point, abs=1e-9)
        assert (said.lower[row, -1], said.upper[row, -1]) == pytest.approx((one.interval.lower, one.interval.upper))
        chances = said.pmf[row, one.distribution.first - said.first[row] :][: len(one.distribution.probabilities)]
        assert chances == pytest.approx(one.distribution.probabilities, abs=1e-5)


def test_running_again_gives_the_same_bits(fitted: Fitted, result: SeasonResult) -> None:
    again = run_season(HISTORY, SEASON, SPEC)
    assert {key: one.row for key, one in again.scores.items()} == {key: one.row for key, one in result.scores.items()}
    assert all(np.array_equal(one.crps, again.scores[key].crps) for key, one in result.scores.items())


def test_later_seasons_change_nothing(result: SeasonResult) -> None:
    without = HISTORY.take(HISTORY.season <= SEASON)
    assert [one.row for one in run_season(without, SEASON, SPEC).scores.values()] == [
        one.row for one in result.scores.values()
    ]


def test_the_minutes_asked_for_do_not_change_a_forecast(fitted: Fitted, result: SeasonResult) -> None:
    alone = walk(HISTORY, SEASON, fitted, replace(SPEC, minutes=(18,)))
    assert alone.scores[18, "ensemble"].row == result.scores[18, "ensemble"].row


@pytest.mark.parametrize("minute", [0, 18])
@pytest.mark.parametrize("day", [DATES[0], DATES[len(DATES) // 2], DATES[-1]])
def test_no_forecaster_sees_its_own_date_or_later(fitted: Fitted, minute: int, day: np.datetime64) -> None:
    assert leaking(lambda history: said_of(history, fitted, minute), HISTORY, SEASON, day, minute) == set()


def test_what_is_fitted_before_a_season_does_not_depend_on_it(fitted: Fitted) -> None:
    other = fit_before(altered(HISTORY, DATES[0], 0), SEASON, SPEC)
    ours, theirs = (said_of(HISTORY, one, 18) for one in (fitted, other))
    assert all(np.array_equal(ours[name].points, theirs[name].points) for name in NAMES)
    assert other.ensemble.calibration_id == fitted.ensemble.calibration_id


def test_a_forecaster_that_looks_outcomes_up_is_caught(fitted: Fitted) -> None:
    def planted(history: History) -> Mapping[str, Predictions]:
        halftime = dict(zip(history.game_id.tolist(), history.margins[:, 24].tolist(), strict=True))

        def peek(games: Games, minute: int) -> np.ndarray:
            known = np.array([halftime[game] for game in games.history.game_id.tolist()], dtype=np.float64)
            return 0.99 * leads(games, minute) + 0.01 * known

        leaky = replace(fitted, forecasters=(*fitted.forecasters, Forecaster("leaky", peek)))
        return said_of(history, leaky, 18)

    assert leaking(planted, HISTORY, SEASON, DATES[30], 18) == {"leaky"}


def test_a_forecaster_that_reads_margins_it_was_given_finds_nothing_there(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The games are masked; without the mask the same forecaster is caught."""
    reader = replace(
        fitted, forecasters=(baselines.persistence(), Forecaster("reader", lambda games, _: halves(games)))
    )
    said = said_of(HISTORY, reader, 18)
    assert np.array_equal(said["reader"].points, said["persistence"].points)
    monkeypatch.setattr(backtest, "masked", lambda games, _minute: games)
    assert leaking(lambda history: said_of(history, reader, 18), HISTORY, SEASON, DATES[30], 18) >= {"reader"}


def test_ratings_that_see_their_own_date_are_caught(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(history: History, params: RatingParams) -> tuple[np.ndarray, Ratings]:
        """Each game rated with the ratings of the date after it."""
        before, ratings = rate_history(history, params)
        gains = 0.05 * (history.final_margin - before)
        return before + gains, ratings

    monkeypatch.setattr(backtest, "rate_history", too_late)
    caught = leaking(lambda history: said_of(history, fitted, 18), HISTORY, SEASON, DATES[30], 18)
    assert caught >= {"linear", "lstm", "ensemble", "split-conformal"}
    assert "persistence" not in caught


def test_calibration_that_learns_before_it_forecasts_is_caught(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    def all_at_once(
        past: np.ndarray, points: np.ndarray, actual: np.ndarray, dates: np.ndarray, _window: int
    ) -> Predictions:
        return backtest.fixed(np.concatenate([past, actual - points]), points, dates)

    monkeypatch.setattr(backtest, "rolled", all_at_once)
    caught = leaking(lambda history: said_of(history, fitted, 18), HISTORY, SEASON, DATES[30], 18)
    assert "persistence" in caught
    assert "ensemble" not in caught


def test_a_masked_game_tells_nothing_after_the_minute() -> None:
    games = Games(HISTORY, np.zeros(len(HISTORY)))
    seen = masked(games, 6).history
    assert np.array_equal(seen.margins[:, :7], HISTORY.margins[:, :7])
    assert (seen.margins[:, 6:] == seen.margins[:, 6, None]).all()
    assert not seen.final_margin.any()
    assert not seen.possession[:, 7:].any()
    assert np.array_equal(seen.possession[:, :7], HISTORY.possession[:, :7])


def test_a_season_without_enough_games_before_it_is_refused_with_numbers_and_what_to_do() -> None:
    with pytest.raises(BacktestError, match=r"season 2016 has 0 earlier games, 200 are needed .* tested: 2017, 2018"):
        check_seasons(HISTORY, [2018, 2016], SPEC)
    with pytest.raises(BacktestError, match="season 2031 has no game in this history; seasons that can be tested"):
        run_season(HISTORY, 2031, SPEC)
    with pytest.raises(BacktestError, match="no season to test"):
        check_seasons(HISTORY, [], SPEC)
    with pytest.raises(BacktestError, match="seasons that can be tested: none; load more history"):
        check_seasons(HISTORY, [2019], BacktestSpec())
    assert check_seasons(HISTORY, [2019, 2018, 2019], SPEC) == (2018, 2019)


def test_minutes_are_those_of_the_first_half() -> None:
    assert BacktestSpec(minutes=(18, 6, 18)).minutes == (6, 18)
    for wrong in ((24,), (-1,), ()):
        with pytest.raises(BacktestError, match=r"name minutes 0\.\.23"):
            BacktestSpec(minutes=wrong)


def test_without_scikit_learn_its_forecaster_is_left_out_and_the_result_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    found = run_season(HISTORY, SEASON, SPEC)
    assert "gradient-boosting" not in {name for _, name in found.scores}
    assert found.notes == ("gradient-boosting is left out: scikit-learn is not installed",)
    assert combine("simulated", [found]).notes == found.notes


def test_a_season_of_a_few_dates_is_refused_since_no_range_could_be_drawn_from_them() -> None:
    first = np.unique(HISTORY.date[HISTORY.season == 2018])[:3]
    short = HISTORY.take((HISTORY.season < 2018) | np.isin(HISTORY.date, first))
    with pytest.raises(BacktestError, match=r"season 2018 has games on 3 league dates: at least 10 .* tested: 2017$"):
        check_seasons(short, [2018], SPEC)
