"""Promotion: no model without evidence, none that does not beat persistence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.paired import Comparison
from models.promotion import WEIGHTS, Rules, Shadowed, Trial, decide

RULES = Rules()
SPREADS = {18: 6.0, 21: 4.3, 23: 2.7}
SKILLED = {"skill_squared_lower": 0.01}


def trial(n: int, challenger: float = 0.0, champion: float = 0.0, persistence: float = 0.0, seed: int = 3) -> Trial:
    """``n`` games at three minutes; each forecaster is that many points off, and a little noisy of its own."""
    chance = np.random.default_rng(seed)
    seen = []
    for game in range(n):
        for minute, sd in SPREADS.items():
            points = (lean + chance.normal(0.0, 0.5) for lean in (challenger, champion, persistence))
            seen.append(Shadowed(f"{game:010d}", minute, *points, actual=chance.normal(0.0, sd)))
    return Trial().after(seen)


def test_a_better_challenger_is_promoted_with_its_figures() -> None:
    done = decide(trial(600, champion=2.5, persistence=3.0), {}, RULES)
    assert done.action == "promote"
    assert "errs 0." in done.reasons[0]
    assert done.evidence["over_champion"]["best_e_value"] >= 20.0


def test_a_challenger_that_leans_two_points_is_rejected_within_a_season() -> None:
    actions = [decide(trial(1230, challenger=2.0, seed=seed), SKILLED, RULES).action for seed in range(40)]
    assert actions.count("reject") == 40


def test_a_challenger_that_loses_to_persistence_is_rejected_however_bad_the_champion() -> None:
    done = decide(trial(900, challenger=3.0, champion=9.0), {}, RULES)
    assert done.action == "reject"
    assert "persistence errs less" in done.reasons[0]


def test_without_being_shown_to_beat_persistence_a_better_challenger_goes_on_in_its_shadow() -> None:
    better = trial(600, champion=2.5, persistence=0.3)
    for unshown in ({"skill_squared_lower": -0.01}, {}):
        done = decide(better, unshown, RULES)
        assert (done.action, done.reasons) == ("keep", ("it is not shown to beat persistence",))
    assert decide(better, SKILLED, RULES).action == "promote"
    behind = decide(trial(600, challenger=0.3, champion=2.5), SKILLED, RULES)
    assert behind.reasons == ("it is not shown to beat persistence",), "it errs more than persistence in its shadow"
    seen = [Shadowed(f"{game:010d}", 23, 0.0, 9.0, 9.0, 0.0) for game in range(200)]
    assert "0 games compared at minute 18" in decide(Trial().after(seen), SKILLED, RULES).reasons[0]


def test_few_games_and_small_gains_are_not_enough() -> None:
    clear = trial(25, champion=12.0, persistence=12.0)
    assert decide(clear, SKILLED, RULES).reasons == ("25 games compared at minute 18, 30 needed",)
    done = decide(trial(600, champion=2.5, persistence=3.0), SKILLED, Rules(min_gain=2.0))
    assert "2 needed" in done.reasons[0]


def test_the_champion_itself_is_never_promoted_over_itself() -> None:
    seen = [Shadowed(f"{game:010d}", 18, 1.0, 1.0, 1.0, float(game % 9 - 4)) for game in range(400)]
    done = Trial().after(seen)
    assert done.over_champion.e_value == done.champion_over.e_value == 1.0
    assert decide(done, SKILLED, RULES).action == "keep"


@given(cut=st.integers(0, 60))
def test_games_in_two_batches_have_the_bits_of_one(cut: int) -> None:
    chance = np.random.default_rng(cut)
    games = [
        [
            Shadowed(f"{game:010d}", minute, *chance.normal(0.0, 6.0, 4).tolist())
            for minute in SPREADS
            if chance.random() < 0.8
        ]
        for game in range(60)
    ]
    whole = Trial().after([one for game in games for one in game])
    parts = Trial()
    for some in (games[:cut], games[cut:]):
        parts = parts.after([one for game in some for one in game])
    assert parts == whole


def test_what_is_gained_is_counted_by_the_minutes_weights() -> None:
    seen = [Shadowed("0022200001", minute, 0.0, 4.0, 0.0, 0.0) for minute in SPREADS]
    assert Trial().after(seen).over_champion.mean_gain == pytest.approx(4.0)
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)


COMPARED = st.builds(
    Comparison,
    n=st.integers(0, 2000),
    log_wealth=st.lists(st.floats(-50.0, 50.0), min_size=6, max_size=6).map(tuple),
    best=st.floats(0.0, 50.0),
    total=st.floats(-500.0, 500.0),
)


@given(
    parts=st.tuples(COMPARED, COMPARED, COMPARED, COMPARED, COMPARED),
    skill=st.none() | st.floats(-1.0, 1.0),
    rules=st.builds(Rules, st.floats(0.001, 0.2), st.floats(0.001, 0.2), st.integers(1, 100), st.floats(0.0, 0.5)),
)
def test_whatever_the_figures_nothing_is_promoted_that_does_not_beat_persistence(
    parts: tuple[Comparison, Comparison, Comparison, Comparison, Comparison], skill: float | None, rules: Rules
) -> None:
    held_out = {} if skill is None else {"skill_squared_lower": skill}
    tried = Trial(*parts)
    done = decide(tried, held_out, rules)
    if done.action == "promote":
        evident = max(tried.over_champion.best_e_value, tried.official.best_e_value)
        assert evident >= 2.0 / rules.promote_alpha
        assert tried.official.n >= rules.min_games
        assert tried.official.mean_gain > 0.0
        assert tried.over_persistence.mean_gain > 0.0
        assert tried.persistence_over.best_e_value < 1.0 / rules.reject_alpha
        assert (skill or 0.0) > 0.0 or tried.over_persistence.best_e_value >= 1.0 / rules.promote_alpha
    assert done.reasons


@pytest.mark.parametrize("held_out", [{}, SKILLED])
def test_a_trial_without_games_keeps_everything_as_it_is(held_out: dict[str, float]) -> None:
    done = decide(Trial(), held_out, RULES)
    assert done.action == "keep"
    assert done.evidence["over_champion"] == {"n": 0, "mean_gain": 0.0, "e_value": 1.0, "best_e_value": 1.0}
