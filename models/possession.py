"""Who will have the ball at a minute mark: one rule for recorded plays, season archives, replays and the live feed.

Plays count up to a mark exactly as they do for ``models.game.margins``: those with t <= 60 m and
period <= ceil(m / 12), plays exactly on the mark included, the last one in the feed's order deciding.

    made shot, made free throw, foul, turnover   the other team has it
    rebound                                      the team that took it
    missed shot, missed free throw, jump ball    nobody yet: the ball is loose until the next play
    turnover that names no team                  whoever had it loses it
    anything else, or no team                    no change

The team that did not have the first possession starts the second period, so at minute 12, and until the first play of
that period, it has the ball. The rule asks of a play only what every source tells: which of two free throws it was, a
technical foul or who won a jump ball are not among them, and a rebound, turnover or foul that is the team's and not a
player's comes without its team in recorded plays, so every source reads it so.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.clock import HALFTIME_MINUTE

QUARTER: Final = HALFTIME_MINUTE // 2

Ints = NDArray[np.integer[Any]]


class Kind(IntEnum):
    """What a play is to this rule. A made shot's number is that of a missed one and one more."""

    OTHER = 0
    MISSED_SHOT = 1
    MADE_SHOT = 2
    MISSED_FREE_THROW = 3
    MADE_FREE_THROW = 4
    REBOUND = 5
    TURNOVER = 6
    FOUL = 7
    JUMP_BALL = 8


# What recorded events, rows of season archives (EVENTMSGTYPE) and actions of the live feed are; see ``scored``.
RECORDED: Final = {
    "missed_fg": Kind.MISSED_SHOT, "made_fg": Kind.MADE_SHOT, "free_throw": Kind.MISSED_FREE_THROW,
    "rebound": Kind.REBOUND, "turnover": Kind.TURNOVER, "foul": Kind.FOUL, "jump_ball": Kind.JUMP_BALL,
}  # fmt: skip
ARCHIVED: Final = {
    "1": Kind.MADE_SHOT, "2": Kind.MISSED_SHOT, "3": Kind.MISSED_FREE_THROW, "4": Kind.REBOUND, "5": Kind.TURNOVER,
    "6": Kind.FOUL, "10": Kind.JUMP_BALL,
}  # fmt: skip
LIVE: Final = {
    "2pt": Kind.MISSED_SHOT, "3pt": Kind.MISSED_SHOT, "heave": Kind.MISSED_SHOT, "freethrow": Kind.MISSED_FREE_THROW,
    "rebound": Kind.REBOUND, "turnover": Kind.TURNOVER, "foul": Kind.FOUL, "jumpball": Kind.JUMP_BALL,
}  # fmt: skip
MADE: Final = {Kind.MISSED_SHOT: Kind.MADE_SHOT, Kind.MISSED_FREE_THROW: Kind.MADE_FREE_THROW}
# Their team is told only when a player did it.
BY_PLAYERS: Final = (Kind.REBOUND, Kind.TURNOVER, Kind.FOUL)

# The team's side times this has the ball; 0 is loose.
_AFTER: Final = np.array([0, 0, -1, 0, -1, 1, -1, -1, 0], dtype=np.int8)
_LOOSE: Final = np.array([kind in (Kind.MISSED_SHOT, Kind.MISSED_FREE_THROW, Kind.JUMP_BALL) for kind in Kind])
# By one of these the team had the ball; a foul or a rebound may come before the first possession.
_HAD_IT: Final = np.array([Kind.OTHER < kind < Kind.REBOUND or kind == Kind.TURNOVER for kind in Kind])


def scored(kind: Ints, made: NDArray[np.bool_]) -> Ints:
    """``kind`` with the missed shots and free throws that went in as made ones."""
    went_in: Ints = kind + (made & ((kind == Kind.MISSED_SHOT) | (kind == Kind.MISSED_FREE_THROW)))
    return went_in


def possessions(game: Ints, period: Ints, t: NDArray[Any], kind: Ints, side: Ints, games: int) -> NDArray[np.int8]:
    """Who has the ball at each minute mark, int8[games, 24]: +1 home, -1 away, 0 unknown or loose; 0 at minute 0.

    One element a play, a game's plays in their order: ``game`` its row in the result (0..games - 1), ``period`` 1..,
    ``t`` elapsed game seconds, ``kind`` of ``Kind``, ``side`` +1 home, -1 away, 0 not told.
    """
    loses = (kind == Kind.TURNOVER) & (side == 0)
    decides = (period <= 2) & (loses | _LOOSE[kind] | ((side != 0) & (kind != Kind.OTHER)))
    # A period's plays together, in their order: a late entry belongs to the period it names.
    places = np.flatnonzero(decides)
    half = 2 * np.asarray(game, dtype=np.int64)[places] + (period[places] == 2)
    order = np.argsort(half, kind="stable")
    places, half = places[order], half[order]

    starts = _starts(half, kind[places], side[places], games)
    after = _followed(half, loses[places], (_AFTER[kind[places]] * side[places]).astype(np.int8), starts)

    # The last play that counts at each mark; a quarter's marks count its own plays only.
    first_mark = np.maximum(np.ceil(t[places] / 60.0).astype(np.int64), 1 + QUARTER * (half % 2))
    last = np.full((games, HALFTIME_MINUTE), -1, dtype=np.int64)
    counts = first_mark < QUARTER * (1 + half % 2)
    np.maximum.at(last, (half[counts] // 2, first_mark[counts]), np.flatnonzero(counts))
    out = np.zeros((games, HALFTIME_MINUTE), dtype=np.int8)
    for quarter in (0, 1):
        marks = slice(quarter * QUARTER, (quarter + 1) * QUARTER)
        newest = np.maximum.accumulate(last[:, marks], axis=1)
        start = starts[quarter::2, np.newaxis]
        out[:, marks] = np.where(newest >= 0, after[newest], start) if len(after) else start
    return out


def _starts(half: NDArray[np.int64], kind: Ints, side: Ints, games: int) -> NDArray[np.int8]:
    """Who starts each half-game period with the ball, int8[2 games]: nobody the first, by the arrow the second."""
    starts = np.zeros(2 * games, dtype=np.int8)
    had = np.flatnonzero((half % 2 == 0) & _HAD_IT[kind] & (side != 0))[::-1]
    starts[half[had] + 1] = -side[had]  # the earliest play is assigned last
    return starts


def _followed(
    half: NDArray[np.int64], loses: NDArray[np.bool_], told: NDArray[np.int8], starts: NDArray[np.int8]
) -> NDArray[np.int8]:
    """Who has the ball after each play: what the play tells, turned round by every team-less turnover since."""
    place = np.arange(len(half))
    first = np.searchsorted(half, half)
    teller = np.maximum.accumulate(np.where(loses, first - 1, place))
    lost = loses.cumsum()
    before_first = np.concatenate([[0], lost])[first]
    known = teller >= first
    since = lost - np.where(known, lost[teller], before_first)
    base = np.where(known, told[teller], starts[half])
    turned: NDArray[np.int8] = np.where(since % 2 == 1, -base, base).astype(np.int8)
    return turned
