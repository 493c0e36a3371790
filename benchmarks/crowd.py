"""A crowd of followers around the requests of a recorded night: what is measured of it, and what is scaled.

Measured are the moments: when the platform itself asked for the forecast of a game's minute, which is when a follower's
page is told that there is a new one. Scaled is how many ask then. At 6:00 of the second quarter, the official forecast,
everybody who follows the game asks, at each other minute a share of them; they ask one after the other, two of three
within ``hurry_s`` seconds, more and more slowly (an exponential wait).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.request_trace import Trace
from models.clock import OFFICIAL_MINUTE

SHARE, HURRY_S = 0.05, 60.0
CALM_S, AFTER_S = 900.0, 1800.0
Floats = NDArray[np.float64]


def crowd(trace: Trace, followers: float, *, share: float = SHARE, hurry_s: float = HURRY_S) -> Floats:
    """Requests in each second, float64[seconds], from ``CALM_S`` before the first tip-off to ``AFTER_S`` after the last
    request; ``followers`` are those of one game."""
    moments = trace.moments()
    seconds = np.arange(CALM_S + moments[-1][0] + AFTER_S)
    asked = np.zeros_like(seconds)
    for at_s, minute in moments:
        # Who asks within a second: the share of the wait that ends in it, so that nobody is lost or counted twice.
        ends_s = np.maximum(seconds + 1.0 - CALM_S - at_s, 0.0)
        begins_s = np.maximum(seconds - CALM_S - at_s, 0.0)
        askers = followers * (1.0 if minute == OFFICIAL_MINUTE else share)
        asked += askers * (np.exp(-begins_s / hurry_s) - np.exp(-ends_s / hurry_s))
    return asked


def followers_for(trace: Trace, peak: float, *, share: float = SHARE, hurry_s: float = HURRY_S) -> float:
    """How many followers a game must have for ``peak`` requests in the night's fullest second."""
    return peak / float(crowd(trace, 1.0, share=share, hurry_s=hurry_s).max())
