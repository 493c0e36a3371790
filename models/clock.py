"""Period and game clock <-> elapsed game seconds.

A regulation period has 720 s, an overtime 300 s. Elapsed seconds count from tip-off; the end of Q1 and the start
of Q2 share t = 720, so a play is placed by (period, t), never by t alone.
"""

from __future__ import annotations

import re

REGULATION_PERIODS = 4
REGULATION_PERIOD_S = 720.0
OVERTIME_S = 300.0
HALFTIME_MINUTE = 24
OFFICIAL_MINUTE = 18

_CLOCK = re.compile(r"^PT(?P<minutes>\d{1,2})M(?P<seconds>\d{1,2}(?:\.\d{1,3})?)S$")


class ClockError(ValueError):
    """A period or game clock that no basketball game can show."""


def period_length_s(period: int) -> float:
    """Length of ``period`` in seconds: 720 for 1..4, 300 for overtimes 5 and up."""
    if period < 1:
        raise ClockError(f"period {period} does not exist: periods start at 1")
    return REGULATION_PERIOD_S if period <= REGULATION_PERIODS else OVERTIME_S


def period_start_s(period: int) -> float:
    """Elapsed seconds at which ``period`` starts."""
    period_length_s(period)
    overtimes = max(0, period - REGULATION_PERIODS - 1)
    return min(period - 1, REGULATION_PERIODS) * REGULATION_PERIOD_S + overtimes * OVERTIME_S


def elapsed_s(period: int, clock_remaining_s: float) -> float:
    """Elapsed game seconds when ``clock_remaining_s`` are left in ``period``.

    Raises ClockError when the clock shows less than 0 or more than the period's length.
    """
    length = period_length_s(period)
    if not 0.0 <= clock_remaining_s <= length:
        raise ClockError(f"clock shows {clock_remaining_s} s in period {period}: it runs from {length:g} down to 0")
    return period_start_s(period) + length - clock_remaining_s


def parse_clock(text: str) -> float:
    """Seconds remaining from the feed's clock, "PT05M53.00S" or "PT00M36.40S"."""
    match = _CLOCK.match(text)
    if match is None:
        raise ClockError(f"clock {text!r} is not of the form PT05M53.00S")
    seconds = float(match["seconds"])
    if seconds >= 60:
        raise ClockError(f"clock {text!r} has {seconds:g} seconds in a minute")
    return int(match["minutes"]) * 60 + seconds


def format_clock(remaining_s: float) -> str:
    """The feed's form of a clock: 353 -> "PT05M53.00S"."""
    if not 0 <= remaining_s <= REGULATION_PERIOD_S:
        raise ClockError(f"clock {remaining_s} s is outside 0..{REGULATION_PERIOD_S:g}")
    hundredths = round(remaining_s * 100)
    return f"PT{hundredths // 6000:02d}M{hundredths % 6000 / 100:05.2f}S"
