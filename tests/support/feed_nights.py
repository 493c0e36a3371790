"""Small nights of the simulated league, and a clock that tests move by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from services.replay_night import Night
from services.replay_rules import parse_rules
from services.replay_slate import Slate
from services.replay_sources import simulated_slate


class ManualTime:
    """Monotonic seconds that pass only when told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@cache
def evening() -> Slate:
    """The simulated slate of the default date."""
    return simulated_slate()


def night(rules: str = "", games: int = 2, seed: int = 0) -> tuple[Night, ManualTime]:
    """The evening's first games on a clock in feed time that is started and moved by hand."""
    slate = replace(evening(), games=evening().games[:games])
    time = ManualTime()
    shown = Night(slate, 1.0, parse_rules(rules), seed, monotonic=time)
    shown.clock.start()
    return shown, time


def every_moment(shown: Night, place: int = 0) -> Sequence[float]:
    """Epoch seconds at which the file of one game changes."""
    return shown.games[place].timeline.moments
