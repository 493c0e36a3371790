"""Team strength known before tip-off, from settled games only.

Elo on the scale of points (Elo 1978; on margins as in Hvattum and Arntzen 2010): a team's rating is by how much it is
expected to beat an average team on a neutral court. After a game both ratings move by ``gain`` times the surprise, in
opposite directions. Between seasons a rating shrinks towards 0 by ``carry``.

A rating for a game uses games of earlier league dates only, never of the same date: what is trained on is what a live
forecast can know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import groupby
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from models.forecast import UnknownTeam
from models.history import History, Result

# A new season is assumed on a date from October on with at least this many days since the last game, so that the
# finals of October 2020 still belong to the season before.
SEASON_STARTS_MONTH = 10
OFF_SEASON_DAYS = 30


class StaleResult(ValueError):
    """A game that is not newer than what the ratings already hold."""


@dataclass(frozen=True, slots=True)
class RatingParams:
    """``gain`` share of a surprise a rating takes, ``carry`` share kept over the summer, ``home_advantage`` points."""

    gain: float = 0.035
    carry: float = 0.6
    home_advantage: float = 2.3

    def __post_init__(self) -> None:
        if not (0.0 < self.gain < 1.0 and 0.0 <= self.carry <= 1.0 and abs(self.home_advantage) <= 20.0):
            raise ValueError(f"{self}: gain in (0, 1), carry in 0..1, home_advantage within 20 points")


@dataclass(frozen=True)
class Ratings:
    """Ratings after every game through ``as_of`` (None: no game yet). Immutable.

    ``season`` is the season the values stand for, ``values`` {tricode: points against an average team}.
    """

    params: RatingParams = field(default_factory=RatingParams)
    as_of: date | None = None
    season: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ordered = {team: float(self.values[team]) for team in sorted(self.values)}
        object.__setattr__(self, "values", MappingProxyType(ordered))

    def knows(self, team: str) -> bool:
        """Whether ``team`` has played."""
        return team in self.values

    def expected(self, home: str, away: str) -> float:
        """Expected final margin in points, home advantage included. Raises UnknownTeam."""
        for team in (home, away):
            if team not in self.values:
                raise UnknownTeam(f"no rating for team {team!r}: known are {', '.join(self.values) or 'none yet'}")
        if home == away:
            raise UnknownTeam(f"home and away are both {home!r}: a team does not play itself")
        return self.values[home] - self.values[away] + self.params.home_advantage

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
        values = dict(carried.values)
        for game in games:
            # Surprise against the ratings before the day: games of one date do not see each other.
            step = self.params.gain * (game.margin - carried._strength(game))
            values[game.home] = values.get(game.home, 0.0) + step
            values[game.away] = values.get(game.away, 0.0) - step
        return replace(carried, as_of=day, values=values)

    def _strength(self, game: Result) -> float:
        return self.values.get(game.home, 0.0) - self.values.get(game.away, 0.0) + self.params.home_advantage

    def _carried(self, season: int) -> Ratings:
        if self.season is not None and season < self.season:
            raise StaleResult(f"a game of season {season} after games of season {self.season}")
        if self.season is None or season == self.season:
            return replace(self, season=season)
        shrink = self.params.carry ** (season - self.season)
        return replace(self, season=season, values={team: value * shrink for team, value in self.values.items()})


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
        before[row : row + len(games)] = [carried._strength(game) for game in games]
        row += len(games)
        ratings = ratings._after_day(day, games)
    return before, ratings


def _by_date(result: Result) -> tuple[date, str]:
    return result.date, result.game_id
