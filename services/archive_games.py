"""Season archives as games: raw play-by-play rows in, one checked row of history a game out.

Two forms are read. ``nbastats_YYYY`` (and ``nbastats_po_YYYY`` for the playoffs) are rows of stats.nba.com's second
version. They name no date, so the archive ``shotdetail_YYYY`` of the same season is needed beside them: it has
GAME_DATE, HTM and VTM for each game. ``cdnnba_YYYY`` (from 2020-21) are actions of the live feed, with times of their
own, and are enough by themselves; they are used for seasons that have no nbastats archive.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.clock import REGULATION_PERIOD_S, period_length_s, period_start_s
from models.history import POSSESSION_COLUMNS, HistoryError
from models.history_frame import GAME_ID_PATTERN, GAME_TYPES, check_games, held
from models.score_path import Fault, Plays, ScorePath, score_path
from services.archive_forms import ArchiveFormatError, Meeting, live_meeting, live_plays, meetings, v2_plays

_GAME_ID: Final = re.compile(GAME_ID_PATTERN)
SEASON_TYPES: Final = {"2": "regular", "4": "playoffs"}
# The league restarted in one place after its break: home games were not at home.
_BUBBLE: Final = (date(2020, 7, 1), date(2020, 10, 31))


@dataclass(slots=True)
class ArchiveGames:
    """Games as ``check_games`` gives them, how many were repaired, and how many left out for which reason."""

    frame: pd.DataFrame = field(default_factory=lambda: _frame([]))
    repaired: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    archives: tuple[str, ...] = ()

    def __add__(self, other: ArchiveGames) -> ArchiveGames:
        return ArchiveGames(
            pd.concat([self.frame, other.frame], ignore_index=True),
            self.repaired + other.repaired,
            self.left_out + other.left_out,
            self.archives + other.archives,
        )


def season_games(season: int, names: Collection[str], fetch: Callable[[str], Path]) -> ArchiveGames:
    """Regular season and playoffs of ``season`` (start year) from archives in ``names``; ``fetch`` gives their CSVs.

    Raises ArchiveFormatError when the season has no usable archives, and whatever ``fetch`` raises.
    """
    parts: list[ArchiveGames] = []
    for stage in ("", "po_"):
        rows, shots, live = f"nbastats_{stage}{season}", f"shotdetail_{stage}{season}", f"cdnnba_{stage}{season}"
        if rows in names and shots in names:
            parts.append(replace(read_v2(fetch(rows), meetings(fetch(shots))), archives=(rows, shots)))
        elif live in names:
            parts.append(replace(read_live(fetch(live)), archives=(live,)))
    if not parts:
        raise ArchiveFormatError(
            f"season {season} cannot be loaded: the index has neither nbastats_{season} with shotdetail_{season} "
            f"nor cdnnba_{season}; choose other seasons"
        )
    return sum(parts[1:], start=parts[0])


def read_v2(csv: Path, calendar: Mapping[str, Meeting]) -> ArchiveGames:
    """Games of an nbastats archive; ``calendar`` (see ``meetings``) has their dates and teams."""
    return _collect(v2_plays(csv), lambda game_id, _game: calendar.get(game_id) or Fault.NO_DATE)


def read_live(csv: Path) -> ArchiveGames:
    """Games of a cdnnba archive; date and home team come from the actions themselves."""
    return _collect(live_plays(csv), lambda _game_id, game: live_meeting(game))


def _collect(table: pd.DataFrame, meet: Callable[[str, pd.DataFrame], Meeting | Fault]) -> ArchiveGames:
    """One row a sound game; the others counted by reason."""
    rows: list[dict[str, Any]] = []
    out = ArchiveGames()
    for game_id, game in _games(table):
        told = _tell(game_id, game)
        meeting = meet(game_id, game) if isinstance(told, ScorePath) else told
        if isinstance(told, Fault) or isinstance(meeting, Fault):
            out.left_out[str(meeting)] += 1
            continue
        out.repaired += told.repaired
        rows.append(_row(game_id, told, meeting))
    if rows:
        out.frame = _checked(rows, out.left_out)
        out.frame[list(POSSESSION_COLUMNS)] = _held(table, out.frame)
    return out


def _held(table: pd.DataFrame, games: pd.DataFrame) -> NDArray[np.int8]:
    """Who has the ball at minutes 0..23 of ``games``, whose clocks are sound."""
    plays = table[table["game_id"].isin(games["game_id"]) & (table["period"] <= 2)]
    return held(plays.assign(t=REGULATION_PERIOD_S * plays["period"] - plays["left"]), games)


def _checked(rows: list[dict[str, Any]], left_out: Counter[str]) -> pd.DataFrame:
    """The rows as a frame; one that is no sound game is left out and counted instead of stopping the others."""
    try:
        return _frame(rows)
    except HistoryError:
        sound = [row for row in rows if _is_sound(row)]
        left_out[Fault.UNSOUND] += len(rows) - len(sound)
        return _frame(sound)


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return check_games(pd.DataFrame(rows, columns=list(GAME_TYPES)), "season archive")


def _is_sound(row: dict[str, Any]) -> bool:
    try:
        _frame([row])
    except HistoryError:
        return False
    return True


def _games(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for game_id, game in table.groupby("game_id", sort=True):
        yield str(game_id), game


def _tell(game_id: str, game: pd.DataFrame) -> ScorePath | Fault:
    if not _GAME_ID.fullmatch(game_id) or game_id[2] not in SEASON_TYPES:
        return Fault.OTHER_COMPETITION
    period, left = game["period"].to_numpy(dtype=np.float64), game["left"].to_numpy(dtype=np.float64)
    if np.isnan(period).any() or np.isnan(left).any() or period.min() < 1:
        return Fault.BAD_CLOCK
    whole = period.astype(np.int64)
    numbers, which = np.unique(whole, return_inverse=True)
    starts = np.array([period_start_s(int(number)) for number in numbers])[which]
    lengths = np.array([period_length_s(int(number)) for number in numbers])[which]
    if (left < 0).any() or (left > lengths).any():
        return Fault.BAD_CLOCK
    return score_path(
        Plays(
            period=whole,
            t=starts + lengths - left,
            home=game["home"].to_numpy(dtype=np.float64),
            away=game["away"].to_numpy(dtype=np.float64),
            home_points=game["home_points"].to_numpy(dtype=np.int64),
            away_points=game["away_points"].to_numpy(dtype=np.int64),
            review=game["review"].to_numpy(dtype=np.bool_),
        )
    )


def _row(game_id: str, told: ScorePath, meeting: Meeting) -> dict[str, Any]:
    year = int(game_id[3:5])
    first = {"game_id": game_id, "season": 1900 + year if year >= 46 else 2000 + year}
    return first | {
        "season_type": SEASON_TYPES[game_id[2]],
        "date": meeting.date,
        "home": meeting.home,
        "away": meeting.away,
        **{f"diff_{minute:02d}": int(margin) for minute, margin in enumerate(told.margins)},
        "diff_final": told.home - told.away,
        "home_score_24": told.home_24,
        "away_score_24": told.away_24,
        "home_score_final": told.home,
        "away_score_final": told.away,
        "n_periods": told.periods,
        "bubble_2020": _BUBBLE[0] <= meeting.date <= _BUBBLE[1],
        "score_method": "recon" if told.repaired else "score",
    }
