"""One simulated season: how strong the teams are, what they play, how it ends, who wins the title.

Strength is in points a game against an average team. It carries over from season to season in part, drifts from week to
week, and is never shown: it can be learned from results only, as in the real league.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models import league_rules as rules
from models.league_game import Contest, Results, play
from models.league_random import normals
from models.league_schedule import Fixture, closing_day, opening_day, regular_season
from models.teams import TEAMS, TRICODES

STRENGTH_SPREAD: Final = 4.5  # points a game, between teams of one season
CARRY_OVER: Final = 0.65  # correlation of a team's strength between seasons
WEEKLY_DRIFT: Final = 0.30  # points a game, standard deviation of one week's change
_WEEKS: Final = 40
_STREAM: Final = 900_000_000

# Playoffs: days after the regular season until the first round, from round to round, and between games of a series.
_FIRST_ROUND_DAYS, _ROUND_DAYS, _GAME_DAYS = 6, 15, 2
_WINS_NEEDED, _LONGEST_SERIES = 4, 7
_HIGH_SEED_HOME: Final = (True, True, False, False, True, False, True)
_BRACKET: Final = ((0, 7), (3, 4), (2, 5), (1, 6))

REGULAR, PLAYOFFS = "regular", "playoffs"
_MOST_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Season:
    """Every game of one season in date order, with its results: all sequences and arrays share the games' order."""

    season: int
    fixtures: tuple[Fixture, ...]
    game_ids: tuple[str, ...]
    season_types: tuple[str, ...]
    contest: Contest
    results: Results


_KEPT: dict[tuple[int, int], Season] = {}


@dataclass(frozen=True, slots=True)
class _Slate:
    """Games of one season about to be simulated; ``numbers`` are the last five digits of their ids."""

    season: int
    fixtures: list[Fixture]
    numbers: list[int]


@dataclass(frozen=True, slots=True)
class _Played:
    slate: _Slate
    contest: Contest
    results: Results


@lru_cache(maxsize=32)
def strengths(seed: int, season: int) -> NDArray[np.float64]:
    """Strength (teams in TRICODES order, weeks since opening day) of one season; each season's average is zero."""
    level = normals(seed, _STREAM, len(TRICODES)) * STRENGTH_SPREAD
    for year in range(rules.FIRST_SEASON, season):
        fresh = normals(seed, _STREAM + 1 + year, len(TRICODES)) * STRENGTH_SPREAD
        level = CARRY_OVER * level + (1 - CARRY_OVER**2) ** 0.5 * fresh
    steps = normals(seed, _STREAM + 10_000 + season, len(TRICODES) * _WEEKS).reshape(len(TRICODES), _WEEKS)
    drift = np.cumsum(steps * WEEKLY_DRIFT, axis=1)
    path = level[:, np.newaxis] + drift
    centred: NDArray[np.float64] = path - path.mean(axis=0)
    return centred


def _play(seed: int, prefix: int, slates: list[_Slate]) -> list[_Played]:
    """Simulate the games of all slates at once; one result a slate. ``prefix`` is the id's third digit."""
    streams: list[int] = []
    edges: list[NDArray[np.float64]] = []
    for slate in slates:
        level, start = strengths(seed, slate.season), opening_day(slate.season)
        home = [TRICODES.index(f.home) for f in slate.fixtures]
        away = [TRICODES.index(f.away) for f in slate.fixtures]
        week = [(f.date - start).days // 7 for f in slate.fixtures]
        edges.append(level[home, week] - level[away, week])
        streams += [prefix * 10_000_000 + slate.season % 100 * 100_000 + n for n in slate.numbers]
    seasons = np.repeat([slate.season for slate in slates], [len(slate.fixtures) for slate in slates])
    contest = Contest(np.array(streams, dtype=np.int64), np.concatenate(edges), seasons.astype(np.int64))
    results = play(contest, seed)[0]
    stops = np.cumsum([len(slate.fixtures) for slate in slates]).tolist()
    return [
        _take(_Played(slate, contest, results), list(range(stop - len(slate.fixtures), stop)))
        for slate, stop in zip(slates, stops, strict=True)
    ]


def _take(played: _Played, order: list[int]) -> _Played:
    results = Results(*(getattr(played.results, name)[order] for name in Results.__slots__))
    return _Played(played.slate, subset(played.contest, order), results)


def subset(contest: Contest, order: Sequence[int]) -> Contest:
    """The games of ``contest`` at the positions ``order``."""
    at = np.asarray(order, dtype=np.int64)
    return Contest(contest.streams[at], contest.edge[at], contest.season[at])


def standings(fixtures: Sequence[Fixture], results: Results) -> dict[str, list[str]]:
    """Tricodes by conference, best first: by wins, then points difference, then tricode."""
    wins = dict.fromkeys(TRICODES, 0)
    difference = dict.fromkeys(TRICODES, 0)
    for fixture, home, away in zip(fixtures, results.home.tolist(), results.away.tolist(), strict=True):
        wins[fixture.home if home > away else fixture.away] += 1
        difference[fixture.home] += home - away
        difference[fixture.away] += away - home
    ranked = sorted(TRICODES, key=lambda t: (-wins[t], -difference[t], t))
    return {c: [t for t in ranked if TEAMS[t].conference == c] for c in ("East", "West")}


def _series_fixtures(high: str, low: str, first_game: date) -> list[Fixture]:
    days = [first_game + timedelta(days=_GAME_DAYS * n) for n in range(_LONGEST_SERIES)]
    return [
        Fixture(d, high, low) if at_high else Fixture(d, low, high)
        for d, at_high in zip(days, _HIGH_SEED_HOME, strict=True)
    ]


def _round(season: int, number: int, pairs: Sequence[tuple[str, str]]) -> _Slate:
    """All seven games of every series of a playoff round; the higher seed is first in its pair."""
    opening = closing_day(season) + timedelta(days=_FIRST_ROUND_DAYS + _ROUND_DAYS * (number - 1))
    fixtures: list[Fixture] = []
    numbers: list[int] = []
    for series, (high, low) in enumerate(pairs):
        fixtures += _series_fixtures(high, low, opening + timedelta(days=series % 2))
        numbers += [90_000 + 100 * number + 10 * series + game for game in range(1, _LONGEST_SERIES + 1)]
    return _Slate(season, fixtures, numbers)


def _decide(played: _Played, pairs: Sequence[tuple[str, str]]) -> tuple[_Played, list[str]]:
    """The games that were needed to decide each series, and the winners."""
    needed: list[int] = []
    winners: list[str] = []
    for series, pair in enumerate(pairs):
        wins = dict.fromkeys(pair, 0)
        for index in range(series * _LONGEST_SERIES, (series + 1) * _LONGEST_SERIES):
            if max(wins.values()) < _WINS_NEEDED:
                fixture = played.slate.fixtures[index]
                home_won = played.results.home[index] > played.results.away[index]
                wins[fixture.home if home_won else fixture.away] += 1
                needed.append(index)
        winners.append(max(wins, key=wins.__getitem__))
    slate = played.slate
    kept = _Slate(slate.season, [slate.fixtures[i] for i in needed], [slate.numbers[i] for i in needed])
    taken = _take(played, needed)
    return _Played(kept, taken.contest, taken.results), winners


def _playoffs(seed: int, tables: dict[int, dict[str, list[str]]]) -> dict[int, list[_Played]]:
    """Four rounds of best-of-seven series in every season of ``tables`` (standings by conference)."""
    rank = {y: {t: n for ranked in table.values() for n, t in enumerate(ranked)} for y, table in tables.items()}
    pairs = {
        y: [(table[c][high], table[c][low]) for c in ("East", "West") for high, low in _BRACKET]
        for y, table in tables.items()
    }
    rounds: dict[int, list[_Played]] = {year: [] for year in tables}
    for number in range(1, 5):
        for played in _play(seed, 4, [_round(year, number, pairs[year]) for year in tables]):
            year = played.slate.season
            decided, winners = _decide(played, pairs[year])
            rounds[year].append(decided)
            met = [(winners[i], winners[i + 1]) for i in range(0, len(winners) - 1, 2)]
            pairs[year] = [tuple(sorted(m, key=lambda t, y=year: (rank[y][t], t))) for m in met]  # type: ignore[misc]
    return rounds


def _assemble(regular: _Played, rounds: list[_Played]) -> Season:
    """One season's games in date order."""
    parts = [regular, *rounds]
    season = regular.slate.season
    rows = [
        (fixture.date, f"00{prefix}{season % 100:02d}{number:05d}", fixture, season_type)
        for part, prefix, season_type in zip(
            parts, [2] + [4] * len(rounds), [REGULAR] + [PLAYOFFS] * len(rounds), strict=True
        )
        for fixture, number in zip(part.slate.fixtures, part.slate.numbers, strict=True)
    ]
    order = sorted(range(len(rows)), key=lambda i: rows[i][:2])

    def joined(kind: str, name: str) -> NDArray[Any]:
        values: NDArray[Any] = np.concatenate([getattr(getattr(part, kind), name) for part in parts])[order]
        return values

    contest = Contest(
        joined("contest", "streams"), joined("contest", "edge").astype(np.float64), joined("contest", "season")
    )
    return Season(
        season=season,
        fixtures=tuple(rows[i][2] for i in order),
        game_ids=tuple(rows[i][1] for i in order),
        season_types=tuple(rows[i][3] for i in order),
        contest=contest,
        results=Results(*(joined("results", name) for name in Results.__slots__)),
    )


def simulate_seasons(seed: int, seasons: Sequence[int]) -> list[Season]:
    """Regular season and playoffs of ``seasons`` (start years 2013..2022); the last ones asked for are kept.

    Raises ValueError for a season that is not simulated.
    """
    for season in seasons:
        rules.season_rules(season)
    missing = [y for y in dict.fromkeys(seasons) if (seed, y) not in _KEPT]
    if missing:
        slates = []
        for year in missing:
            fixtures = regular_season(year, seed)
            slates.append(_Slate(year, fixtures, [90_001 + n for n in range(len(fixtures))]))
        regular = _play(seed, 2, slates)
        tables = {p.slate.season: standings(p.slate.fixtures, p.results) for p in regular}
        playoffs = _playoffs(seed, tables)
        for played in regular:
            _KEPT[seed, played.slate.season] = _assemble(played, playoffs[played.slate.season])
    wanted = [_KEPT[seed, season] for season in seasons]
    while len(_KEPT) > _MOST_KEPT:
        _KEPT.pop(next(iter(_KEPT)))
    return wanted
