"""Whether a challenger becomes champion: never without evidence, and never one that does not beat persistence.

Every verdict may be read after every game: the chance that a challenger no better than the champion is ever promoted is
at most ``promote_alpha``, however long it is tried (models/paired.py). A recalibration is no challenger: it keeps the
components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from models.paired import NOTHING_YET, Comparison, Floats

Action = Literal["promote", "keep", "reject"]


@dataclass(frozen=True, slots=True)
class Rules:
    """``promote_alpha`` and ``reject_alpha``: chances of an error, over all time. ``min_games`` compared games and
    ``min_gain`` points of mean absolute error are needed beside the evidence."""

    promote_alpha: float = 0.05
    reject_alpha: float = 0.05
    min_games: int = 30
    min_gain: float = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A challenger's games in the shadow: it over the champion and the reverse, it over persistence and the reverse."""

    over_champion: Comparison = NOTHING_YET
    champion_over: Comparison = NOTHING_YET
    over_persistence: Comparison = NOTHING_YET
    persistence_over: Comparison = NOTHING_YET

    def after(self, challenger: Floats, champion: Floats, persistence: Floats, actual: Floats) -> Trial:
        """After further games in order, each float64[k] in points."""
        return Trial(
            self.over_champion.after(champion, challenger, actual),
            self.champion_over.after(challenger, champion, actual),
            self.over_persistence.after(persistence, challenger, actual),
            self.persistence_over.after(challenger, persistence, actual),
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
    enough, bad = 1.0 / rules.promote_alpha, 1.0 / rules.reject_alpha
    better, worse = trial.over_champion, trial.champion_over
    evidence = {
        "over_champion": better.summary(),
        "champion_over": worse.summary(),
        "over_persistence": trial.over_persistence.summary(),
        "persistence_over": trial.persistence_over.summary(),
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
    if better.best_e_value < enough:
        missing.append(f"evidence that it errs less than the champion is {better.best_e_value:.3g} of {enough:g}")
    if better.n < rules.min_games:
        missing.append(f"{better.n} games compared, {rules.min_games} needed")
    if better.mean_gain < rules.min_gain:
        missing.append(f"it gains {better.mean_gain:+.3f} points, {rules.min_gain:g} needed")
    if not beats_persistence(trial, held_out, rules):
        missing.append("it is not shown to beat persistence")
    if missing:
        return Decision("keep", tuple(missing), evidence)
    won = f"it errs {better.mean_gain:.3f} points less than the champion over {better.n} games"
    return Decision("promote", (f"{won} (evidence {better.best_e_value:.3g} of {enough:g})",), evidence)


def beats_persistence(trial: Trial, held_out: Mapping[str, float], rules: Rules) -> bool:
    """Shown on games that fitted nothing or in the shadow, and not contradicted there."""
    if trial.persistence_over.best_e_value >= 1.0 / rules.reject_alpha:
        return False
    shown = held_out.get("skill_squared_lower", 0.0) > 0.0
    return shown or trial.over_persistence.best_e_value >= 1.0 / rules.promote_alpha
