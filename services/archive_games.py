"""Season archives as games: raw play-by-play rows in, one checked row of history a game out.

Two forms are read. ``nbastats_YYYY`` (and ``nbastats_po_YYYY`` for the playoffs) are rows of stats.nba.com's second
version. They name no date, so the archive ``shotdetail_YYYY`` of the same season is needed beside them: it has
GAME_DATE, HTM and VTM for each game. ``cdnnba_YYYY`` (from 2020-21) are actions of the live feed, with times of their
own, and are enough by themselves; they are used for seasons that have no nbastats archive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from models.clock import ClockError, elapsed_s, parse_clock
from models.history import HistoryError
from models.history_frame import GAME_ID_PATTERN, GAME_TYPES, check_games
from models.score_path import Fault, Plays, ScorePath, score_path
from models.teams import UnknownTeamError, team

EASTERN: Final = ZoneInfo("America/New_York")
SEASON_TYPES: Final = {"2": "regular", "4": "playoffs"}
_V2_COLUMNS: Final = (
    "GAME_ID", "EVENTMSGTYPE", "PERIOD", "PCTIMESTRING", "HOMEDESCRIPTION", "VISITORDESCRIPTION", "SCORE",
)  # fmt: skip
_LIVE_COLUMNS: Final = (
    "gameId", "orderNumber", "period", "clock", "timeActual", "actionType", "teamTricode", "scoreHome", "scoreAway",
)  # fmt: skip
_SHOT_COLUMNS: Final = ("GAME_ID", "GAME_DATE", "HTM", "VTM")
_MADE_SHOT, _FREE_THROW, _REVIEW = "1", "3", "18"
# The league restarted in one place after its break: home games were not at home.
_BUBBLE: Final = (date(2020, 7, 1), date(2020, 10, 31))


class ArchiveFormatError(ValueError):
    """A file that is not the archive it is named for; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """When (league date, US Eastern) and between whom a game was."""

    date: date
    home: str
    away: str


@dataclass(slots=True)
class ArchiveGames:
    """Games of an archive (columns of GAME_TYPES), how many were repaired, and how many left out for which reason."""

    frame: pd.DataFrame
    repaired: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: ArchiveGames) -> ArchiveGames:
        return ArchiveGames(
            pd.concat([self.frame, other.frame], ignore_index=True),
            self.repaired + other.repaired,
            self.left_out + other.left_out,
        )


def season_games(season: int, names: Collection[str], fetch: Callable[[str], Path]) -> ArchiveGames:
    """Regular season and playoffs of ``season`` (start year) from archives in ``names``; ``fetch`` gives their CSVs.

    Raises ArchiveFormatError when the season has no usable archives, and whatever ``fetch`` raises.
    """
    parts: list[ArchiveGames] = []
    for stage in ("", "po_"):
        rows, shots, live = f"nbastats_{stage}{season}", f"shotdetail_{stage}{season}", f"cdnnba_{stage}{season}"
        if rows in names and shots in names:
            parts.append(read_v2(fetch(rows), meetings(fetch(shots))))
        elif live in names:
            parts.append(read_live(fetch(live)))
    if not parts:
        raise ArchiveFormatError(
            f"season {season} cannot be loaded: the index has neither nbastats_{season} with shotdetail_{season} "
            f"nor cdnnba_{season}; choose other seasons"
        )
    return sum(parts[1:], start=parts[0])


def meetings(shots_csv: Path) -> dict[str, Meeting]:
    """Date and teams of every game in a shotdetail archive; a game whose teams are unknown is left out."""
    shots = _read(shots_csv, _SHOT_COLUMNS).drop_duplicates("GAME_ID")
    found: dict[str, Meeting] = {}
    for game_id, day, home, away in shots[list(_SHOT_COLUMNS)].itertuples(index=False):
        try:
            played = datetime.strptime(str(day)[:8], "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
            found[str(game_id).zfill(10)] = Meeting(played, team(str(home)).tricode, team(str(away)).tricode)
        except (ValueError, UnknownTeamError):
            continue
    return found


def read_v2(csv: Path, calendar: dict[str, Meeting]) -> ArchiveGames:
    """Games of an nbastats archive. Rows are taken in file order: EVENTNUM is not chronological."""
    rows = _read(csv, _V2_COLUMNS)
    score = rows["SCORE"].str.extract(r"^\s*(\d+)\s*-\s*(\d+)\s*$").astype("float64")
    kind = rows["EVENTMSGTYPE"]
    points: dict[str, pd.Series[Any]] = {}
    for side, column in (("home", "HOMEDESCRIPTION"), ("away", "VISITORDESCRIPTION")):
        text = rows[column].fillna("")
        made = (text != "") & ~text.str.startswith("MISS")
        basket = (kind == _MADE_SHOT) & text.str.contains("PTS)", regex=False)
        points[side] = basket * (2 + text.str.contains("3PT", regex=False)) + (made & (kind == _FREE_THROW)) * 1
    clock = rows["PCTIMESTRING"].str.extract(r"^(\d{1,2}):(\d{2})$").astype("float64")
    table = pd.DataFrame(
        {
            "game_id": rows["GAME_ID"].str.zfill(10),
            "period": pd.to_numeric(rows["PERIOD"], errors="coerce"),
            "left": clock[0] * 60 + clock[1],
            "home": score[1],  # SCORE reads "away - home"
            "away": score[0],
            "home_points": points["home"],
            "away_points": points["away"],
            "review": kind == _REVIEW,
        }
    )
    return _collect(table, lambda game_id, _game: calendar.get(game_id) or Fault.NO_DATE)


def read_live(csv: Path) -> ArchiveGames:
    """Games of a cdnnba archive; date and home team come from the actions themselves."""
    rows = _read(csv, _LIVE_COLUMNS)
    table = pd.DataFrame(
        {
            "game_id": rows["gameId"].str.zfill(10),
            "order": pd.to_numeric(rows["orderNumber"], errors="coerce"),
            "period": pd.to_numeric(rows["period"], errors="coerce"),
            "left": rows["clock"].map(_seconds_left),
            "home": pd.to_numeric(rows["scoreHome"], errors="coerce"),
            "away": pd.to_numeric(rows["scoreAway"], errors="coerce"),
            "review": rows["actionType"].str.lower() == "instantreplay",
            "at": rows["timeActual"],
            "team": rows["teamTricode"],
        }
    ).sort_values(["game_id", "order"], kind="stable", ignore_index=True)
    steps = table.groupby("game_id")[["home", "away"]].diff().fillna(0)
    table["home_points"], table["away_points"] = steps["home"].astype("int64"), steps["away"].astype("int64")
    return _collect(table, _live_meeting)


def _live_meeting(_game_id: str, game: pd.DataFrame) -> Meeting | Fault:
    """Home is the team whose baskets raise the home score; the date is that of the first action, US Eastern."""
    home = game.loc[(game["home_points"] > 0) & (game["away_points"] == 0), "team"].mode()
    away = game.loc[(game["away_points"] > 0) & (game["home_points"] == 0), "team"].mode()
    times = pd.to_datetime(game["at"], utc=True, errors="coerce").dropna()
    if times.empty:
        return Fault.NO_DATE
    try:
        return Meeting(times.iloc[0].astimezone(EASTERN).date(), team(home.iloc[0]).tricode, team(away.iloc[0]).tricode)
    except (UnknownTeamError, IndexError):
        return Fault.UNKNOWN_TEAMS


def _collect(table: pd.DataFrame, meet: Callable[[str, pd.DataFrame], Meeting | Fault]) -> ArchiveGames:
    """One row a sound game; the others counted by reason."""
    rows: list[dict[str, Any]] = []
    out = ArchiveGames(pd.DataFrame(columns=list(GAME_TYPES)))
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
    return out


def _checked(rows: list[dict[str, Any]], left_out: Counter[str]) -> pd.DataFrame:
    """The rows as a frame; one that is no sound game is left out and counted instead of stopping the others."""
    frame = pd.DataFrame(rows, columns=list(GAME_TYPES))
    try:
        return check_games(frame, "season archive")
    except HistoryError:
        sound = [row for row in rows if _is_sound(row)]
        left_out[Fault.UNSOUND] += len(rows) - len(sound)
        return check_games(pd.DataFrame(sound, columns=list(GAME_TYPES)), "season archive")


def _is_sound(row: dict[str, Any]) -> bool:
    try:
        check_games(pd.DataFrame([row], columns=list(GAME_TYPES)), "season archive")
    except HistoryError:
        return False
    return True


def _games(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for game_id, game in table.groupby("game_id", sort=True):
        yield str(game_id), game


def _tell(game_id: str, game: pd.DataFrame) -> ScorePath | Fault:
    if not pd.Series([game_id]).str.fullmatch(GAME_ID_PATTERN).all() or game_id[2] not in SEASON_TYPES:
        return Fault.OTHER_COMPETITION
    placed = game.dropna(subset=["period", "left"])
    try:
        t = [elapsed_s(int(p), float(left)) for p, left in zip(placed["period"], placed["left"], strict=True)]
    except ClockError:
        return Fault.BAD_CLOCK
    if len(placed) < len(game):
        return Fault.BAD_CLOCK
    return score_path(
        Plays(
            period=placed["period"].to_numpy(dtype=np.int64),
            t=np.array(t, dtype=np.float64),
            home=placed["home"].to_numpy(dtype=np.float64),
            away=placed["away"].to_numpy(dtype=np.float64),
            home_points=placed["home_points"].to_numpy(dtype=np.int64),
            away_points=placed["away_points"].to_numpy(dtype=np.int64),
            review=placed["review"].to_numpy(dtype=np.bool_),
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


def _seconds_left(clock: Any) -> float:
    try:
        return parse_clock(str(clock))
    except ClockError:
        return float("nan")


def _read(csv: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        return pd.read_csv(csv, usecols=list(columns), dtype="str")
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ArchiveFormatError(
            f"{csv} is not an archive of its name: {error}; remove it and load it again"
        ) from error
