"""The live feed's JSON, typed: bytes of a scoreboard or a play-by-play in, games and snapshots out.

One parser reads the real feed, stored files and the replay alike. What the feed is known to do is absorbed here and
nowhere else: scores are strings, ``orderNumber`` is the only order, clocks carry tenths, ``gameEt`` ends in Z although
it is Eastern, a clock is empty while the game is played, an action comes twice. Anything else wrong is a WireError that
names the game, the field and the value; no other exception leaves this parser, whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Annotated

import msgspec
import numpy as np

from models.clock import REGULATION_PERIODS, ClockError, elapsed_s, parse_clock
from models.game import Play, Snapshot, Status, essential_plays, minutes_reached
from models.possession import BY_PLAYERS, LIVE, MADE, Kind, possessions
from services.wire_fields import MAX_SCORE, WireError, WireSyntaxError, decode, instant, score
from services.wire_scoreboard import ScoreboardGame, parse_scoreboard, parse_scoreboard_lines

__all__ = [
    "ScoreboardGame",
    "WireError",
    "WireSyntaxError",
    "parse_playbyplay",
    "parse_scoreboard",
    "parse_scoreboard_lines",
]

_Score = Annotated[int, msgspec.Meta(ge=0, le=MAX_SCORE)] | str | None


class _Action(msgspec.Struct, rename="camel", gc=False):
    order_number: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    period: Annotated[int, msgspec.Meta(ge=1, le=20)]
    clock: str | None = None
    score_home: _Score = None
    score_away: _Score = None
    action_type: str | None = None
    sub_type: str | None = None
    team_tricode: str | None = None
    person_id: int | None = None
    shot_result: str | None = None
    time_actual: str | None = None
    edited: str | None = None


class _Game(msgspec.Struct, rename="camel"):
    game_id: str
    actions: list[_Action]


class _File(msgspec.Struct):
    game: _Game


@dataclass(frozen=True, slots=True)
class _Walk:
    """What a pass over the actions finds; ``period`` and ``t`` are the furthest point reached, 0 before tip-off."""

    plays: tuple[Play, ...]
    score: tuple[int, int]
    period: int
    t: float
    period_ended: bool
    game_ended: bool
    edited: str
    possessions: tuple[int, ...]


_read_file = msgspec.json.Decoder(_File)


def parse_playbyplay(data: bytes, game: ScoreboardGame) -> Snapshot:
    """The snapshot that a play-by-play file shows of ``game``. Raises WireError.

    The plays say how far the game is; the scoreboard's line names the teams and the schedule. So a game is final when
    its plays are: they hold the game's end, or the last period's end at the scoreboard's final score. A file that lags
    behind the scoreboard can never settle a game.
    """
    file = decode(_read_file, data, game.game_id)
    if file.game.game_id != game.game_id:
        raise WireError(game.game_id, "gameId", file.game.game_id, "the game that was asked for")
    actions = _in_order(file.game.actions)
    walk = _walk(game, actions)
    event_text = next((action.time_actual for action in reversed(actions) if action.time_actual), None)
    return Snapshot(
        game_id=game.game_id,
        home=game.home,
        away=game.away,
        status=_status(game, walk),
        period=walk.period,
        t=walk.t,
        period_ended=walk.period_ended,
        plays=walk.plays,
        event_at=instant(game.game_id, "timeActual", event_text) if event_text else None,
        edited_at=instant(game.game_id, "edited", walk.edited) if walk.edited else None,
        possessions=walk.possessions,
    )


def _in_order(actions: list[_Action]) -> Sequence[_Action]:
    """By orderNumber; of an action that comes twice the newest edit."""
    if all(first.order_number < second.order_number for first, second in pairwise(actions)):
        return actions
    ranked = sorted(actions, key=lambda action: (action.order_number, action.edited or ""))
    return list({action.order_number: action for action in ranked}.values())


def _walk(game: ScoreboardGame, actions: Iterable[_Action]) -> _Walk:
    """One pass over the actions in order, some hundreds a poll and so kept plain.

    An action without a clock stands where the game stands; one without a score leaves it as it is.
    """
    game_id = game.game_id
    plays: list[Play] = []
    held: list[tuple[int, float, int, int]] = []
    home_text: str | int | None = None
    away_text: str | int | None = None
    home = away = period = furthest_period = last_end = 0
    t = furthest = 0.0
    edited = ""
    game_ended = False
    for action in actions:
        period_before, t_before = period, t
        period, clock = action.period, action.clock
        if clock:
            try:
                t = _elapsed(period, clock)
            except ClockError as error:
                field = f"clock of action {action.order_number} (period {period})"
                expected = "time left in the period, such as PT05M53.00S"
                raise WireError(game_id, field, clock, expected) from error
        moved = period < period_before or t < t_before
        if action.score_home != home_text:
            home_text, moved = action.score_home, True
            home = score(game_id, "scoreHome", home_text, home)
        if action.score_away != away_text:
            away_text, moved = action.score_away, True
            away = score(game_id, "scoreAway", away_text, away)
        if moved:
            plays.append(Play(action.order_number, period, t, home, away))
        if period <= 2 and (kind := LIVE.get(action.action_type or "")):
            held.append((period, t, *_kind_and_side(action, kind, game)))
        if period > furthest_period:
            furthest_period = period
        if t > furthest:
            furthest = t
        if action.edited is not None and action.edited > edited:
            edited = action.edited
        if action.sub_type == "end":
            if action.action_type == "period" and period > last_end:
                last_end = period
            elif action.action_type == "game":
                game_ended = True
    return _Walk(
        plays=essential_plays(plays),
        score=(home, away),
        period=furthest_period,
        t=furthest,
        period_ended=0 < furthest_period == last_end,
        game_ended=game_ended,
        edited=edited,
        possessions=_possessions(held, minutes_reached(furthest_period, furthest)),
    )


def _kind_and_side(action: _Action, kind: Kind, game: ScoreboardGame) -> tuple[int, int]:
    """What the action is to the possession rule and whose: +1 home, -1 away, 0 not told."""
    if kind in BY_PLAYERS and not action.person_id:
        return kind, 0
    if action.shot_result == "Made":
        kind = MADE.get(kind, kind)
    tricode = action.team_tricode
    return kind, (tricode == game.home) - (tricode == game.away)


def _possessions(held: Sequence[tuple[int, float, int, int]], minutes: int) -> tuple[int, ...]:
    """Who has the ball at minute 0 and the completed minutes after it, 23 the last."""
    period, t, kind, side = np.array(held).reshape(-1, 4).T
    whole = [column.astype(np.int64) for column in (period, kind, side)]
    marks = possessions(np.zeros(len(held), dtype=np.int64), whole[0], t, whole[1], whole[2], 1)[0]
    return tuple(marks[: minutes + 1].tolist())


@lru_cache(maxsize=1 << 15)
def _elapsed(period: int, clock: str) -> float:
    # A game's polls show the same few hundred clocks again and again.
    return elapsed_s(period, parse_clock(clock))


def _status(game: ScoreboardGame, walk: _Walk) -> Status:
    if walk.game_ended:
        return Status.FINAL
    if walk.period == 0:
        return Status.POSTPONED if game.postponed else Status.SCHEDULED
    agreed = game.status is Status.FINAL and walk.score == (game.home_score, game.away_score)
    return Status.FINAL if agreed and walk.period_ended and walk.period >= REGULATION_PERIODS else Status.LIVE
