"""The live feed's JSON, typed: bytes of a scoreboard or a play-by-play in, games and snapshots out.

One parser reads the real feed, stored files and the replay alike. What the feed is known to do is absorbed here and
nowhere else: scores are strings, ``orderNumber`` is the only order, clocks carry tenths, ``gameEt`` ends in Z although
it is Eastern, a clock is empty while the game is played, an action comes twice. Anything else wrong is a WireError that
names the game, the field and the value; no other exception leaves this parser, whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Annotated

import msgspec

from models.clock import ClockError, elapsed_s, parse_clock
from models.game import Play, Snapshot, Status, essential_plays
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
    time_actual: str | None = None
    edited: str | None = None


class _Game(msgspec.Struct, rename="camel"):
    game_id: str
    actions: list[_Action]


class _File(msgspec.Struct):
    game: _Game


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
    plays, last = _scoring(game.game_id, actions)
    period, t = (last.period, last.t) if last else (0, 0.0)
    ended = any(_is_end(action, "period") and action.period == period for action in reversed(actions))
    event_text = next((action.time_actual for action in reversed(actions) if action.time_actual), None)
    edited_text = max((action.edited for action in actions if action.edited), default=None)
    return Snapshot(
        game_id=game.game_id,
        home=game.home,
        away=game.away,
        status=_status(game, actions, last if ended else None),
        period=period,
        t=t,
        period_ended=ended,
        plays=plays,
        event_at=instant(game.game_id, "timeActual", event_text) if event_text else None,
        edited_at=instant(game.game_id, "edited", edited_text) if edited_text else None,
    )


def _in_order(actions: list[_Action]) -> Sequence[_Action]:
    """By orderNumber; of an action that comes twice the newest edit."""
    if all(first.order_number < second.order_number for first, second in pairwise(actions)):
        return actions
    ranked = sorted(actions, key=lambda action: (action.order_number, action.edited or ""))
    return list({action.order_number: action for action in ranked}.values())


def _scoring(game_id: str, actions: Iterable[_Action]) -> tuple[tuple[Play, ...], Play | None]:
    """The plays that move the score, and the furthest point reached with the newest score (None before tip-off).

    An action without a clock stands where the game stands; one without a score leaves it as it is.
    """
    plays: list[Play] = []
    home_text: str | int | None = None
    away_text: str | int | None = None
    home = away = order = period = 0
    t = furthest = 0.0
    furthest_period = 0
    for action in actions:
        moved = action.score_home != home_text or action.score_away != away_text
        if moved:
            home_text, away_text = action.score_home, action.score_away
            home = score(game_id, "scoreHome", home_text, home)
            away = score(game_id, "scoreAway", away_text, away)
        before, order = (period, t), action.order_number
        period = action.period
        if action.clock:
            try:
                t = _elapsed(period, action.clock)
            except ClockError as error:
                field = f"clock of action {order} (period {period})"
                expected = "time left in the period, such as PT05M53.00S"
                raise WireError(game_id, field, action.clock, expected) from error
        if moved or (period, t) < before:
            plays.append(Play(order, period, t, home, away))
        if period > furthest_period or t > furthest:
            furthest_period, furthest = max(furthest_period, period), max(furthest, t)
    last = Play(order, furthest_period, furthest, home, away) if furthest_period else None
    return essential_plays(plays), last


@lru_cache(maxsize=1 << 15)
def _elapsed(period: int, clock: str) -> float:
    # A game's polls show the same few hundred clocks again and again.
    return elapsed_s(period, parse_clock(clock))


def _is_end(action: _Action, kind: str) -> bool:
    return action.action_type == kind and action.sub_type == "end"


def _status(game: ScoreboardGame, actions: Sequence[_Action], ended: Play | None) -> Status:
    """``ended``: the last point of the game so far when its period is over."""
    if not actions:
        return Status.POSTPONED if game.postponed else Status.SCHEDULED
    agreed = ended is not None and (ended.home, ended.away) == (game.home_score, game.away_score)
    if any(_is_end(action, "game") for action in reversed(actions)):
        return Status.FINAL
    if agreed and ended is not None and ended.period >= 4 and game.status is Status.FINAL:
        return Status.FINAL
    return Status.LIVE
