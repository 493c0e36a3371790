"""The schedule of a simulated regular season: who meets whom, on which date, at what hour.

82 games a team, 41 of them at home: four against each division rival, three or four against the rest of the conference,
two against each team of the other one. From the third Tuesday of October to the second Sunday of April, no team twice a
day and hardly ever three days running, few games on Thursdays and many on Wednesdays, none on Thanksgiving, Christmas
Eve and around the All-Star game, and all thirty teams on the last day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import combinations
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from models.league_random import stream_keys, uniforms
from models.teams import TEAMS, TRICODES

EASTERN: Final = ZoneInfo("America/New_York")
GAMES_PER_SEASON: Final = 1230

_WEEKDAY_GAMES: Final = (7.0, 5.4, 9.7, 4.2, 8.4, 8.0, 6.3)  # Monday..Sunday
_LARGEST_SLATE: Final = 15
_OPENING_GAMES: Final = 2
_STREAM: Final = 700_000_000  # far from every game id, which are the streams of games
# Usual tip-off hours (Eastern) by the zone of the home arena.
_TIPS: Final = {
    "America/New_York": (time(19, 0), time(19, 0), time(19, 30), time(19, 30), time(20, 0)),
    "America/Chicago": (time(20, 0), time(20, 0), time(20, 30), time(19, 30)),
    "America/Denver": (time(21, 0), time(21, 0), time(22, 0)),
    "America/Phoenix": (time(21, 0), time(22, 0)),
    "America/Los_Angeles": (time(22, 0), time(22, 0), time(22, 30)),
}


@dataclass(frozen=True, slots=True)
class Fixture:
    """One game to be played: league date (US Eastern), home and away tricode."""

    date: date
    home: str
    away: str


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def opening_day(season: int) -> date:
    """The third Tuesday of October."""
    return _nth_weekday(season, 10, 1, 3)


def closing_day(season: int) -> date:
    """The second Sunday of April of the following year, the last day of the regular season."""
    return _nth_weekday(season + 1, 4, 6, 2)


def _days_off(season: int) -> set[date]:
    presidents_day = _nth_weekday(season + 1, 2, 0, 3)
    all_star = {presidents_day + timedelta(days=n) for n in range(-3, 3)}
    return all_star | {_nth_weekday(season, 11, 3, 4), date(season, 12, 24)}


def _pairings(season: int) -> list[tuple[str, str]]:
    """All 1,230 (home, away) pairs in a fixed order; which conference rivals meet three times turns with the season."""
    games: list[tuple[str, str]] = []
    for first, second in combinations(TRICODES, 2):
        a, b = TEAMS[first], TEAMS[second]
        meetings = 2 if a.conference != b.conference else 4
        if a.conference == b.conference and a.division != b.division:
            continue
        games += [(first, second), (second, first)] * (meetings // 2)
    for conference in ("East", "West"):
        divisions = sorted({t.division for t in TEAMS.values() if t.conference == conference})
        for left, right in combinations(divisions, 2):
            lefts = [t.tricode for t in TEAMS.values() if t.division == left]
            rights = [t.tricode for t in TEAMS.values() if t.division == right]
            for i, first in enumerate(lefts):
                for j, second in enumerate(rights):
                    turn = (j - i - season) % 5
                    games += [(first, second), (second, first)] * (1 if turn < 2 else 2)
                    # Each team plays four rivals three times: twice at home against two of them, once against two.
                    games += [(first, second)] if turn == 0 else [(second, first)] if turn == 1 else []
    return games


def _slate_sizes(season: int, seed: int) -> dict[date, int]:
    """Games a date, days off left out; sums to 1,230 with the last day's fifteen."""
    off, last = _days_off(season), closing_day(season)
    span = (last - opening_day(season)).days
    days = [d for n in range(span) if (d := opening_day(season) + timedelta(days=n)) not in off]
    noise = uniforms(stream_keys(seed, np.array([_STREAM + season])), 0, 1)[0]
    swing = uniforms(stream_keys(seed, _STREAM + season * 1000 + np.arange(len(days))), 1, 1)[0]
    wish = np.array([_WEEKDAY_GAMES[d.weekday()] for d in days]) * (0.65 + 0.7 * swing)
    wish[0] = 0.0
    target = GAMES_PER_SEASON - _LARGEST_SLATE - _OPENING_GAMES
    exact = np.cumsum(wish * target / wish.sum()) + noise[0] - 0.5
    sizes = np.diff(np.concatenate([[0], np.round(exact)])).astype(int)
    sizes[0] = _OPENING_GAMES
    sizes[-1] += target + _OPENING_GAMES - sizes.sum()
    return dict(zip(days, (int(n) for n in sizes), strict=True))


def regular_season(season: int, seed: int) -> list[Fixture]:
    """The 1,230 games of ``season`` in date order. The same season and seed give the same schedule."""
    games = _pairings(season)
    home = np.array([TRICODES.index(h) for h, _ in games])
    away = np.array([TRICODES.index(a) for _, a in games])
    when: list[date | None] = [None] * len(games)
    busy: dict[date, set[int]] = {}

    def put(game: int, day: date) -> None:
        when[game] = day
        busy.setdefault(day, set()).update((int(home[game]), int(away[game])))

    last = closing_day(season)
    tickets = uniforms(stream_keys(seed, _STREAM + 500_000 + season * 100 + np.arange(30)), 2, 1)[0]
    order = np.argsort(tickets, kind="stable")
    for one, other in zip(order[::2], order[1::2], strict=True):
        put(int(np.flatnonzero((home == one) & (away == other))[0]), last)

    left = np.bincount(home, minlength=30) + np.bincount(away, minlength=30) - 1
    luck = stream_keys(seed, _STREAM + 1_000_000 + season * 2000 + np.arange(len(games)))
    sizes = _slate_sizes(season, seed)
    for number, (day, size) in enumerate(sizes.items()):
        yesterday = busy.get(day - timedelta(days=1), set())
        resting = yesterday & (busy.get(day - timedelta(days=2), set()) | busy.get(day + timedelta(days=1), set()))
        tired = np.isin(np.arange(30), list(yesterday)) * 3.0
        need = left[home] + left[away] - tired[home] - tired[away] + 6.0 * uniforms(luck, number, 1)[0]
        chosen = 0
        for game in np.argsort(-need, kind="stable"):
            pair = {int(home[game]), int(away[game])}
            if chosen == size:
                break
            if when[game] is None and not pair & resting and not pair & busy.get(day, set()):
                put(int(game), day)
                left[[home[game], away[game]]] -= 1
                chosen += 1
    _place_leftovers(when, home, away, busy, list(sizes), put)
    fixtures = [Fixture(day, *game) for day, game in zip(when, games, strict=True) if day is not None]
    return sorted(fixtures, key=lambda f: (f.date, tip_time(f, seed), f.home))


def _place_leftovers(
    when: list[date | None],
    home: NDArray[np.int64],
    away: NDArray[np.int64],
    busy: dict[date, set[int]],
    days: list[date],
    put: Callable[[int, date], None],
) -> None:
    """Give every game without a date the smallest slate on which both teams are free and not on their third day."""
    for game in [g for g, day in enumerate(when) if day is None]:
        pair = {int(home[game]), int(away[game])}

        def crowded(day: date, pair: set[int] = pair) -> int:
            near = [busy.get(day + timedelta(days=n), set()) for n in (-2, -1, 1, 2)]
            thrice = near[0] & near[1] | near[1] & near[2] | near[2] & near[3]
            return len(busy.get(day, set())) + 100 * len(pair & thrice)

        free = [d for d in days if not pair & busy.get(d, set()) and len(busy.get(d, set())) < 2 * _LARGEST_SLATE]
        put(game, min(free, key=lambda d: (crowded(d), d)))


def tip_time(fixture: Fixture, seed: int) -> datetime:
    """Scheduled tip-off, aware, US Eastern: 7 pm to 10:30 pm by the home arena's zone."""
    hours = _TIPS[TEAMS[fixture.home].zone]
    stream = _STREAM + 50_000_000 + fixture.date.toordinal() * 32 + TRICODES.index(fixture.home)
    u = uniforms(stream_keys(seed, np.array([stream])), 0, 1)[0, 0]
    return datetime.combine(fixture.date, hours[int(u * len(hours))], tzinfo=EASTERN)
