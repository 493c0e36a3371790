"""The two raw forms of season archives, each brought to one table of plays.

``nbastats_YYYY`` are rows of stats.nba.com's second version: file order is the order of play, SCORE reads "away - home"
and is empty on rows that do not score, and no row has a date. ``shotdetail_YYYY`` has date and teams of each game.
``cdnnba_YYYY`` are actions of the live feed in any order, with orderNumber, both scores and the time of each.

A table of plays has the columns game_id (ten digits), period, left (seconds on the clock), home and away (the score
shown, NaN where there is none), home_points and away_points (what the play scored), review (a replay review), kind (of
``models.possession.Kind``) and team (today's tricode, absent where none is told).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.clock import ClockError, parse_clock
from models.possession import ARCHIVED, BY_PLAYERS, LIVE, Kind, scored
from models.score_path import Fault
from models.teams import UnknownTeamError, is_team, team

EASTERN: Final = ZoneInfo("America/New_York")
_V2_COLUMNS: Final = (
    "GAME_ID", "EVENTMSGTYPE", "PERIOD", "PCTIMESTRING", "HOMEDESCRIPTION", "VISITORDESCRIPTION", "SCORE",
    "PLAYER1_TEAM_ABBREVIATION",
)  # fmt: skip
_LIVE_COLUMNS: Final = (
    "gameId", "orderNumber", "period", "clock", "timeActual", "actionType", "teamTricode", "personId", "shotResult",
    "scoreHome", "scoreAway",
)  # fmt: skip
_SHOT_COLUMNS: Final = ("GAME_ID", "GAME_DATE", "HTM", "VTM")
_LIVE_POINTS: Final = {"2pt": 2, "3pt": 3, "freethrow": 1}
_MADE_SHOT, _FREE_THROW, _REVIEW = "1", "3", "18"


class ArchiveFormatError(ValueError):
    """A file that is not the archive it is named for; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """When (league date, US Eastern) and between whom a game was."""

    date: date
    home: str
    away: str


def meetings(shots_csv: Path) -> dict[str, Meeting]:
    """Date and teams of every game in a shotdetail archive; a game whose teams are unknown is left out."""
    shots = read_columns(shots_csv, _SHOT_COLUMNS).drop_duplicates("GAME_ID")
    found: dict[str, Meeting] = {}
    for game_id, day, home, away in shots[list(_SHOT_COLUMNS)].itertuples(index=False):
        try:
            played = datetime.strptime(str(day)[:8], "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
            found[str(game_id).zfill(10)] = Meeting(played, team(str(home)).tricode, team(str(away)).tricode)
        except (ValueError, UnknownTeamError):
            continue
    return found


def v2_plays(csv: Path) -> pd.DataFrame:
    """Plays of an nbastats archive, in file order: EVENTNUM is not chronological. Raises ArchiveFormatError."""
    rows = read_columns(csv, _V2_COLUMNS)
    score = rows["SCORE"].str.extract(r"^\s*(\d+)\s*-\s*(\d+)\s*$").astype("float64")
    kind = rows["EVENTMSGTYPE"]
    points: dict[str, pd.Series[Any]] = {}
    for side, column in (("home", "HOMEDESCRIPTION"), ("away", "VISITORDESCRIPTION")):
        text = rows[column].fillna("")
        made = (text != "") & ~text.str.startswith("MISS")
        basket = (kind == _MADE_SHOT) & text.str.contains("PTS)", regex=False)
        points[side] = basket * (2 + text.str.contains("3PT", regex=False)) + (made & (kind == _FREE_THROW)) * 1
    scores = points["home"] + points["away"] > 0
    clock = rows["PCTIMESTRING"].str.extract(r"^(\d{1,2}):(\d{2})$").astype("float64")
    return pd.DataFrame(
        {
            "game_id": rows["GAME_ID"].str.zfill(10),
            "period": pd.to_numeric(rows["PERIOD"], errors="coerce"),
            "left": clock[0] * 60 + clock[1],
            "home": score[1],  # SCORE reads "away - home"
            "away": score[0],
            "home_points": points["home"],
            "away_points": points["away"],
            "review": kind == _REVIEW,
            "kind": scored(_kinds(kind, ARCHIVED), scores.to_numpy()),
            "team": _tricodes(rows["PLAYER1_TEAM_ABBREVIATION"]),
        }
    )


def live_plays(csv: Path) -> pd.DataFrame:
    """Plays of a cdnnba archive by orderNumber, with the further columns ``at`` and ``team``."""
    rows = read_columns(csv, _LIVE_COLUMNS)
    action, made = rows["actionType"].str.lower(), rows["shotResult"] == "Made"
    kind = scored(_kinds(action, LIVE), made.to_numpy())
    nobody = pd.to_numeric(rows["personId"], errors="coerce").fillna(0) == 0
    table = pd.DataFrame(
        {
            "game_id": rows["gameId"].str.zfill(10),
            "order": pd.to_numeric(rows["orderNumber"], errors="coerce"),
            "period": pd.to_numeric(rows["period"], errors="coerce"),
            "left": rows["clock"].map(_seconds_left),
            "home": pd.to_numeric(rows["scoreHome"], errors="coerce"),
            "away": pd.to_numeric(rows["scoreAway"], errors="coerce"),
            "review": action == "instantreplay",
            "at": rows["timeActual"],
            "kind": kind,
            "team": _tricodes(rows["teamTricode"].mask(nobody & np.isin(kind, BY_PLAYERS))),
            "points": action.map(_LIVE_POINTS).fillna(0) * made,
        }
    ).sort_values(["game_id", "order"], kind="stable", ignore_index=True)
    # The home team is the one whose baskets raise the home score.
    rises = table.groupby("game_id")[["home", "away"]].diff().fillna(0)
    baskets = table[(rises["home"] > 0) & (rises["away"] == 0) & table["team"].notna()]
    home_of = baskets.groupby("game_id")["team"].agg(lambda teams: teams.mode().iloc[0])
    table["home_team"] = table["game_id"].map(home_of)
    at_home = table["team"] == table["home_team"]
    table["home_points"] = table["points"].where(at_home, 0)
    table["away_points"] = table["points"].where(~at_home & table["team"].notna(), 0)
    return table


def live_meeting(game: pd.DataFrame) -> Meeting | Fault:
    """When and between whom the game of these live plays was; the date is that of the first action, US Eastern."""
    times = pd.to_datetime(game["at"], utc=True, errors="coerce").dropna()
    if times.empty:
        return Fault.NO_DATE
    home = game["home_team"].iloc[0]
    others = sorted(set(game["team"].dropna()) - {home})
    try:
        first, second = team(str(home)).tricode, team(str(others[0])).tricode
    except (UnknownTeamError, IndexError):
        return Fault.UNKNOWN_TEAMS
    if len(others) != 1:
        return Fault.UNKNOWN_TEAMS
    return Meeting(times.min().astimezone(EASTERN).date(), first, second)


def _kinds(words: pd.Series[Any], kinds: Mapping[str, Kind]) -> NDArray[Any]:
    found: NDArray[Any] = words.map(kinds).fillna(Kind.OTHER).to_numpy(dtype=np.int64)
    return found


def _tricodes(told: pd.Series[Any]) -> pd.Series[Any]:
    """Tricodes as the franchises have them today; one that no franchise has is left as it is."""
    today = {str(name): team(str(name)).tricode if is_team(str(name)) else name for name in told.dropna().unique()}
    return told.map(today)


def _seconds_left(clock: Any) -> float:
    try:
        return parse_clock(str(clock))
    except ClockError:
        return float("nan")


def read_columns(csv: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """The named columns of an archive, as text. Raises ArchiveFormatError when one is missing."""
    try:
        return pd.read_csv(csv, usecols=list(columns), dtype="str")
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ArchiveFormatError(
            f"{csv} is not an archive of its name: {error}; remove it and load it again"
        ) from error
