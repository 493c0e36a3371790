"""The scoreboard as the live feed writes it, from how far each game is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from models.clock import REGULATION_PERIODS, format_clock, period_length_s
from models.teams import team as franchise
from services.replay_slate import Script, Standing
from services.replay_timeline import Timeline

_TIME_OUTS: Final = 7
_KEPT_LINES: Final = 4


@dataclass(frozen=True, slots=True)
class _Moment:
    """How far a game is; period 0 before tip-off. ``points`` holds each period's (home, away)."""

    period: int = 0
    remaining_s: float = 0.0
    ended: bool = False
    final: bool = False
    score: tuple[int, int] = (0, 0)
    points: tuple[tuple[int, int], ...] = ()
    time_outs: tuple[int, int] = (_TIME_OUTS, _TIME_OUTS)


class Game:
    """One game of the replay: its script, its timeline and its line on the scoreboard."""

    def __init__(self, script: Script, timeline: Timeline) -> None:
        self.script, self.timeline = script, timeline
        self._line = lru_cache(maxsize=_KEPT_LINES)(self._encode)

    def count(self, at_s: float) -> int:
        """Publications of the game at a moment; 0 before tip-off and for a postponed game."""
        return 0 if self.script.postponed else self.timeline.count(at_s)

    @property
    def ends_s(self) -> float:
        """When the feed shows the last of it, corrections after the final included (epoch seconds)."""
        return self.timeline.moments[-1]

    def final(self, at_s: float) -> bool:
        """Whether nothing more will happen tonight."""
        return self.script.postponed or at_s >= self.ends_s

    def line(self, at_s: float) -> bytes:
        """The game's JSON on the scoreboard."""
        return self._line(self.count(at_s))

    def _encode(self, count: int) -> bytes:
        return msgspec.json.encode(_line(self.script, _moment(self, count), count))


def scoreboard(league_date: date, games: Sequence[Game], at_s: float) -> bytes:
    """The scoreboard file at a moment (epoch seconds). It shows the evening's games whatever the calendar says."""
    head = (
        '{"meta":{"version":1,"request":"https://nba-prod-us-east-1-mediaops-stats.s3.amazonaws.com/NBA/liveData/'
        f'scoreboard/todaysScoreboard_00.json","time":"{league_date} 10:00:00.000","code":200}},"scoreboard":'
        f'{{"gameDate":"{league_date}","leagueId":"00","leagueName":"National Basketball Association","games":['
    )
    return head.encode() + b",".join([game.line(at_s) for game in games]) + b"]}}"


def _moment(game: Game, count: int) -> _Moment:
    if count == 0:
        return _Moment()
    shown = game.timeline.shown(count)
    last = shown[-1]
    totals: dict[int, tuple[int, int]] = {}
    taken = {game.script.home: 0, game.script.away: 0}
    for entry in shown:
        totals[entry.action.period] = (entry.home, entry.away)
        if entry.action.recorded == "timeout":
            taken[entry.action.fields["teamTricode"]] += 1
    points, before = [], (0, 0)
    for period in range(1, last.action.period + 1):
        now = totals.get(period, before)
        points.append((max(0, now[0] - before[0]), max(0, now[1] - before[1])))
        before = now
    left = (max(0, _TIME_OUTS - taken[game.script.home]), max(0, _TIME_OUTS - taken[game.script.away]))
    return _Moment(
        period=last.action.period,
        remaining_s=last.action.remaining_s,
        ended=any(entry.action.ends_period and entry.action.period == last.action.period for entry in shown),
        final=any(entry.action.ends_game for entry in shown),
        score=(last.home, last.away),
        points=tuple(points),
        time_outs=left,
    )


def _line(script: Script, now: _Moment, count: int) -> dict[str, Any]:
    live = now.period > 0 and not now.final
    local = script.scheduled_at.isoformat()
    # Before and after a game the feed puts a Z on the Eastern time; in play it is right.
    game_et = local if live else f"{local[:19]}Z"
    clock = format_clock(now.remaining_s) if live else ""
    if live and not now.ended and count % 37 == 5:
        clock = ""  # the feed leaves it empty now and then
    return {
        "gameId": script.game_id,
        "gameCode": f"{script.league_date:%Y%m%d}/{script.away}{script.home}",
        "gameStatus": 3 if now.final else 2 if live else 1,
        "gameStatusText": _status_text(script, now),
        "period": now.period,
        "gameClock": clock,
        "gameTimeUTC": script.scheduled_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "gameEt": game_et,
        "regulationPeriods": REGULATION_PERIODS,
        "ifNecessary": False,
        "seriesGameNumber": "",
        "gameLabel": "",
        "gameSubLabel": "",
        "seriesText": "",
        "seriesConference": "",
        "poRoundDesc": "",
        "gameSubtype": "",
        "isNeutral": False,
        "homeTeam": _team(script.home, script.standings[0], now, 0, live),
        "awayTeam": _team(script.away, script.standings[1], now, 1, live),
        "gameLeaders": {"homeLeaders": _leader(script.home), "awayLeaders": _leader(script.away)},
        "pbOdds": {"team": None, "odds": 0.0, "suspended": 0},
    }


def _status_text(script: Script, now: _Moment) -> str:
    if script.postponed:
        return "PPD"
    if now.period == 0:
        return _hour(script.scheduled_at)
    overtimes = now.period - REGULATION_PERIODS
    if now.final:
        return "Final" if overtimes <= 0 else "Final/OT" if overtimes == 1 else f"Final/OT{overtimes}"
    if now.ended and now.period == 2:
        return "Half"
    name = f"Q{now.period}" if overtimes <= 0 else f"OT{overtimes}"
    if now.ended:
        return f"{name} :00.0 "
    if now.remaining_s == period_length_s(now.period) or now.remaining_s >= 60:
        # Both forms are seen: with and without a leading zero.
        minutes, seconds = divmod(int(now.remaining_s), 60)
        return f"{name} {minutes:0{2 if script.league_date.year < 2024 else 1}d}:{seconds:02d}"
    return f"{name} :{now.remaining_s:04.1f} "


def _hour(at: datetime) -> str:
    return f"{at.hour % 12 or 12}:{at.minute:02d} {'pm' if at.hour >= 12 else 'am'} ET"


def _team(tricode: str, standing: Standing, now: _Moment, side: int, live: bool) -> dict[str, Any]:
    team = franchise(tricode)
    scored = [points[side] for points in now.points]
    shown = max(REGULATION_PERIODS, now.period)
    return {
        "teamId": team.team_id,
        "teamName": team.name,
        "teamCity": team.city,
        "teamTricode": tricode,
        "wins": standing.wins,
        "losses": standing.losses,
        "score": now.score[side],
        "seed": None,
        "inBonus": "0" if live else None,
        "timeoutsRemaining": now.time_outs[side] if now.period else 0,
        "periods": [
            {
                "period": period,
                "periodType": "REGULAR" if period <= REGULATION_PERIODS else "OVERTIME",
                "score": scored[period - 1] if period <= len(scored) else 0,
            }
            for period in range(1, shown + 1)
        ],
    }


def _leader(tricode: str) -> dict[str, Any]:
    """Nobody yet: the recorded games do not say who scored."""
    empty = {"personId": 0, "name": "", "jerseyNum": "", "position": "", "teamTricode": tricode, "playerSlug": None}
    return {**empty, "points": 0, "rebounds": 0, "assists": 0}
