"""The frame that all histories share: its columns and types, and what a sound game looks like.

Recorded files, season archives and the simulated league differ in where rows come from, not in what a row is.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import date, datetime, time
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.history import MARGIN_COLUMNS, POSSESSION_COLUMNS, HistoryError
from models.possession import RECORDED, Kind, possessions, scored
from models.score_path import Fault
from models.teams import is_team

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
# What no training reads may be left out of a file.
OPTIONAL: Final[dict[str, Any]] = {"bubble_2020": False, "score_method": ""}
SEASON_TYPES: Final = ("regular", "playoffs")
# Beside those columns every frame of games says who has the ball at minutes 0..23: 0 where no plays are recorded.
POSSESSION_TYPES: Final[dict[str, str]] = dict.fromkeys(POSSESSION_COLUMNS, "int8")
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

HELD_COLUMNS: Final = ("game_id", "period", "elapsed_seconds", "action_type", "points_home", "points_away", "team")


def check_games(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """``frame`` with the columns and types of ``GAME_TYPES`` and ``POSSESSION_TYPES``, each row a sound game.

    Possession columns may be left out: they are 0 then. Raises HistoryError that counts the bad rows and shows the
    first: ``where`` (a file, usually), column and value.
    """
    if not any(name in frame.columns for name in POSSESSION_TYPES):
        unknown = pd.DataFrame(np.int8(0), columns=list(POSSESSION_TYPES), index=frame.index)
        frame = pd.concat([frame, unknown], axis=1)
    games = typed(frame, GAME_TYPES | POSSESSION_TYPES, where)
    ball = games[list(POSSESSION_TYPES)].to_numpy()
    margins = games[list(MARGIN_COLUMNS)].to_numpy(dtype=np.int64)
    final = games["diff_final"].to_numpy(dtype=np.int64)
    scores = games[["home_score_final", "away_score_final", "home_score_24", "away_score_24"]].to_numpy(dtype=np.int64)
    regulation = games["n_periods"].to_numpy() == 4
    steps = np.abs(np.diff(margins, axis=1)).max(axis=1, initial=0)
    rules: list[tuple[str, Any, str]] = [
        ("game_id", ~games["game_id"].str.fullmatch(GAME_ID_PATTERN).to_numpy(dtype=bool), "is unlike 0022200001"),
        ("game_id", games["game_id"].duplicated().to_numpy(), "comes more than once"),
        ("season_type", ~games["season_type"].isin(SEASON_TYPES).to_numpy(), "is not regular or playoffs"),
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
        ("poss_00", ball[:, 0] != 0, "is not 0: nobody has the ball before tip-off"),
        ("poss_23", (np.abs(ball) > 1).any(axis=1), "ends a row of possessions not all -1, 0 or 1"),
    ]  # fmt: skip
    for column, bad, says in rules:
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise HistoryError(
                f"{where}: {int(bad.sum())} of {len(games)} rows are bad: {column} {games[column].iloc[first]} "
                f"of game {games['game_id'].iloc[first]} {says}; repair the file or leave these games out"
            )
    return games


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with dates as dates where they are timestamps at midnight or ISO texts, seasons as numbers where they
    are texts, and the columns of ``OPTIONAL`` filled in. What cannot be read so is left for ``check_games`` to name."""
    given = {
        name: frame[name].where(frame[name].notna(), value) if name in frame.columns else value
        for name, value in OPTIONAL.items()
    }
    out = frame.assign(date=pd.Series([_day(value) for value in frame["date"]], frame.index, dtype=object), **given)
    with suppress(ValueError, TypeError):
        out = out.assign(season=pd.to_numeric(out["season"]))
    return out


def league_games(frame: pd.DataFrame) -> tuple[pd.DataFrame, Counter[str]]:
    """The rows of ``frame`` that are games to learn from, in order and as they are; how many others there are, by
    reason and value: play-in, preseason and All-Star games, other teams than the league's, no margin of a minute."""
    margins = frame[list(MARGIN_COLUMNS)].isna()
    strangers = frame[["home", "away"]].map(lambda team: not is_team(team))
    left_out: Counter[str] = Counter()
    ours = pd.Series(True, frame.index)
    for fault, odd, named in (
        (Fault.OTHER_COMPETITION, ~frame["season_type"].isin(SEASON_TYPES), frame["season_type"]),
        (Fault.UNKNOWN_TEAMS, strangers.any(axis=1), frame["home"].where(strangers["home"], frame["away"])),
        (Fault.NO_MARGIN, margins.any(axis=1), margins.idxmax(axis=1)),
    ):
        found = named[ours & odd]
        left_out.update(
            f"{fault} ({None if absent else value})" for value, absent in zip(found, found.isna(), strict=True)
        )
        ours &= ~odd
    return frame[ours].reset_index(drop=True), left_out


def recorded_held(plays: pd.DataFrame, games: pd.DataFrame) -> NDArray[np.int8]:
    """``held`` of recorded plays: rows of ``HELD_COLUMNS``, each game's in order."""
    action = plays["action_type"].astype("category")
    kinds = np.array([RECORDED.get(name, Kind.OTHER) for name in action.cat.categories], dtype=np.int64)
    made = (plays["points_home"] + plays["points_away"]).to_numpy() > 0
    kind = scored(kinds[action.cat.codes], made)
    told = plays[["game_id", "period", "team"]].assign(t=plays["elapsed_seconds"], kind=kind)
    return held(told, games)


def held(plays: pd.DataFrame, games: pd.DataFrame) -> NDArray[np.int8]:
    """Who has the ball at minutes 0..23 by ``models.possession``, int8, one row a game of ``games``.

    ``plays`` has game_id, period, t (elapsed game seconds), kind (of ``Kind``) and team, each game's rows in order; a
    game without plays has 0 throughout, a play of another game or team is passed over.
    """
    game, team = plays["game_id"].astype("category"), plays["team"].astype("category")
    row = pd.Index(games["game_id"]).get_indexer(game.cat.categories)[game.cat.codes]
    # Two different numbers for "no team told" and "has no play here", so that a play without a team is nobody's.
    number = np.where(team.cat.codes < 0, -2, team.cat.codes)
    home, away = (team.cat.categories.get_indexer(pd.Index(games[place]))[row] for place in ("home", "away"))
    side = (number == home).astype(np.int8) - (number == away).astype(np.int8)
    known = row >= 0
    period, t, kind = (plays[name].to_numpy()[known] for name in ("period", "t", "kind"))
    return possessions(row[known], period, t, kind, side[known], len(games))


def _day(value: Any) -> Any:
    """The date that ``value`` says, or ``value`` where it says none."""
    moment = value
    if isinstance(value, str):
        with suppress(ValueError):
            moment = datetime.fromisoformat(value)
    whole = isinstance(moment, datetime) and not pd.isna(moment) and moment.time() == time.min
    return moment.date() if whole else value


def _is_day(value: Any) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


def typed(frame: pd.DataFrame, types: dict[str, str], where: str) -> pd.DataFrame:
    """``frame`` with exactly the columns of ``types``, cast. Raises HistoryError naming what does not fit."""
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
                    f"{where}: column {name} has {int(changed.sum())} values no {kind} holds, first {value}"
                )
        columns[name] = cast
    return pd.DataFrame(columns)
