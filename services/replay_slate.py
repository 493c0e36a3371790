"""The games of one league date, ready to be shown again: every event with the wall time at which the feed shows it.

A recorded event carries its wall time to the minute, now and then backwards and once in a while hours off. The longest
run of rows whose minutes never go back is kept as the truth, a row outside it takes the minute of the row before, and
the rows of one minute are spread over it in their order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd

from models.teams import UnknownTeamError, team

EASTERN: Final = ZoneInfo("America/New_York")
LONGEST_GAP_MIN: Final = 60
_COLUMNS = (
    "period",
    "clock_seconds_remaining",
    "action_type",
    "team",
    "score_home",
    "score_away",
    "points_home",
    "points_away",
    "time_actual_et_minute",
)


class SlateError(ValueError):
    """A league date that cannot be replayed; the message says why and what can."""


class Row(NamedTuple):
    """One recorded event. ``at_s`` is wall time in epoch seconds, ``team`` a tricode or None when not recorded."""

    period: int
    remaining_s: float
    action: str
    team: str | None
    home: int
    away: int
    points: int
    at_s: float


class Standing(NamedTuple):
    """Games won and lost in the season before this one."""

    wins: int
    losses: int


@dataclass(frozen=True)
class Script:
    """One game to be shown. ``scheduled_at`` is the announced tip (aware, Eastern); rows are in the recorded order."""

    game_id: str
    home: str
    away: str
    league_date: date
    scheduled_at: datetime
    rows: tuple[Row, ...]
    standings: tuple[Standing, Standing] = (Standing(0, 0), Standing(0, 0))
    postponed: bool = False

    @property
    def tip_s(self) -> float:
        """Wall time of the first event, epoch seconds."""
        return self.rows[0].at_s


@dataclass(frozen=True)
class Slate:
    """The games of one league date and where they come from: recorded or simulated."""

    league_date: date
    source: str
    games: tuple[Script, ...]


def build_slate(league_date: date, source: str, games: pd.DataFrame, plays: pd.DataFrame) -> Slate:
    """From one row a game (game_id, home, away) and the events of those games (columns as plays_*.parquet).

    Games without events are left out. Raises SlateError when none is left or a team is unknown.
    """
    events = {str(game_id): frame for game_id, frame in plays.groupby("game_id", sort=False)}
    scripts = []
    for game_id, home, away in zip(games["game_id"], games["home"], games["away"], strict=True):
        if str(game_id) in events:
            scripts.append(build_script(str(game_id), str(home), str(away), league_date, events[str(game_id)]))
    if not scripts:
        raise SlateError(f"no events of any game on {league_date}: choose a date whose plays are recorded")
    return Slate(league_date, source, tuple(sorted(scripts, key=lambda script: (script.scheduled_at, script.game_id))))


def build_script(game_id: str, home: str, away: str, league_date: date, events: pd.DataFrame) -> Script:
    """One game from its events in order. Raises SlateError for a team that no franchise has or a frame without rows."""
    for tricode in (home, away):
        try:
            team(tricode)
        except UnknownTeamError as error:
            raise SlateError(f"game {game_id} cannot be replayed: {error}") from error
    if events.empty:
        raise SlateError(f"game {game_id} has no events")
    first: datetime = events["time_actual_et_minute"].iloc[0].to_pydatetime()
    tip_at = first.replace(tzinfo=EASTERN)
    minutes = ((events["time_actual_et_minute"] - first).dt.total_seconds() // 60).astype(int).tolist()
    columns = [events[name].tolist() for name in _COLUMNS[:-1]]
    rows = tuple(
        Row(
            period=int(period),
            remaining_s=float(remaining),
            action=str(action),
            team=side if side in (home, away) else None,
            home=int(score_home),
            away=int(score_away),
            points=int(points_home) + int(points_away),
            at_s=tip_at.timestamp() + offset_s,
        )
        for (period, remaining, action, side, score_home, score_away, points_home, points_away), offset_s in zip(
            zip(*columns, strict=True), spread(minutes), strict=True
        )
    )
    # Games tip a few minutes after the half hour that was announced.
    scheduled_at = tip_at.replace(minute=tip_at.minute // 30 * 30)
    return Script(game_id, home, away, league_date, scheduled_at, rows)


def spread(minutes: Sequence[int]) -> list[float]:
    """Seconds since minute 0 for each row, strictly increasing, from its recorded minute."""
    seconds: list[float] = []
    repaired = list(_never_back(minutes))
    start = 0
    while start < len(repaired):
        stop = bisect_right(repaired, repaired[start], start)
        step = 60.0 / (stop - start + 1)
        seconds += [repaired[start] * 60.0 + step * (place + 1) for place in range(stop - start)]
        start = stop
    return seconds


def _never_back(minutes: Sequence[int]) -> Iterator[int]:
    """Minutes without steps back and without gaps above LONGEST_GAP_MIN."""
    kept = _longest_run(minutes)
    last, shift = 0, 0
    for place, minute in enumerate(minutes):
        if place in kept:
            gap = minute - shift - last
            if gap > LONGEST_GAP_MIN:
                shift += gap - LONGEST_GAP_MIN
            last = max(last, minute - shift)
        yield last


def _longest_run(minutes: Sequence[int]) -> frozenset[int]:
    """Places of the longest subsequence that never goes back (patience sorting)."""
    tails: list[int] = []
    places: list[int] = []
    before: list[int] = []
    for place, minute in enumerate(minutes):
        length = bisect_right(tails, minute)
        before.append(places[length - 1] if length else -1)
        if length == len(tails):
            tails.append(minute)
            places.append(place)
        else:
            tails[length], places[length] = minute, place
    run = set()
    place = places[-1] if places else -1
    while place >= 0:
        run.add(place)
        place = before[place]
    return frozenset(run)
