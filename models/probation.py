"""Whether a new champion is worse than the one before: looked at after every game until its probation ends.

If the new champion's point is what is to be expected and outcomes stray from it as errors with spread sd do, then

    ratio = exp(((actual - new)^2 - (actual - before)^2) / (2 sd^2))

has an expectation of at most 1 for errors no wilder than normal ones (sub-Gaussian), so the product over games is an
e-process: the chance that it ever reaches A is at most 1/A. Games are seen at several minutes; each has its own product
and their mean is the evidence. It asks for less proof than a trial, since nothing was won by trial: who is promoted by
force forecasts every evening.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from models.promotion import WEIGHTS

# What one game may say at most: a single odd outcome shall not decide.
MOST_A_GAME = 100.0
MINUTES = tuple(WEIGHTS)


@dataclass(frozen=True, slots=True)
class Probation:
    """After ``games``: ``logs`` by minute the logarithm of the product of ratios, ``best`` the largest evidence."""

    games: int = 0
    logs: tuple[tuple[int, float], ...] = ()
    best: float = 1.0

    def after(self, ratios: Mapping[int, float]) -> Probation:
        """After one more game, with its ratio at each minute it was forecast at."""
        logs = dict(self.logs)
        for minute, ratio in ratios.items():
            logs[minute] = logs.get(minute, 0.0) + math.log(ratio)
        made = Probation(self.games + 1, tuple(sorted(logs.items())), self.best)
        return Probation(made.games, made.logs, max(self.best, made.evidence))

    @property
    def evidence(self) -> float:
        """That the champion before knew better; its expected value is at most 1 if the new one is right."""
        logs = dict(self.logs)
        # A minute that was not seen yet has bet nothing.
        return sum(math.exp(min(logs.get(minute, 0.0), 700.0)) for minute in MINUTES) / len(MINUTES)


def ratio(before: float, new: float, actual: float, sd: float) -> float:
    """How much more an outcome agrees with the point before than with the new one; ``sd`` > 0, all in points."""
    log = ((actual - new) ** 2 - (actual - before) ** 2) / (2.0 * sd**2)
    return math.exp(min(log, math.log(MOST_A_GAME)))
