"""Whether a challenger becomes champion: never without evidence, and never one that does not beat persistence.

Every verdict may be read after every game: the chance that a challenger no better than the champion is ever promoted is
at most ``promote_alpha``, however long it is tried (models/paired.py). A recalibration is no challenger: it keeps the
components.

A game's gain is counted twice: at the official minute, and as the weighted mean over three minutes. A model that leans
hides among errors of six points at the official minute and shows among those of the last one; one that knows better who
plays is ahead early and hardly at the end. Either may show it; at the official minute the challenger must be ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from models.clock import OFFICIAL_MINUTE
from models.paired import NOTHING_YET, Comparison, Floats, gains_of

Action = Literal["promote", "keep", "reject"]

WEIGHTS = {18: 0.215, 21: 0.301, 23: 0.484}
"""By minute, in inverse proportion to persistence's mean absolute error (4.88, 3.49 and 2.17 points in 2022-23)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """``promote_alpha`` and ``reject_alpha``: chances of an error, over all time. ``min_games`` compared games and
    ``min_gain`` points of mean absolute error at the official minute are needed beside the evidence."""

    promote_alpha: float = 0.05
    reject_alpha: float = 0.05
    min_games: int = 30
    min_gain: float = 0.0


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What a challenger and those beside it said of one game at one minute, and what came, in points."""

    game_id: str
    minute: int
    challenger: float
    champion: float
    persistence: float
    actual: float


@dataclass(frozen=True, slots=True)
class Trial:
    """A challenger's games in the shadow: it over the champion and the reverse, it over persistence and the reverse,
    each over all minutes by ``WEIGHTS``; ``official`` it over the champion at the official minute alone."""

    over_champion: Comparison = NOTHING_YET
    champion_over: Comparison = NOTHING_YET
    over_persistence: Comparison = NOTHING_YET
    persistence_over: Comparison = NOTHING_YET
    official: Comparison = NOTHING_YET

    def after(self, games: Sequence[Shadowed]) -> Trial:
        """After further games in order; the rows of a game come together."""
        if not games:
            return self
        columns = np.array([(one.challenger, one.champion, one.persistence, one.actual) for one in games])
        challenger, champion, persistence, actual = columns.T
        weights = np.array([WEIGHTS[one.minute] for one in games])
        starts = np.flatnonzero([not i or games[i].game_id != games[i - 1].game_id for i in range(len(games))])

        def over(points_a: Floats, points_b: Floats, so_far: Comparison) -> Comparison:
            gains, bounds = gains_of(points_a, points_b, actual)
            return so_far.after_gains(
                np.add.reduceat(weights * gains, starts), np.add.reduceat(weights * bounds, starts)
            )

        at = np.array([one.minute == OFFICIAL_MINUTE for one in games])
        return Trial(
            over(champion, challenger, self.over_champion),
            over(challenger, champion, self.champion_over),
            over(persistence, challenger, self.over_persistence),
            over(challenger, persistence, self.persistence_over),
            self.official.after(champion[at], challenger[at], actual[at]),
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, why in sentences, and the figures it rests on (JSON values)."""

    action: Action
    reasons: tuple[str, ...]
    evidence: dict[str, Any]


def decide(trial: Trial, held_out: Mapping[str, float], rules: Rules) -> Decision:
    """``held_out`` has the challenger's figures on games that fitted nothing; ``skill_squared_lower`` is the lower end
    of its 95% skill against persistence in squared error, absent when nobody measured it."""
    # Two ways to show it, all minutes or the official one: each may err half as often.
    enough, bad = 2.0 / rules.promote_alpha, 1.0 / rules.reject_alpha
    better, worse, official = trial.over_champion, trial.champion_over, trial.official
    evidence = {
        "over_champion": better.summary(),
        "champion_over": worse.summary(),
        "over_persistence": trial.over_persistence.summary(),
        "persistence_over": trial.persistence_over.summary(),
        "official": official.summary(),
        "held_out_skill_lower": held_out.get("skill_squared_lower"),
        "promote_at": enough,
        "reject_at": bad,
    }
    against = []
    if trial.persistence_over.best_e_value >= bad:
        against.append(f"persistence errs less (evidence {trial.persistence_over.best_e_value:.3g} of {bad:g})")
    if worse.best_e_value >= bad:
        against.append(f"the champion errs less (evidence {worse.best_e_value:.3g} of {bad:g})")
    if against:
        return Decision("reject", tuple(against), evidence)
    missing = []
    evident = max(better.best_e_value, official.best_e_value)
    if evident < enough:
        missing.append(f"evidence that it errs less than the champion is {evident:.3g} of {enough:g}")
    if official.n < rules.min_games:
        missing.append(f"{official.n} games compared at minute 18, {rules.min_games} needed")
    if official.mean_gain <= 0.0 or official.mean_gain < rules.min_gain:
        missing.append(f"it gains {official.mean_gain:+.3f} points at minute 18, {rules.min_gain:g} needed")
    if not beats_persistence(trial, held_out, rules):
        missing.append("it is not shown to beat persistence")
    if missing:
        return Decision("keep", tuple(missing), evidence)
    won = f"it errs {official.mean_gain:.3f} points less than the champion at minute 18 over {official.n} games"
    return Decision("promote", (f"{won} (evidence {evident:.3g} of {enough:g})",), evidence)


def beats_persistence(trial: Trial, held_out: Mapping[str, float], rules: Rules) -> bool:
    """Shown on games that fitted nothing or in the shadow, and not contradicted there."""
    if trial.persistence_over.best_e_value >= 1.0 / rules.reject_alpha or trial.over_persistence.mean_gain <= 0.0:
        return False
    shown = (held_out.get("skill_squared_lower") or 0.0) > 0.0
    return shown or trial.over_persistence.best_e_value >= 1.0 / rules.promote_alpha
