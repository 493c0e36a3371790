"""Games and plays as frames: from recorded parquet files or from the simulated league, in one form.

A frame of games has the columns of ``GAME_TYPES`` and one row a game; a frame of plays those of ``PLAY_TYPES`` and one
row an event. Season archives give the same frame of games (``services.archive_games``), so all three load through one
path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pyarrow.lib import ArrowException

from models import league
from models.history import MARGIN_COLUMNS, HistoryError
from models.teams import is_team

__all__ = [
    "GAME_TYPES",
    "PLAY_TYPES",
    "HistoryError",
    "check_games",
    "recorded_dates",
    "recorded_games",
    "recorded_plays",
    "simulated_dates",
    "simulated_games",
    "simulated_plays",
]

GAMES_FILE: Final = "games.parquet"
GAME_ID_PATTERN: Final = r"00[1-6]\d{7}"
GAME_TYPES: Final[dict[str, str]] = {
    "game_id": "str",
    "season": "int64",
    "season_type": "str",
    "date": "object",
    "home": "str",
    "away": "str",
    **dict.fromkeys(MARGIN_COLUMNS, "int16"),
    "diff_final": "int16",
    "home_score_24": "int16",
    "away_score_24": "int16",
    "home_score_final": "int16",
    "away_score_final": "int16",
    "n_periods": "int8",
    "bubble_2020": "bool",
    "score_method": "str",
}
PLAY_TYPES: Final[dict[str, str]] = {
    "game_id": "str",
    "row": "int16",
    "event_num": "int32",
    "period": "int8",
    "clock_seconds_remaining": "int16",
    "elapsed_seconds": "int16",
    "time_actual_et_minute": "datetime64[us]",
    "action_type": "str",
    "points_home": "int8",
    "points_away": "int8",
    "score_home": "int16",
    "score_away": "int16",
    "team": "str",
}


def recorded_games(folder: Path) -> pd.DataFrame:
    """Every recorded game in ``folder``/games.parquet, checked. Raises HistoryError naming file, column and value."""
    path = folder / GAMES_FILE
    return check_games(_read(path, GAME_TYPES), str(path))


def recorded_plays(folder: Path, *, day: date | None = None, game_ids: Sequence[str] | None = None) -> pd.DataFrame:
    """Every event of the games of league date ``day``, or of ``game_ids``, in order; only their rows are kept.

    Raises HistoryError when a game is not in the plays files, or when neither or both arguments are given.
    """
    if (day is None) == (game_ids is None):
        raise HistoryError("ask for recorded plays either by day or by game_ids, not both and not neither")
    if day is not None:
        games = _read(folder / GAMES_FILE, {"game_id": "str", "date": "object"}, [("date", "==", day)])
        game_ids = games["game_id"].tolist()
    wanted = list(game_ids or [])
    by_season: dict[int, list[str]] = {}
    for game_id in wanted:
        if not pd.Series([game_id]).str.fullmatch(GAME_ID_PATTERN).all():
            raise HistoryError(f"game id {game_id!r} does not look like 0022200001")
        by_season.setdefault(2000 + int(game_id[3:5]), []).append(game_id)
    parts: list[pd.DataFrame] = []
    for season, ids in by_season.items():
        path = folder / f"plays_{season}.parquet"
        part = _read(path, PLAY_TYPES, [("game_id", "in", ids)])
        missing = sorted(set(ids) - set(part["game_id"]))
        if missing:
            raise HistoryError(f"{path} holds no plays of {len(missing)} of {len(ids)} games, first {missing[0]}")
        parts.append(part)
    if not parts:
        return _typed(pd.DataFrame(columns=list(PLAY_TYPES)), PLAY_TYPES, "no plays")
    return pd.concat(parts, ignore_index=True)


def recorded_dates(folder: Path) -> dict[date, int]:
    """League dates that can be replayed (their season has a plays file) and how many games each has, in order."""
    seasons = [
        int(path.stem.removeprefix("plays_")) for path in sorted(folder.glob("plays_[0-9][0-9][0-9][0-9].parquet"))
    ]
    if not seasons:
        return {}
    games = _read(folder / GAMES_FILE, {"season": "int64", "date": "object"}, [("season", "in", seasons)])
    counts = Counter(games["date"].tolist())
    return {day: counts[day] for day in sorted(counts)}


def simulated_games(seed: int = league.DEFAULT_SEED, seasons: Iterable[int] = league.SEASONS) -> pd.DataFrame:
    """Every game of the simulated league's ``seasons``: ``score_method`` is "simulated" in each row."""
    return check_games(league.simulate_history(seasons, seed), f"simulated league with seed {seed}")


def simulated_plays(
    seed: int = league.DEFAULT_SEED, *, day: date | None = None, game_ids: Sequence[str] | None = None
) -> pd.DataFrame:
    """Every event of simulated games, by ``day`` or by ``game_ids``. Raises models.league.LeagueError."""
    return league.simulate_plays(game_ids, day=day, seed=seed)


def simulated_dates(seed: int = league.DEFAULT_SEED) -> dict[date, int]:
    """League dates of the simulated seasons and how many games each has, in order."""
    return league.simulated_dates(seed=seed)


def check_games(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """``frame`` with the columns and types of ``GAME_TYPES``, each row a sound game.

    Raises HistoryError that counts the bad rows and shows the first: ``where`` (a file, usually), column and value.
    """
    games = _typed(frame, GAME_TYPES, where)
    margins = games[list(MARGIN_COLUMNS)].to_numpy(dtype=np.int64)
    final = games["diff_final"].to_numpy(dtype=np.int64)
    scores = games[["home_score_final", "away_score_final", "home_score_24", "away_score_24"]].to_numpy(dtype=np.int64)
    regulation = games["n_periods"].to_numpy() == 4
    steps = np.abs(np.diff(margins, axis=1)).max(axis=1, initial=0)
    rules: list[tuple[str, Any, str]] = [
        ("game_id", ~games["game_id"].str.fullmatch(GAME_ID_PATTERN).to_numpy(dtype=bool), "is unlike 0022200001"),
        ("game_id", games["game_id"].duplicated().to_numpy(), "comes more than once"),
        ("season_type", ~games["season_type"].isin(["regular", "playoffs"]).to_numpy(), "is not regular or playoffs"),
        ("date", np.array([not _is_day(day) for day in games["date"]], dtype=bool), "is not a date"),
        ("home", ~games["home"].map(is_team).to_numpy(dtype=bool), "is no team's tricode"),
        ("away", ~games["away"].map(is_team).to_numpy(dtype=bool), "is no team's tricode"),
        ("away", (games["home"] == games["away"]).to_numpy(), "plays itself"),
        ("n_periods", ((games["n_periods"] < 4) | (games["n_periods"] > 10)).to_numpy(), "is outside 4..10"),
        ("diff_00", margins[:, 0] != 0, "is not 0, the margin at tip-off"),
        ("diff_24", margins[:, 24] != scores[:, 2] - scores[:, 3], "differs from the scores at minute 24"),
        ("diff_final", final != scores[:, 0] - scores[:, 1], "differs from the final scores"),
        ("diff_final", final == 0, "is a draw, which no game ends in"),
        ("diff_48", regulation & (margins[:, 48] != final), "differs from diff_final in a game without overtime"),
        ("diff_48", steps > 25, "ends a path with a minute of more than 25 points"),
    ]  # fmt: skip
    for column, bad, says in rules:
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise HistoryError(
                f"{where}: {int(bad.sum())} of {len(games)} rows are bad: {column} {games[column].iloc[first]} "
                f"of game {games['game_id'].iloc[first]} {says}; repair the file or leave these games out"
            )
    return games


def _is_day(value: Any) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


def _read(path: Path, types: dict[str, str], filters: list[tuple[str, str, Any]] | None = None) -> pd.DataFrame:
    """The columns of ``types`` of a parquet file, rows kept by ``filters``."""
    if not path.is_file():
        raise HistoryError(f"{path} does not exist: name the folder that holds the recorded games")
    try:
        missing = [name for name in types if name not in pq.read_schema(path).names]
        if missing:
            raise HistoryError(f"{path} lacks {len(missing)} columns, first {missing[0]!r}")
        frame = pd.read_parquet(path, columns=list(types), filters=filters)
    except (ArrowException, OSError) as error:
        raise HistoryError(f"{path} cannot be read as parquet: {error}; copy the file again") from error
    return _typed(frame, types, str(path))


def _typed(frame: pd.DataFrame, types: dict[str, str], where: str) -> pd.DataFrame:
    """``frame`` with exactly the columns of ``types``, cast; an absent or unfitting value is named."""
    missing = [name for name in types if name not in frame.columns]
    if missing:
        raise HistoryError(f"{where} lacks {len(missing)} columns, first {missing[0]!r}")
    columns: dict[str, pd.Series[Any]] = {}
    for name, kind in types.items():
        cast_to: Any = kind
        column = frame[name]
        absent = column.isna()
        if name != "team" and absent.any():
            raise HistoryError(
                f"{where}: column {name} is empty in {int(absent.sum())} rows, first row {absent.argmax()}"
            )
        try:
            cast: pd.Series[Any] = column.astype(cast_to)
        except (ValueError, TypeError, OverflowError) as error:
            raise HistoryError(f"{where}: column {name} ({column.dtype}) cannot be read as {kind}: {error}") from error
        if kind.startswith("int"):
            changed = (cast != column).to_numpy(dtype=bool)
            if changed.any():
                value = column.iloc[int(changed.argmax())]
                raise HistoryError(
                    f"{where}: column {name} has {int(changed.sum())} values no {kind} holds, first {value!r}"
                )
        columns[name] = cast
    return pd.DataFrame(columns)
