import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.calibration_choice import CHOSEN, METHODS, judge, residuals_of
from models.adaptive import ALPHAS, Adaptive, BadLedger, Ledger, Settled, by_date, replay
from models.adaptive_rules import Aci, Integrator, Rolling, Rule, logit
from models.conformal import CalibrationSet
from models.forecast import BadAlpha, CalibrationTooSmall
from models.history import History
from models.ratings import rate_history

RULES = (Rolling(), Aci(), Integrator())
STRAYS = st.tuples(*[st.floats(-30.0, 30.0)] * len(ALPHAS))


def calibration(n: int, spread: float = 6.0) -> CalibrationSet:
    chance = np.random.default_rng(3)
    return CalibrationSet(tuple(f"00221{number:05d}" for number in range(n)), chance.normal(0.0, spread, n))


def days(spread: float, count: int = 190, games: int = 7, season: int = 2022, seed: int = 4) -> list[Settled]:
    chance = np.random.default_rng(seed)
    errors = chance.normal(0.0, spread, count * games)
    dates = np.datetime64("2022-10-18") + np.repeat(np.arange(count), games)
    ids = [f"00{season % 100}4{number:05d}" for number in range(count * games)]
    return by_date(dates, np.full(count * games, season), ids, errors)


def covered(widths: np.ndarray, played: list[Settled]) -> np.ndarray:
    sizes = np.abs(np.concatenate([day.residuals for day in played]))[:, None]
    return np.mean(sizes <= widths, axis=0)


def strayed(*stray: float, n: int = 1300, rule: Rule | None = None) -> Adaptive:
    return Adaptive(calibration(n), Ledger(2022, 200, stray), rule if rule is not None else Integrator())


@pytest.mark.parametrize("rule", RULES)
def test_an_empty_ledger_asks_for_what_was_promised(rule: Rule) -> None:
    games = calibration(1300)
    for alpha in (0.001, 0.01, 0.05, 0.13, 0.3, 0.5, 0.8, 0.99):
        assert Adaptive(games, rule=rule).corrected(alpha) == pytest.approx(alpha, rel=1e-12)
        assert Adaptive(games, rule=rule).half_width(alpha) == games.quantile(alpha)


@given(stray=STRAYS, alphas=st.tuples(st.floats(0.001, 0.999), st.floats(0.001, 0.999)), which=st.sampled_from(RULES))
def test_intervals_nest_whatever_the_ledger_says(
    stray: tuple[float, ...], alphas: tuple[float, float], which: Rule
) -> None:
    state = strayed(*stray, rule=which)
    assert state.half_width(min(alphas)) >= state.half_width(max(alphas))


def test_too_many_misses_widen_and_too_few_narrow() -> None:
    plain, late, early = strayed(*[0.0] * 6), strayed(*[3.0] * 6), strayed(*[-3.0] * 6)
    for alpha in (0.01, *ALPHAS, 0.7):
        assert late.half_width(alpha) > plain.half_width(alpha) > early.half_width(alpha)


def test_each_level_is_corrected_by_its_own_misses() -> None:
    state = strayed(0.0, 0.0, 0.0, 4.0, 0.0, 0.0)
    assert state.corrected(0.05) == pytest.approx(0.05, rel=1e-12)
    assert state.corrected(0.2) < 0.2
    assert state.corrected(0.35) == pytest.approx(0.35, rel=1e-12)
    # Between two levels lies a correction between theirs.
    assert state.corrected(0.2) / 0.2 < state.corrected(0.27) / 0.27 < 1.0


@pytest.mark.parametrize("stray", [-200.0, -5.0, 5.0, 200.0])
def test_the_odds_of_a_miss_are_changed_by_no_more_than_the_factor_e(stray: float) -> None:
    moved = Integrator().corrected(logit([0.05, 0.5]), np.array([stray, stray]))
    assert np.abs(moved - logit([0.05, 0.5])).max() <= 1.0 + 1e-12


def test_the_pull_grows_ever_faster_towards_the_bound() -> None:
    pulls = [-float(Integrator(5.5, 9.0).corrected(np.zeros(1) + logit(0.05), np.array([s]))[0]) for s in range(6)]
    steps = np.diff(pulls)
    assert (steps > 0).all()
    assert (np.diff(steps) > 0).all()


def test_the_pull_keeps_a_random_walk_of_misses_at_the_density_cos_squared() -> None:
    # d/dD log cos^2(pi D / 2B) = 2 drift / variance of the walk: that is what makes the pull the least costly one.
    bound, alpha, stray = 5.5, 0.05, 1.7
    pull = float(logit(alpha) - Integrator(bound).corrected(np.array([logit(alpha)]), np.array([stray]))[0])
    drift = -alpha * (1 - alpha) * pull
    score = -math.pi / bound * math.tan(math.pi * stray / (2 * bound))
    assert 2 * drift / (alpha * (1 - alpha)) == pytest.approx(score)


def test_aci_is_the_recursion_of_its_paper() -> None:
    gamma, alpha_t, stray = 0.005, 0.05, 0.0
    for missed in np.random.default_rng(1).random(400) < 0.07:
        alpha_t += gamma * (0.05 - missed)
        stray += missed - 0.05
        moved = Aci(gamma).corrected(np.array([logit(0.05)]), np.array([stray]))
        assert float(1 / (1 + np.exp(-moved[0]))) == pytest.approx(min(max(alpha_t, 1e-6), 1 - 1e-6))


@pytest.mark.parametrize("spread", [5.0, 6.0, 7.2])
def test_a_season_holds_its_promise_though_the_errors_are_not_those_calibrated_on(spread: float) -> None:
    played = days(spread)
    widths, _ = replay(Adaptive(calibration(1300)), played, [0.05])
    frozen = np.full((len(widths), 1), calibration(1300).quantile(0.05))
    assert abs(float(covered(widths, played)[0]) - 0.95) <= 0.005
    if spread != 6.0:
        assert abs(float(covered(frozen, played)[0]) - 0.95) > 0.01


def test_every_level_is_held_in_one_season() -> None:
    played = days(6.6)
    levels = [0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5]
    widths, _ = replay(Adaptive(calibration(1300)), played, levels)
    far = np.abs(1 - covered(widths, played) - levels)
    assert (far <= 0.02).all()
    assert far[1] <= 0.005


def test_a_date_is_forecast_before_it_is_learned_from() -> None:
    wild = days(40.0, count=1)
    widths, after = replay(Adaptive(calibration(1300)), wild, [0.05])
    assert set(widths[:, 0]) == {calibration(1300).quantile(0.05)}
    assert after.half_width(0.05) > widths[0, 0]


def test_the_ledger_counts_misses_less_the_promised_ones() -> None:
    state = Adaptive(calibration(1300))
    near, far = state.half_width(0.05) - 1e-9, state.half_width(0.05) + 1e-9
    after = state.update(Settled(2022, ["a", "b", "c"], np.array([near, -far, 0.0])))
    assert after.ledger.games == 3
    assert after.ledger.stray[ALPHAS.index(0.05)] == pytest.approx(1 - 3 * 0.05)
    assert after.ledger.stray[ALPHAS.index(0.5)] == pytest.approx(2 - 3 * 0.5)
    assert after.calibration.game_ids[-3:] == ("a", "b", "c")
    assert len(after.calibration) == 1300
    assert state.ledger == Ledger()


def test_a_new_season_starts_a_new_ledger_and_keeps_the_set() -> None:
    _, state = replay(Adaptive(calibration(1300)), days(9.0, count=20), [0.05])
    assert state.ledger.stray[1] > 0
    next_season = Settled(2023, ["0022300001"], np.array([0.0]))
    assert state.update(next_season).ledger == Ledger(2023, 1, tuple(-alpha for alpha in ALPHAS))
    with pytest.raises(BadLedger, match="season 2021 after games of season 2022"):
        state.update(Settled(2021, ["0022100001"], np.array([0.0])))


def test_a_small_set_refuses_with_numbers_and_counts_no_misses_of_what_it_refused() -> None:
    small = Adaptive(calibration(12))
    with pytest.raises(CalibrationTooSmall, match=r"at least 19 games, this one has 12.*calibrate on more games"):
        small.half_width(0.05)
    after = small.update(Settled(2022, ["a"], np.array([99.0])))
    assert after.ledger.stray[: ALPHAS.index(0.1)] == (0.0, 0.0)
    assert after.ledger.stray[ALPHAS.index(0.1)] == pytest.approx(0.9)


@pytest.mark.parametrize("stray", [-12.0, 12.0])
def test_the_smallest_supported_set_answers_however_far_the_ledger_strayed(stray: float) -> None:
    state = strayed(*[stray] * 6, n=19)
    assert state.half_width(0.05) in state.calibration.scores


@pytest.mark.parametrize("alpha", [0.0, 1.0, float("nan")])
def test_an_alpha_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(BadAlpha):
        strayed(*[1.0] * 6).half_width(alpha)


def test_a_ledger_survives_json() -> None:
    _, state = replay(Adaptive(calibration(1300)), days(7.0, count=40), [0.05])
    assert Ledger.from_dict(json.loads(json.dumps(state.ledger.as_dict()))) == state.ledger
    assert Ledger.from_dict(json.loads(json.dumps(Ledger().as_dict()))) == Ledger()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stray": [0.0]}, "numbers within"),
        ({"stray": [float("nan")] * 6}, "numbers within"),
        ({"stray": [9.0] * 6}, "numbers within"),
        ({"alphas": [0.05]}, "other levels|kept for the levels"),
        ({"games": None}, "not a ledger"),
    ],
)
def test_a_stored_ledger_that_is_none_is_refused(change: dict[str, object], said: str) -> None:
    body = Ledger(2022, 3, (0.5,) * 6).as_dict()
    with pytest.raises(BadLedger, match=said):
        Ledger.from_dict({**body, **change})
    with pytest.raises(BadLedger, match="not a ledger"):
        Ledger.from_dict({name: value for name, value in body.items() if name != "stray"})


def test_games_are_parted_by_date_and_none_is_lost() -> None:
    dates = np.array(["2022-01-01", "2022-01-01", "2022-01-02", "2022-01-04"], dtype="datetime64[D]")
    parted = by_date(dates, np.full(4, 2021), ["a", "b", "c", "d"], np.arange(4.0))
    assert [list(day.game_ids) for day in parted] == [["a", "b"], ["c"], ["d"]]
    assert np.concatenate([day.residuals for day in parted]).tolist() == [0.0, 1.0, 2.0, 3.0]
    assert by_date(dates[:0], np.zeros(0, dtype=int), [], np.empty(0)) == []


def test_rolling_in_one_go_and_date_by_date_is_the_same_to_the_bit() -> None:
    played = days(6.6, count=30)
    _, at_once = replay(Adaptive(calibration(1300)), played, [0.05])
    state = Adaptive(calibration(1300))
    for day in played:
        state = state.update(day)
    assert state.ledger == at_once.ledger
    assert state.calibration.content() == at_once.calibration.content()


def test_on_recorded_games_every_season_holds_95_percent_and_a_rolling_set_alone_does_not(recorded: Path) -> None:
    history = History.from_frame(pd.read_parquet(recorded / "games.parquet"), "recorded")
    ratings, _ = rate_history(history)
    by_minute = {minute: residuals_of(history, ratings, minute) for minute in (6, 18)}
    seasons = range(2016, 2023)
    plain, alone, ours = (judge(by_minute, METHODS[name], seasons) for name in ("last season", "rolling 1300", CHOSEN))
    assert not ours.outside.any()
    assert alone.outside.sum() >= 3
    assert plain.outside.sum() >= 6
    # What it costs, and that it does not swing within a season.
    assert (ours.score / plain.score).max() < 1.01
    assert ours.thirds.std() < 0.8 * alone.thirds.std()
