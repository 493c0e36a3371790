"""The live feed's scoreboard: bytes in, one typed line a game out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec

from models.clock import ClockError, parse_clock
from models.game import Status
from services.wire_fields import GAME_ID, MAX_SCORE, WireError, decode, instant, score

EASTERN: Final = ZoneInfo("America/New_York")
_GAME_CODE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})/")
_STATUS_CLOCK = re.compile(r"(?:Q[1-4]|OT[0-9]*) +([0-9]{0,2}):([0-9]{2}(?:\.[0-9])?)")
_UNDECIDED = frozenset({"", "TBD"})
_STATUSES = {1: Status.SCHEDULED, 2: Status.LIVE, 3: Status.FINAL}


class _Team(msgspec.Struct, rename="camel"):
    team_tricode: str | None = None
    score: Annotated[int, msgspec.Meta(ge=0, le=MAX_SCORE)] | str | None = None


class _Line(msgspec.Struct, rename="camel"):
    game_id: str
    game_status: int
    home_team: _Team
    away_team: _Team
    game_status_text: str | None = None
    period: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    game_clock: str | None = None
    game_code: str | None = None
    game_time_utc: str | None = msgspec.field(default=None, name="gameTimeUTC")
    game_et: str | None = None


class _Named(msgspec.Struct, rename="camel"):
    game_id: str


class _Board(msgspec.Struct):
    games: list[msgspec.Raw]


class _File(msgspec.Struct):
    scoreboard: _Board


_read_file = msgspec.json.Decoder(_File)
_read_line = msgspec.json.Decoder(_Line)
_read_named = msgspec.json.Decoder(_Named)


@dataclass(frozen=True, slots=True)
class ScoreboardGame:
    """One line of the scoreboard; two equal lines show a viewer the same.

    ``period`` is 0 before tip-off, ``clock_s`` the seconds left in it or None when the feed shows no clock,
    ``tip_at`` the scheduled tip (aware UTC), ``league_date`` the US Eastern day that the game belongs to.
    """

    game_id: str
    status: Status
    status_text: str
    period: int
    clock_s: float | None
    home: str
    away: str
    home_score: int
    away_score: int
    tip_at: datetime
    league_date: date
    postponed: bool


def parse_scoreboard(data: bytes) -> list[ScoreboardGame]:
    """Every game of a scoreboard file, in its order. Raises WireError on the first line that cannot be read."""
    games, rejected = parse_scoreboard_lines(data)
    if rejected:
        raise rejected[0]
    return games


def parse_scoreboard_lines(data: bytes) -> tuple[list[ScoreboardGame], list[WireError]]:
    """The games that can be read and an error for each that cannot, so that one bad line does not hide the others.

    A playoff game whose teams are not decided yet is in neither. Raises WireError when the file as a whole is bad.
    """
    file = decode(_read_file, data, None)
    games: list[ScoreboardGame] = []
    rejected: list[WireError] = []
    for raw in file.scoreboard.games:
        try:
            game = _scoreboard_game(decode(_read_line, raw, _named(raw)))
        except WireError as error:
            rejected.append(error)
            continue
        if game is not None:
            games.append(game)
    return games, rejected


def _named(raw: msgspec.Raw) -> str | None:
    """The id of a line that may be wrong elsewhere, for the error's message."""
    try:
        return _read_named.decode(raw).game_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _scoreboard_game(line: _Line) -> ScoreboardGame | None:
    game_id = line.game_id
    if not GAME_ID.fullmatch(game_id):
        raise WireError(None, "gameId", game_id, "00, a season type 1..6 and seven digits")
    if line.game_status not in _STATUSES:
        raise WireError(game_id, "gameStatus", line.game_status, "1 before, 2 live or 3 final")
    home, away = ((team.team_tricode or "").strip().upper() for team in (line.home_team, line.away_team))
    if home in _UNDECIDED or away in _UNDECIDED:
        return None
    status = _STATUSES[line.game_status]
    text = (line.game_status_text or "").strip()
    if text.upper().startswith("PPD") and status is not Status.FINAL:
        status = Status.POSTPONED
    tip_at = _tip_at(line)
    return ScoreboardGame(
        game_id=game_id,
        status=status,
        status_text=text,
        period=line.period or 0,
        clock_s=_clock_s(line, text, status),
        home=home,
        away=away,
        home_score=score(game_id, "homeTeam.score", line.home_team.score, 0),
        away_score=score(game_id, "awayTeam.score", line.away_team.score, 0),
        tip_at=tip_at,
        league_date=_league_date(line, tip_at),
        postponed=status is Status.POSTPONED,
    )


def _tip_at(line: _Line) -> datetime:
    if line.game_time_utc:
        return instant(line.game_id, "gameTimeUTC", line.game_time_utc)
    if not line.game_et:
        raise WireError(line.game_id, "gameTimeUTC", line.game_time_utc, "the scheduled tip-off")
    # Without its suffix: that is a true offset or a Z, and the time is Eastern either way.
    return instant(line.game_id, "gameEt", line.game_et[:19]).replace(tzinfo=EASTERN).astimezone(UTC)


def _league_date(line: _Line, tip_at: datetime) -> date:
    """The day in the game's code; without one, the Eastern day of the scheduled tip."""
    code = _GAME_CODE.match(line.game_code or "")
    if code is None:
        return tip_at.astimezone(EASTERN).date()
    try:
        return date(int(code[1]), int(code[2]), int(code[3]))
    except ValueError as error:
        raise WireError(line.game_id, "gameCode", line.game_code, "YYYYMMDD/AWYHOM") from error


def _clock_s(line: _Line, text: str, status: Status) -> float | None:
    """From the game clock; while the feed leaves that empty in play, from the status text."""
    clock = (line.game_clock or "").strip()
    if clock:
        try:
            return parse_clock(clock)
        except ClockError as error:
            raise WireError(line.game_id, "gameClock", clock, "a clock such as PT05M53.00S") from error
    if status is not Status.LIVE:
        return None
    if text == "Half":
        return 0.0
    shown = _STATUS_CLOCK.fullmatch(text)
    return int(shown[1] or 0) * 60 + float(shown[2]) if shown else None
