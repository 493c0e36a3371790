"""From a list of plays with scores to one row of history: is the scoring sound, and what was the margin each minute.

Published play-by-play has a few games whose running score is corrupt. A score path is sound when every step is at most
three points up, or at most three down with a replay review to explain it. A corrupt one is told again from the baskets
and free throws themselves, and believed only when that ends at the official score.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

LARGEST_STEP: Final = 3
MINUTES: Final = 49

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Fault(StrEnum):
    """Why a game is left out of the history."""

    UNFINISHED = "unfinished"
    CORRUPT_SCORE = "corrupt score"
    NO_DATE = "no date"
    UNKNOWN_TEAMS = "unknown teams"
    BAD_CLOCK = "bad clock"
    OTHER_COMPETITION = "neither regular season nor playoffs"
    UNSOUND = "unsound row"
    NO_MARGIN = "no margin of a minute"


@dataclass(frozen=True, slots=True)
class Plays:
    """One game's plays in the order they happened, n elements each.

    ``period`` 1.., ``t`` elapsed game seconds, ``home`` and ``away`` the score shown (NaN where a play shows none),
    ``home_points`` and ``away_points`` what the play itself scored, ``review`` whether it is a replay review.
    """

    period: Ints
    t: Floats
    home: Floats
    away: Floats
    home_points: Ints
    away_points: Ints
    review: Bools


@dataclass(frozen=True, slots=True)
class ScorePath:
    """Margins (49) at minutes 0..48, scores at minute 24 and at the end; ``repaired`` when told from the baskets."""

    margins: Ints
    home_24: int
    away_24: int
    home: int
    away: int
    periods: int
    repaired: bool


def score_path(plays: Plays) -> ScorePath | Fault:
    """The path of one game, or why there is none."""
    periods = int(plays.period.max(initial=0))
    shown = ~(np.isnan(plays.home) | np.isnan(plays.away))
    if periods < 4 or not shown.any():
        return Fault.UNFINISHED
    final = (int(plays.home[shown][-1]), int(plays.away[shown][-1]))
    if final[0] == final[1]:
        return Fault.UNFINISHED
    repaired = not _sound(plays, shown)
    if repaired:
        home, away = plays.home_points.cumsum(), plays.away_points.cumsum()
        if (int(home[-1]), int(away[-1])) != final:
            return Fault.CORRUPT_SCORE
    else:
        home, away = _filled(plays.home, shown), _filled(plays.away, shown)
    marks = [_last_play(plays, minute) for minute in range(MINUTES)]
    at_home = np.array([home[i] if i >= 0 else 0 for i in marks], dtype=np.int64)
    at_away = np.array([away[i] if i >= 0 else 0 for i in marks], dtype=np.int64)
    return ScorePath(at_home - at_away, int(at_home[24]), int(at_away[24]), *final, periods, repaired)


def _last_play(plays: Plays, minute: int) -> int:
    """Index of the last play with t <= 60 minute and period <= ceil(minute / 12); -1 when there is none."""
    counted = np.flatnonzero((plays.t <= 60 * minute) & (plays.period <= max(-(-minute // 12), 1)))
    return int(counted[-1]) if len(counted) else -1


def _sound(plays: Plays, shown: Bools) -> bool:
    """Whether every change of the score shown is one that a play, or a review, can make."""
    at = np.flatnonzero(shown)
    home = np.diff(plays.home[at], prepend=0.0)
    away = np.diff(plays.away[at], prepend=0.0)
    upward = (home >= 0) & (away >= 0) & (home + away <= LARGEST_STEP)
    reviews = plays.review.cumsum()[at]
    reviewed = np.diff(reviews, prepend=0) > 0
    taken_back = reviewed & (np.abs(home) + np.abs(away) <= LARGEST_STEP)
    return bool((upward | taken_back).all())


def _filled(score: Floats, shown: Bools) -> Ints:
    """The score after every play: the last one shown, 0 before the first."""
    last = np.maximum.accumulate(np.where(shown, np.arange(len(score)), -1))
    filled: Ints = np.where(last >= 0, np.nan_to_num(score)[last], 0).astype(np.int64)
    return filled
