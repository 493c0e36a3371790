"""Where a slate comes from: recorded files or the simulated league."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

import pandas as pd

from models.history import MARGIN_COLUMNS
from models.history_frame import league_games, readable
from models.league import DEFAULT_SEED, simulate_history, simulate_plays
from services.replay_slate import Slate, SlateError, Standing, build_slate

DEFAULT_DATE: Final = date(2023, 2, 3)
_GAME_COLUMNS: Final = ["game_id", "season", "season_type", "date", "home", "away", *MARGIN_COLUMNS, "diff_final"]


def recorded_slate(data: Path, league_date: date = DEFAULT_DATE) -> Slate:
    """The recorded games of a date from games.parquet and plays_YYYY.parquet in ``data``.

    Raises SlateError when a file is missing or nothing was recorded on that date.
    """
    path = data / "games.parquet"
    if not path.is_file():
        raise SlateError(f"{data} holds no games.parquet: name the folder with the recorded games, or use --simulated")
    season = _season(league_date)
    known, _ = league_games(pd.read_parquet(path, columns=_GAME_COLUMNS))
    games = readable(known)
    games = games[games["season"] == season]
    plays_path = data / f"plays_{season}.parquet"
    if not plays_path.is_file():
        have = ", ".join(sorted(found.stem.removeprefix("plays_") for found in data.glob("plays_*.parquet"))) or "none"
        raise SlateError(f"no plays of season {season} in {data}: seasons with plays are {have}")
    tonight = _tonight(games, league_date)
    plays = pd.read_parquet(plays_path, filters=[("game_id", "in", tonight["game_id"].tolist())])
    return _with_standings(build_slate(league_date, "recorded", tonight, plays), games)


def simulated_slate(seed: int = DEFAULT_SEED, league_date: date = DEFAULT_DATE) -> Slate:
    """The simulated games of a date. Raises SlateError when nobody plays then."""
    try:
        games = simulate_history([_season(league_date)], seed)
    except ValueError as error:
        raise SlateError(f"{league_date} is not in the simulated league: {error}") from error
    tonight = _tonight(games, league_date)
    plays = simulate_plays(tonight["game_id"].tolist(), seed=seed)
    return _with_standings(build_slate(league_date, "simulated", tonight, plays), games)


def _season(league_date: date) -> int:
    """Start year; the season of 2019-20 ended in October."""
    return league_date.year - (league_date.month < 8 or (league_date.year == 2020 and league_date.month < 12))


def _tonight(games: pd.DataFrame, league_date: date) -> pd.DataFrame:
    tonight = games[games["date"] == league_date]
    if tonight.empty:
        busy = games.groupby("date").size()
        near = sorted(busy.index, key=lambda day: abs((day - league_date).days))[:3]
        raise SlateError(f"no games on {league_date}; the nearest dates with games are {', '.join(map(str, near))}")
    return tonight


def _with_standings(slate: Slate, games: pd.DataFrame) -> Slate:
    """The slate with every team's games won and lost in the season's games before this date."""
    before = games[games["date"] < slate.league_date]
    home_won = before["diff_final"] > 0
    wins = pd.concat([before["home"][home_won], before["away"][~home_won]]).value_counts()
    losses = pd.concat([before["away"][home_won], before["home"][~home_won]]).value_counts()

    def standing(tricode: str) -> Standing:
        return Standing(int(wins.get(tricode, 0)), int(losses.get(tricode, 0)))

    scripts = (replace(game, standings=(standing(game.home), standing(game.away))) for game in slate.games)
    return replace(slate, games=tuple(scripts))
