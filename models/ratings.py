"""How a game is expected to end, known before tip-off, from settled games only.

Elo on the scale of points (Elo 1978; on margins as in Hvattum and Arntzen 2010): a team's rating is by how much it is
expected to beat an average team on a neutral court. After a game both ratings move by ``gain`` times the surprise, in
opposite directions. Between seasons a rating shrinks towards 0 by ``carry``.

To the difference of two ratings come what the schedule says: home advantage, of the league and of the one court, more
of it in the playoffs, and a team that played the evening before is weaker. So one number, the expected final margin,
carries all that is known before tip-off into the forecast.

A rating for a game uses games of earlier league dates only, never of the same date: what is trained on is what a live
forecast can know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import groupby
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.forecast import UnknownTeam
from models.history import History, Result

# A new season is assumed on a date from October on with at least this many days since the last game, so that the
# finals of October 2020 still belong to the season before.
SEASON_STARTS_MONTH = 10
OFF_SEASON_DAYS = 30
PLAYOFF_IDS = "004"
# The end of 2019-20 was played on one neutral court without spectators.
BUBBLE = (date(2020, 7, 1), date(2020, 10, 31))


class StaleResult(ValueError):
    """A game that is not newer than what the ratings already hold."""


@dataclass(frozen=True, slots=True)
class RatingParams:
    """``gain`` share of a surprise a rating takes and ``carry`` share kept over the summer; ``court_gain`` and
    ``court_carry`` the same for a team's own home advantage. ``cap`` is the largest surprise that counts: the rest of a
    rout says little. In points: ``home_advantage``, ``playoffs`` what is added to it there, ``tired_home`` and
    ``tired_away`` what a team loses on its second evening in a row. Chosen on 2014-15 to 2021-22.
    """

    gain: float = 0.033
    carry: float = 0.62
    cap: float = 24.0
    home_advantage: float = 3.0
    playoffs: float = 2.2
    court_gain: float = 0.016
    court_carry: float = 0.35
    tired_home: float = 0.9
    tired_away: float = 1.7

    def __post_init__(self) -> None:
        points = (self.home_advantage, self.playoffs, self.tired_home, self.tired_away)
        if not (0.0 < self.gain < 1.0 and 0.0 <= self.carry <= 1.0 and self.cap > 0.0):
            raise ValueError(f"{self}: gain in (0, 1), carry in 0..1, cap above 0 points")
        if not (0.0 <= self.court_gain < 1.0 and 0.0 <= self.court_carry <= 1.0):
            raise ValueError(f"{self}: court_gain in 0..1, court_carry in 0..1")
        if not all(abs(value) <= 20.0 for value in points):
            raise ValueError(f"{self}: home_advantage, playoffs, tired_home and tired_away within 20 points")


@dataclass(frozen=True)
class Ratings:
    """Ratings after every game through ``as_of`` (None: no game yet). Immutable.

    ``season`` is the season the values stand for, ``values`` {tricode: points against an average team}, ``courts``
    {tricode: points of its home advantage beyond the league's}, ``last_played`` {tricode: league date}.
    """

    params: RatingParams = field(default_factory=RatingParams)
    as_of: date | None = None
    season: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    courts: Mapping[str, float] = field(default_factory=dict)
    last_played: Mapping[str, date] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not set(self.values) == set(self.courts) == set(self.last_played):
            raise ValueError("values, courts and last_played must name the same teams")
        for name in ("values", "courts"):
            numbers: Mapping[str, float] = getattr(self, name)
            object.__setattr__(self, name, _sorted({team: float(value) for team, value in numbers.items()}))
        object.__setattr__(self, "last_played", _sorted(dict(self.last_played)))

    def knows(self, team: str) -> bool:
        """Whether ``team`` has played."""
        return team in self.values

    def expected(self, home: str, away: str, on: date | None = None, *, playoffs: bool = False) -> float:
        """Expected final margin in points. Without the league date ``on``, both teams count as rested, and so does a
        team whose game the evening before the ratings have not seen. Raises UnknownTeam."""
        for team in (home, away):
            if team not in self.values:
                raise UnknownTeam(f"no rating for team {team!r}: known are {', '.join(self.values) or 'none yet'}")
        if home == away:
            raise UnknownTeam(f"home and away are both {home!r}: a team does not play itself")
        return self._strength(home, away, on, playoffs)

    def on(self, day: date) -> Ratings:
        """The ratings as they hold on ``day``: shrunk by ``carry`` when a new season has begun since the last game."""
        if self.as_of is None or self.season is None:
            return self
        season = day.year if day.month >= SEASON_STARTS_MONTH else day.year - 1
        rested = (day - self.as_of).days >= OFF_SEASON_DAYS
        return self._carried(season) if rested and season > self.season else self

    def update(self, *results: Result) -> Ratings:
        """The ratings after these games too, in any order. Raises StaleResult when one is not after ``as_of``."""
        ratings = self
        for day, of_day in groupby(sorted(results, key=_by_date), key=lambda result: result.date):
            ratings = ratings._after_day(day, list(of_day))
        return ratings

    def _after_day(self, day: date, results: Iterable[Result]) -> Ratings:
        games = list(results)
        if self.as_of is not None and day <= self.as_of:
            raise StaleResult(
                f"game {games[0].game_id} was on {day}, the ratings already hold every game through {self.as_of}: "
                f"leave out games of that date and before"
            )
        carried = self._carried(games[0].season)
        values, courts, played = dict(carried.values), dict(carried.courts), dict(carried.last_played)
        params = self.params
        for game in games:
            # Surprise against the ratings before the day: games of one date do not see each other.
            surprise = game.margin - carried._before(game)
            counted = min(max(surprise, -params.cap), params.cap)
            values[game.home] = values.get(game.home, 0.0) + params.gain * counted
            values[game.away] = values.get(game.away, 0.0) - params.gain * counted
            court_gain = 0.0 if _neutral(day) else params.court_gain
            courts[game.home] = courts.get(game.home, 0.0) + court_gain * counted
            courts.setdefault(game.away, 0.0)
            played[game.home] = played[game.away] = day
        return replace(carried, as_of=day, values=values, courts=courts, last_played=played)

    def _before(self, game: Result) -> float:
        return self._strength(game.home, game.away, game.date, is_playoff(game.game_id))

    def _strength(self, home: str, away: str, day: date | None, playoffs: bool) -> float:
        """A team that has never played counts as average."""
        params = self.params
        points = self.values.get(home, 0.0) - self.values.get(away, 0.0)
        if not _neutral(day):
            points += params.home_advantage + self.courts.get(home, 0.0) + (params.playoffs if playoffs else 0.0)
        if day is not None:
            evening_before = day - timedelta(days=1)
            points -= params.tired_home if self.last_played.get(home) == evening_before else 0.0
            points += params.tired_away if self.last_played.get(away) == evening_before else 0.0
        return points

    def _carried(self, season: int) -> Ratings:
        if self.season is not None and season < self.season:
            raise StaleResult(f"a game of season {season} after games of season {self.season}")
        if self.season is None or season == self.season:
            return replace(self, season=season)
        summers = season - self.season
        kept, kept_at_home = self.params.carry**summers, self.params.court_carry**summers
        values = {team: value * kept for team, value in self.values.items()}
        courts = {team: value * kept_at_home for team, value in self.courts.items()}
        return replace(self, season=season, values=values, courts=courts)


def rate_history(history: History, params: RatingParams | None = None) -> tuple[NDArray[np.float64], Ratings]:
    """The expected final margin before each game, float64[n] in points, and the ratings after the last one.

    Row i depends on games of earlier dates only. A team's first game counts it as average.
    """
    ratings = Ratings(params if params is not None else RatingParams())
    before = np.empty(len(history), dtype=np.float64)
    row = 0
    for day, of_day in groupby(history.results(), key=lambda result: result.date):
        games = list(of_day)
        carried = ratings._carried(games[0].season)
        before[row : row + len(games)] = [carried._before(game) for game in games]
        row += len(games)
        ratings = ratings._after_day(day, games)
    return before, ratings


def is_playoff(game_id: str) -> bool:
    """Whether the id is of a playoff game."""
    return game_id.startswith(PLAYOFF_IDS)


def _neutral(day: date | None) -> bool:
    return day is not None and BUBBLE[0] <= day <= BUBBLE[1]


def season_of(game_id: str) -> int:
    """The season an NBA game id names: 2022 of 0022200001."""
    return 2000 + int(game_id[3:5])


def _by_date(result: Result) -> tuple[date, str]:
    return result.date, result.game_id


def _sorted(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType({team: values[team] for team in sorted(values)})
