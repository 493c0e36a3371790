"""A finished game as history has it: from its last snapshot, by the rules that training data follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.clock import HALFTIME_MINUTE
from models.game import Snapshot, Status
from models.score_path import Fault, Plays, score_path


@dataclass(frozen=True, slots=True)
class FinishedGame:
    """``margins`` are margin(0)..margin(48), home minus away; ``possession`` who has the ball at minutes 0..23, +1
    home, -1 away, 0 loose or not told; None when no play told it. Scores at minute 24 and at the end."""

    margins: tuple[int, ...]
    possession: tuple[int, ...] | None
    home_24: int
    away_24: int
    home: int
    away: int
    periods: int


def finished_game(snapshot: Snapshot) -> FinishedGame | Fault:
    """The game that ``snapshot`` shows to its end, or why it cannot be learned from: not over, or a score that no play
    can make."""
    if snapshot.status is not Status.FINAL:
        return Fault.UNFINISHED
    plays = snapshot.plays
    nothing = np.zeros(len(plays), dtype=np.int64)
    path = score_path(
        Plays(
            period=np.array([play.period for play in plays], dtype=np.int64),
            t=np.array([play.t for play in plays], dtype=np.float64),
            home=np.array([play.home for play in plays], dtype=np.float64),
            away=np.array([play.away for play in plays], dtype=np.float64),
            home_points=nothing,
            away_points=nothing,
            # A snapshot does not tell reviews apart; points taken back are taken to be one.
            review=np.ones(len(plays), dtype=np.bool_),
        )
    )
    if isinstance(path, Fault):
        return path
    ball = (*snapshot.possessions, *([0] * HALFTIME_MINUTE))[:HALFTIME_MINUTE]
    return FinishedGame(
        margins=tuple(path.margins.tolist()),
        possession=ball if any(ball) else None,
        home_24=path.home_24,
        away_24=path.away_24,
        home=path.home,
        away=path.away,
        periods=path.periods,
    )
