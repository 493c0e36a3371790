"""What a simulated game is made of: the numbers behind each possession.

The values were set so that ten simulated seasons meet the figures of ten recorded ones, which the league's tests hold:
spread and mean of the margin at minute marks, the error of persistence and its growth over the seasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FIRST_SEASON: Final = 2013
LAST_SEASON: Final = 2022

# How a step of a game ends. A step is one try of one team: a shot, a trip to the line, a turnover or the horn.
HORN, TURNOVER, MISSED_2, MISSED_3, MADE_2, MADE_3, FOUL_TRIP = range(7)
# Who gets the ball after a missed shot.
NO_REBOUND, OFFENSIVE, DEFENSIVE = range(3)

# How a step starts, which sets how long it takes.
AFTER_BASKET, AFTER_STOP, AFTER_OFFENSIVE_REBOUND = range(3)

# Seconds until the try ends, at the quantiles 0, 1/10, .. 1; one row a start. A row is read by linear interpolation.
TRY_SECONDS: Final = np.array(
    [
        [4.0, 9.5, 11.5, 13.0, 14.5, 16.0, 17.5, 19.0, 21.0, 23.0, 24.9],
        [1.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.5, 21.0, 24.9],
        [0.0, 0.4, 0.8, 1.2, 1.8, 2.6, 3.8, 5.5, 8.0, 11.0, 14.0],
    ]
)
# Make probability gained by how a try starts: a set defence after a basket, an open floor after a stop.
MAKE_BY_START: Final = np.array([-0.053, 0.048, 0.052])
REBOUND_SECONDS: Final = np.array([0, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5])

TURNOVER_SHARE: Final = 0.128
FOUL_TRIP_SHARE: Final = 0.088
THREE_SHOT_TRIP_SHARE: Final = 0.05
FREE_THROW: Final = 0.772
AND_ONE: Final = 0.052
OFFENSIVE_REBOUND: Final = 0.245
FREE_THROW_OFFENSIVE_REBOUND: Final = 0.13
HEAVE_TRIED: Final = 0.45
HEAVE_MADE: Final = 0.03

LATE_GAME_S: Final = 60
SHOT_CLOCK_S: Final = 24
INTENTIONAL_FOUL: Final = 0.8
RUSHED_PACE: Final = 0.5
# Late and behind, the shot fits the deficit: a two when one or two points are missing, a three when three or more are.
RUSHED_THREE_SHARE: Final = {-1: 0.15, -2: 0.15, -3: 0.85}
RUSHED_THREE_SHARE_FURTHER_BEHIND: Final = 0.65
# A tied game's last shot is a guarded one: make probability lost.
LAST_SHOT_PENALTY: Final = 0.12

# The home side's edge in points a game, by six-minute block of regulation (overtime as the last): most of it early.
HOME_EDGE: Final[NDArray[np.float64]] = np.array([3.42, 2.80, 2.84, 2.80, 2.85, 2.85, 2.85, 2.85])
# Make probability that a margin of one point a game stands for.
MAKE_PER_POINT: Final = 0.0029
# Leaders relax: make probability lost for each point of lead, up to the cap.
RELAX_PER_POINT: Final = 0.00170
RELAX_CAP: Final = 25.0
# In the last six minutes of the game they rest their starters: times this.
RELAX_AT_THE_END: Final = 1.4

# Shocks shared by both sides of a game: how fast it is played and how well the ball drops. Standard deviations.
PACE_SPREAD: Final = 0.02
SHOOTING_SPREAD: Final = 0.006
# Shock of the day of one side against the other, in points a game.
FORM_SPREAD: Final = 4.4


@dataclass(frozen=True, slots=True)
class SeasonRules:
    """How the game is played in one season: each is a little faster than the last, with more threes."""

    three_share: float
    make_2: float
    make_3: float
    try_length: float


def season_rules(season: int) -> SeasonRules:
    """The rules of ``season`` (start year 2013..2022). Raises ValueError outside that span."""
    if not FIRST_SEASON <= season <= LAST_SEASON:
        raise ValueError(f"season {season} is not simulated: choose start years {FIRST_SEASON}..{LAST_SEASON}")
    drift = (season - FIRST_SEASON) / (LAST_SEASON - FIRST_SEASON)
    return SeasonRules(
        three_share=0.262 + 0.128 * drift,
        make_2=0.490 + 0.048 * drift,
        make_3=0.357 + 0.004 * drift,
        try_length=1.015 - 0.075 * drift,
    )
