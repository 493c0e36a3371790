"""The simulated league: ten seasons of an NBA-like league, for whoever has no recorded games.

Frames have the columns and types of the recorded files, so everything downstream reads both the same way. It is no
data: ``score_method`` says "simulated", game numbers start at 90000, and no forecast trained on it says anything about
real games.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from models.history import POSSESSION_COLUMNS
from models.league_game import play
from models.league_plays import PLAY_COLUMNS, PlayRow, tell_game
from models.league_rules import FIRST_SEASON, LAST_SEASON
from models.league_schedule import tip_time
from models.league_season import Season, simulate_seasons, subset

SEASONS: Final = range(FIRST_SEASON, LAST_SEASON + 1)
# One of the seeds whose ten seasons meet the recorded league's figures closely; others differ by sampling error only.
DEFAULT_SEED: Final = 15
METHOD: Final = "simulated"
_PLAY_TYPES: Final[dict[str, str]] = {
    "row": "int16",
    "event_num": "int32",
    "period": "int8",
    "clock_seconds_remaining": "int16",
    "elapsed_seconds": "int16",
    "points_home": "int8",
    "points_away": "int8",
    "score_home": "int16",
    "score_away": "int16",
}


class LeagueError(ValueError):
    """A game or date that the simulated league does not have."""


def simulate_history(seasons: Iterable[int] = SEASONS, seed: int = DEFAULT_SEED) -> pd.DataFrame:
    """Every game of ``seasons`` (start years 2013..2022), one row each, by season, then date and game id.

    Columns and types of the recorded games: game_id, season, season_type, date, home, away, diff_00..diff_48 (int16,
    home minus away in points at the end of each minute), diff_final, scores, n_periods, bubble_2020, score_method, and
    poss_00..poss_23 (int8, who has the ball at minutes 0..23: +1 home, -1 away, 0 loose). The same seed gives the same
    rows, whichever seasons are asked for together. Raises ValueError for other seasons.
    """
    return pd.concat([_season_frame(s) for s in simulate_seasons(seed, list(seasons))], ignore_index=True)


def simulate_plays(
    game_ids: Sequence[str] | None = None, *, day: date | None = None, seed: int = DEFAULT_SEED
) -> pd.DataFrame:
    """Every event of the named games, or of all games of league date ``day``, in order; empty when nobody plays.

    Columns and types of the recorded plays. Scores agree exactly with the rows of ``simulate_history`` of that seed.
    Raises LeagueError for an unknown game id and when neither or both of ``game_ids`` and ``day`` are given.
    """
    if (game_ids is None) == (day is None):
        raise LeagueError("ask for plays either by game_ids or by day, not both and not neither")
    wanted = games_of(day, seed) if day is not None else list(game_ids or [])
    rows: list[PlayRow] = []
    for season, places in _locate(wanted, seed):
        tries = play(subset(season.contest, places), seed, record=True)[1]
        assert tries is not None
        for column, place in enumerate(places):
            fixture = season.fixtures[place]
            tip = tip_time(fixture, seed)
            rows += tell_game(season.game_ids[place], fixture.home, fixture.away, tip, tries, column, seed)
    return _plays_frame(rows)


def games_of(day: date, seed: int = DEFAULT_SEED) -> list[str]:
    """Ids of the games of one league date (US Eastern), in order; empty when nobody plays."""
    season = day.year if day.month >= 9 else day.year - 1
    if season not in SEASONS:
        return []
    played = simulate_seasons(seed, [season])[0]
    return [game_id for game_id, fixture in zip(played.game_ids, played.fixtures, strict=True) if fixture.date == day]


def simulated_dates(seasons: Iterable[int] = SEASONS, seed: int = DEFAULT_SEED) -> dict[date, int]:
    """Every league date with games and how many, in order."""
    counts: dict[date, int] = {}
    for season in simulate_seasons(seed, list(seasons)):
        for fixture in season.fixtures:
            counts[fixture.date] = counts.get(fixture.date, 0) + 1
    return dict(sorted(counts.items()))


def tip_times(game_ids: Sequence[str], seed: int = DEFAULT_SEED) -> dict[str, datetime]:
    """Scheduled tip-off of each game, aware UTC; 7 pm to 10:30 pm US Eastern. Raises LeagueError for an unknown id."""
    return {
        season.game_ids[place]: tip_time(season.fixtures[place], seed).astimezone(UTC)
        for season, places in _locate(game_ids, seed)
        for place in places
    }


def _locate(game_ids: Sequence[str], seed: int) -> list[tuple[Season, list[int]]]:
    """Seasons of the named games with the games' places in them, in the order asked for within a season."""
    found: dict[int, list[str]] = {}
    for game_id in game_ids:
        season = 2000 + int(game_id[3:5]) if len(game_id) == 10 and game_id.isdigit() else -1
        if season not in SEASONS:
            raise LeagueError(f"game {game_id!r} is not of the simulated league: its ids look like 0022290001")
        found.setdefault(season, []).append(game_id)
    located: list[tuple[Season, list[int]]] = []
    for season, ids in found.items():
        played = simulate_seasons(seed, [season])[0]
        place = {game_id: index for index, game_id in enumerate(played.game_ids)}
        unknown = [game_id for game_id in ids if game_id not in place]
        if unknown:
            raise LeagueError(f"the simulated league with seed {seed} has no game {unknown[0]}: see simulate_history")
        located.append((played, [place[game_id] for game_id in ids]))
    return located


def _season_frame(season: Season) -> pd.DataFrame:
    results = season.results
    columns: dict[str, Any] = {
        "game_id": pd.Series(season.game_ids, dtype="str"),
        "season": np.full(len(season.game_ids), season.season, dtype=np.int64),
        "season_type": pd.Series(season.season_types, dtype="str"),
        "date": pd.Series([f.date for f in season.fixtures], dtype=object),
        "home": pd.Series([f.home for f in season.fixtures], dtype="str"),
        "away": pd.Series([f.away for f in season.fixtures], dtype="str"),
    }
    margins = results.margins.astype(np.int16)
    columns |= {f"diff_{minute:02d}": margins[:, minute] for minute in range(margins.shape[1])}
    columns |= {
        "diff_final": (results.home - results.away).astype(np.int16),
        "home_score_24": results.home_24.astype(np.int16),
        "away_score_24": results.away_24.astype(np.int16),
        "home_score_final": results.home.astype(np.int16),
        "away_score_final": results.away.astype(np.int16),
        "n_periods": results.periods.astype(np.int8),
        "bubble_2020": np.zeros(len(season.game_ids), dtype=np.bool_),
        "score_method": pd.Series([METHOD] * len(season.game_ids), dtype="str"),
    }
    columns |= {name: results.possession[:, minute] for minute, name in enumerate(POSSESSION_COLUMNS)}
    return pd.DataFrame(columns)


def _plays_frame(rows: list[PlayRow]) -> pd.DataFrame:
    frame = pd.DataFrame.from_records(rows, columns=list(PLAY_COLUMNS))
    typed = frame.astype(_PLAY_TYPES)
    for name in ("game_id", "action_type", "team"):
        typed[name] = typed[name].astype("str")
    typed["time_actual_et_minute"] = typed["time_actual_et_minute"].astype("datetime64[us]")
    return typed
