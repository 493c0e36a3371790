"""Which night to replay when nobody names one."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from services.history import recorded_dates, simulated_dates
from services.settings import Settings

# Eight games between 7 and 10 pm in early February: the shortest such evening of the recorded season.
RECORDED_NIGHT = date(2023, 2, 3)
GAMES_WANTED = range(8, 11)


class NoSlate(LookupError):
    """No night can be replayed, or none on the date asked for."""


def league_today() -> date:
    """The league date now: the day in the eastern United States."""
    return datetime.now(ZoneInfo("America/New_York")).date()


def nights(settings: Settings) -> dict[date, int]:
    """League dates that can be replayed and how many games each has."""
    if settings.league_source == "simulated":
        return simulated_dates(settings.simulated_seed)
    if settings.data is None:
        raise NoSlate("a replay of recorded games needs HALFTIME_DATA: the folder with plays_*.parquet")
    return recorded_dates(settings.data)


def pick_night(settings: Settings) -> date:
    """A night of 8 to 10 games late in the history, so that most of it can be learned from first."""
    known = nights(settings)
    if known.get(RECORDED_NIGHT, 0) >= GAMES_WANTED.start and settings.league_source != "simulated":
        return RECORDED_NIGHT
    fitting = sorted(day for day, games in known.items() if games in GAMES_WANTED)
    midwinter = [day for day in fitting if day.month == 2]
    if not fitting:
        raise NoSlate(f"no night of {GAMES_WANTED.start} games or more among {len(known)}: name one with its date")
    return (midwinter or fitting)[-1]


def check_night(settings: Settings, night: date) -> None:
    """Raises NoSlate when ``night`` has no games, naming the nearest that have."""
    known = nights(settings)
    if known.get(night, 0) == 0:
        near = sorted(known, key=lambda day: abs((day - night).days))[:3]
        raise NoSlate(
            f"no {settings.league_source} games to replay on {night}; the nearest: "
            + ", ".join(f"{day} ({known[day]} games)" for day in near)
        )
