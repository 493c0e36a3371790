"""Games and plays as frames: from recorded parquet files or from the simulated league, in one form.

A frame of games has the columns of ``models.history_frame.GAME_TYPES`` and one row a game; a frame of plays those of
``PLAY_TYPES`` and one row an event. Season archives give the same frame of games (``services.archive_games``), so all
three load through one path.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow.parquet as pq
from pyarrow.lib import ArrowException

from models import league
from models.history import POSSESSION_COLUMNS, HistoryError
from models.history_frame import (
    GAME_ID_PATTERN,
    GAME_TYPES,
    HELD_COLUMNS,
    OPTIONAL,
    PLAY_TYPES,
    check_games,
    league_games,
    readable,
    recorded_held,
    typed,
)

__all__ = [
    "HistoryError",
    "recorded_dates",
    "recorded_games",
    "recorded_plays",
    "simulated_dates",
    "simulated_games",
    "simulated_plays",
]

log = logging.getLogger(__name__)

GAMES_FILE: Final = "games.parquet"
PLAYS_FILES: Final = "plays_[0-9][0-9][0-9][0-9].parquet"
REASONS_TOLD: Final = 8


def recorded_games(folder: Path) -> pd.DataFrame:
    """Every recorded game in ``folder``/games.parquet, checked; who had the ball from the plays files beside it.

    Games that ``league_games`` leaves out are counted by reason in one warning. Raises HistoryError naming file, column
    and value.
    """
    path = folder / GAMES_FILE
    games, left_out = _league_games(path)
    if left_out:
        without = left_out.total()
        log.warning("%s: %d of %d games are left out: %s", path, without, without + len(games), _counted(left_out))
    for plays in sorted(folder.glob(PLAYS_FILES)):
        games[list(POSSESSION_COLUMNS)] += recorded_held(_first_halves(plays), games)
    return games


def recorded_plays(folder: Path, *, day: date | None = None, game_ids: Sequence[str] | None = None) -> pd.DataFrame:
    """Every event of the games of league date ``day``, or of ``game_ids``, in order; only their rows are kept.

    Raises HistoryError when a game is not in the plays files, or when neither or both arguments are given.
    """
    if (day is None) == (game_ids is None):
        raise HistoryError("ask for recorded plays either by day or by game_ids, not both and not neither")
    if day is not None:
        games, _ = _league_games(folder / GAMES_FILE)
        game_ids = games.loc[games["date"] == day, "game_id"].tolist()
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
        return typed(pd.DataFrame(columns=list(PLAY_TYPES)), PLAY_TYPES, "no plays")
    return pd.concat(parts, ignore_index=True)


def recorded_dates(folder: Path) -> dict[date, int]:
    """League dates that can be replayed (their season has a plays file) and how many games each has, in order."""
    seasons = [int(path.stem.removeprefix("plays_")) for path in sorted(folder.glob(PLAYS_FILES))]
    if not seasons:
        return {}
    games, _ = _league_games(folder / GAMES_FILE)
    counts = Counter(games.loc[games["season"].isin(seasons), "date"].tolist())
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


def _league_games(path: Path) -> tuple[pd.DataFrame, Counter[str]]:
    """The games of the league in a file, checked; how many others there are, by reason."""
    rows = _rows(path, [name for name in GAME_TYPES if name not in OPTIONAL], None, optional=OPTIONAL)
    games, left_out = league_games(rows)
    if left_out and games.empty:
        raise HistoryError(f"{path}: none of {len(rows)} games can be learned from: {_counted(left_out)}")
    return check_games(readable(games), str(path)), left_out


def _counted(left_out: Counter[str]) -> str:
    """The most frequent reasons first."""
    ordered = sorted(left_out.items(), key=lambda one: (-one[1], one[0]))
    more = (
        [f"{sum(number for _, number in ordered[REASONS_TOLD:])} for other reasons"] if ordered[REASONS_TOLD:] else []
    )
    return ", ".join([*(f"{number} {reason}" for reason, number in ordered[:REASONS_TOLD]), *more])


def _read(path: Path, types: dict[str, str], filters: list[tuple[str, str, Any]] | None = None) -> pd.DataFrame:
    """The columns of ``types`` of a parquet file, rows kept by ``filters``."""
    return typed(_rows(path, types, filters), types, str(path))


def _first_halves(path: Path) -> pd.DataFrame:
    """What the possession rule reads of a plays file; its words stay numbered, since comparing texts takes seconds."""
    return _rows(path, HELD_COLUMNS, [("period", "<=", 2)], ["game_id", "action_type", "team"])


def _rows(
    path: Path,
    columns: Iterable[str],
    filters: list[tuple[str, str, Any]] | None,
    numbered: list[str] | None = None,
    *,
    optional: Iterable[str] = (),
) -> pd.DataFrame:
    """Columns of a parquet file as they are stored, and those ``optional`` that it has; ``numbered`` as categories."""
    if not path.is_file():
        raise HistoryError(f"{path} does not exist: name the folder that holds the recorded games")
    try:
        present = pq.read_schema(path).names
        columns = [*columns, *(name for name in optional if name in present)]
        missing = [name for name in columns if name not in present]
        if missing:
            raise HistoryError(f"{path} lacks {len(missing)} columns, first {missing[0]!r}")
        table = pq.read_table(path, columns=list(columns), filters=filters, read_dictionary=numbered)
    except (ArrowException, OSError) as error:
        raise HistoryError(f"{path} cannot be read as parquet: {error}; copy the file again") from error
    frame: pd.DataFrame = table.to_pandas()
    return frame
