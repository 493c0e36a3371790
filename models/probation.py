"""Whether a new champion is worse than the one before: looked at after every game until its probation ends.

Both distributions of a game are stored, so each outcome is a likelihood ratio: how probable the champion before called
it, over how probable the new one did. If the new one's distributions are right the product of the ratios is an
e-process: the chance that it ever reaches A is at most 1/A. Games are seen at several minutes; each minute has its own
product and their mean is the evidence. It is faster than a comparison of absolute errors, which matters here: nothing
of it was chosen by trial, and a bad champion forecasts every evening.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# A probability that is stored as less is taken for this; what one game may say is limited by the second.
LEAST_PROBABILITY = 1e-7
MOST_A_GAME = 100.0


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
        values = [math.exp(min(log, 700.0)) for _, log in self.logs]
        return sum(values) / len(values) if values else 1.0


def ratio(before: Mapping[str, Any], new: Mapping[str, Any], actual: int) -> float:
    """The likelihood ratio of two stored distributions ({first, probabilities}) for the margin that came."""
    return min(probability(before, actual) / probability(new, actual), MOST_A_GAME)


def probability(stored: Mapping[str, Any], margin: int) -> float:
    """P(margin) of a stored distribution, at least ``LEAST_PROBABILITY``."""
    values: Sequence[float] = stored["probabilities"]
    place = margin - int(stored["first"])
    return max(float(values[place]), LEAST_PROBABILITY) if 0 <= place < len(values) else LEAST_PROBABILITY
