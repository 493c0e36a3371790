"""The plays of a simulated game: its tries told as the events of a play-by-play, with the wall clock they happened at.

Scores come from the tries alone, so a game's plays and its minute margins agree by construction. What does not score
(fouls on the floor, substitutions, time-outs, who touched the rebound) is drawn from numbers of the same game.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from models import league_rules as rules
from models.clock import elapsed_s, period_length_s
from models.league_game import Tries
from models.league_random import Uniforms, stream_keys, uniforms
from models.league_schedule import EASTERN

_FIRST_SLOT, _SLOTS = 16, 16  # after the slots that decide the game
_GAME_STEP: Final = 650

# Wall seconds that the game clock does not count.
_TO_TIP_S = 480.0
_FOUL_S, _FREE_THROW_S, _TURNOVER_S, _BASKET_S, _LOOSE_BALL_S = 14.0, 12.5, 8.0, 3.0, 5.0
_TIME_OUT_S, _REVIEW_S, _BREAK_S, _HALFTIME_S = 130.0, 70.0, 165.0, 905.0
_PACE_OF_DAY = 0.03  # standard deviation of a game's stoppages, as a share
_RUNNING = 1.18  # wall seconds a second of game clock: the clock stops a little at every whistle
# The first dead ball below these clocks is a television time-out, every period.
_TELEVISION_TIME_OUTS: Final = (420, 180)
_TIME_OUT, _LATE_TIME_OUT, _REVIEW = 0.05, 0.22, 0.040
_FLOOR_FOUL, _OFFENSIVE_FOUL, _SHOT_CLOCK, _VIOLATION, _OUT_OF_BOUNDS = 0.050, 0.16, 0.05, 0.008, 0.16
_SUBSTITUTION_AT_DEAD_BALL = 0.62

PLAY_COLUMNS: Final = (
    "game_id", "row", "event_num", "period", "clock_seconds_remaining", "elapsed_seconds", "time_actual_et_minute",
    "action_type", "points_home", "points_away", "score_home", "score_away", "team",
)  # fmt: skip

PlayRow = tuple[Any, ...]  # one value a column of PLAY_COLUMNS


@dataclass(slots=True)
class _Teller:
    """Writes one game down; ``wall_s`` is wall seconds since the scheduled tip-off."""

    game_id: str
    teams: tuple[str, str]
    tip_at: datetime
    stoppage: float
    wall_s: float
    period: int = 1
    clock: int = 720
    score: list[int] = field(default_factory=lambda: [0, 0])
    rows: list[PlayRow] = field(default_factory=list)
    event_num: int = 0
    television: int = 0

    def tell(self, action: str, side: int | None, points: int = 0) -> None:
        gained = [0, 0]
        if side is not None and points:
            gained[side] = points
            self.score[side] += points
        self.event_num += 1 if self.rows and action in ("rebound", "free_throw") else 2
        wall = self.tip_at.replace(tzinfo=None) + timedelta(seconds=self.wall_s)
        team = None if side is None else self.teams[side]
        self.rows.append(
            (
                self.game_id, len(self.rows), self.event_num, self.period, self.clock,
                int(elapsed_s(self.period, self.clock)), wall.replace(second=0, microsecond=0), action, *gained,
                *self.score, team,
            )
        )  # fmt: skip

    def run_to(self, clock: int) -> None:
        self.wall_s += max(self.clock - clock, 0) * _RUNNING
        self.clock = min(self.clock, clock)

    def stop(self, seconds: float) -> None:
        self.wall_s += seconds * self.stoppage


def tell_game(
    game_id: str, home: str, away: str, tip_at: datetime, tries: Tries, column: int, seed: int
) -> list[PlayRow]:
    """The rows of the game in ``column`` of ``tries``. ``tip_at`` is the scheduled tip-off, aware."""
    key = stream_keys(seed, np.array([int(game_id)], dtype=np.int64))
    game_u = uniforms(key, _GAME_STEP, 8)[:, 0]
    day = float(game_u[:6].sum() * 2**0.5 - 18**0.5)  # mean 0, standard deviation 1
    teller = _Teller(
        game_id,
        (home, away),
        tip_at.astimezone(EASTERN),
        stoppage=max(1 + _PACE_OF_DAY * day, 0.6),
        wall_s=_TO_TIP_S + 300 * float(game_u[6]),
    )
    length = int(tries.length[column])
    steps = [{name: int(getattr(tries, name)[step, column]) for name in _TRY_FIELDS} for step in range(length)]
    for number, step in enumerate(steps):
        if number == 0 or step["period"] != steps[number - 1]["period"]:
            _start_period(teller, step)
        _tell_try(teller, step, uniforms(key, number, _SLOTS, _FIRST_SLOT)[:, 0])
        if number == length - 1 or steps[number + 1]["period"] != step["period"]:
            teller.run_to(0)
            teller.tell("period_end", None)
    return teller.rows


_TRY_FIELDS = ("period", "start", "end", "side", "outcome", "rebound", "next_start", "free_throws", "made")


def _start_period(teller: _Teller, step: dict[str, int]) -> None:
    if teller.rows:
        teller.wall_s += _HALFTIME_S if step["period"] == 3 else _BREAK_S
    teller.period, teller.clock, teller.television = step["period"], int(period_length_s(step["period"])), 0
    teller.tell("period_start", None)
    if step["period"] == 1 or step["period"] > 4:
        teller.tell("jump_ball", step["side"])


def _tell_try(teller: _Teller, step: dict[str, int], u: Uniforms) -> None:
    side, other, outcome = step["side"], 1 - step["side"], step["outcome"]
    if outcome != rules.HORN and step["start"] - step["end"] >= 8 and u[0] < _FLOOR_FOUL:
        teller.run_to(step["end"] + 4)
        _foul(teller, other, u[1:])
    teller.run_to(step["end"])
    if outcome == rules.TURNOVER:
        offensive, opening = u[2] < _OFFENSIVE_FOUL, step["period"] == 1 and step["start"] == 720
        if offensive:
            _foul(teller, side, u[1:])
        # The clock of the shot runs out on the team, no player.
        teller.tell("turnover", side if u[3] > _SHOT_CLOCK or offensive or opening else None)
        teller.stop(_TURNOVER_S)
    elif outcome in (rules.MISSED_2, rules.MISSED_3):
        teller.tell("missed_fg", side)
    elif outcome in (rules.MADE_2, rules.MADE_3):
        teller.tell("made_fg", side, 2 if outcome == rules.MADE_2 else 3)
        teller.stop(_BASKET_S)
    if outcome == rules.FOUL_TRIP or step["free_throws"]:
        _foul(teller, other, u[4:])
        _free_throws(teller, step, u[8:])
    if u[14] < _VIOLATION and outcome != rules.HORN:
        teller.tell("violation", other)
    missed = outcome in (rules.MISSED_2, rules.MISSED_3)
    if step["rebound"] != rules.NO_REBOUND:
        teller.run_to(step["next_start"])
        taker = side if step["rebound"] == rules.OFFENSIVE else other
        teller.tell("rebound", taker)
        teller.stop(_LOOSE_BALL_S if u[13] < _OUT_OF_BOUNDS else 0.0)
    elif missed:
        teller.tell("rebound", None)


def _free_throws(teller: _Teller, step: dict[str, int], u: Uniforms) -> None:
    shots = step["free_throws"]
    for shot in range(shots):
        made = step["made"] >> shot & 1
        teller.stop(_FREE_THROW_S)
        teller.tell("free_throw", step["side"], made)
        if not made and shot < shots - 1:
            teller.tell("rebound", None)
        if shot == 0 and u[0] < 0.25:
            teller.tell("substitution", int(u[1] < 0.5))


def _foul(teller: _Teller, side: int, u: Uniforms) -> None:
    """A foul by ``side`` and what a dead ball brings: reviews, time-outs, substitutions."""
    teller.tell("foul", side)
    teller.stop(_FOUL_S)
    if u[0] < _REVIEW:
        teller.tell("instant_replay", None)
        teller.stop(_REVIEW_S)
    due = teller.television < len(_TELEVISION_TIME_OUTS) and teller.clock < _TELEVISION_TIME_OUTS[teller.television]
    late = teller.period >= 4 and teller.clock < 120
    if due or u[1] < (_LATE_TIME_OUT if late else _TIME_OUT):
        teller.television += int(due)
        teller.tell("timeout", None)
        teller.stop(_TIME_OUT_S)
    for who in _changes(u[2]):
        teller.tell("substitution", who)


def _changes(u: float) -> Iterator[int]:
    """Which sides change a player at a dead ball: none, one or both."""
    if u < _SUBSTITUTION_AT_DEAD_BALL:
        share = u / _SUBSTITUTION_AT_DEAD_BALL
        yield int(share < 0.5)
        if share * 10 % 1 < 0.6:
            yield int(share >= 0.5)
