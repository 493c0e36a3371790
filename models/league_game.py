"""The simulated game, try by try, for many games at once.

One loop step is one try of one team in every game. All state is one array element a game, and every random number is
addressed by (game, step, slot), so a game comes out the same in any company.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import league_rules as rules
from models.clock import HALFTIME_MINUTE
from models.league_random import Keys, Uniforms, stream_keys, uniforms

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SLOTS = 10
_BLOCK = 16
_MAX_STEPS = 640
_GAME_STEP = _MAX_STEPS + 1  # where a game's own shocks are addressed


@dataclass(frozen=True, slots=True)
class Contest:
    """Games to simulate, one element each. ``edge`` is home strength minus away strength in points a game."""

    streams: Ints
    edge: Floats
    season: Ints


@dataclass(frozen=True, slots=True)
class Tries:
    """What happened, one row a step, one column a game; column ``g`` is valid in rows 0..``length[g]``-1.

    ``start`` and ``end`` are seconds left in ``period`` when the try starts and ends, ``next_start`` when the next one
    does (a rebound takes a moment). ``side`` is 0 for home, 1 for away. ``free_throws`` of 0..3, ``made`` their bits.
    """

    length: Ints
    period: Ints
    start: Ints
    end: Ints
    side: Ints
    outcome: Ints
    rebound: Ints
    next_start: Ints
    free_throws: Ints
    made: Ints


@dataclass(frozen=True, slots=True)
class Results:
    """Margins (games, 49) at minutes 0..48, ``possession`` (games, 24) as ``models.possession`` finds it in the plays,
    scores at minute 24 and at the end, periods played."""

    margins: Ints
    possession: NDArray[np.int8]
    home_24: Ints
    away_24: Ints
    home: Ints
    away: Ints
    periods: Ints


def _interpolate(table: Floats, row: Ints, u: Floats) -> Floats:
    place = u * (table.shape[1] - 1)
    low = place.astype(np.int64)
    below = table[row, low]
    value: Floats = below + (table[row, low + 1] - below) * (place - low)
    return value


class _Lanes:
    """State of the games still being played. ``keep`` drops finished ones."""

    def __init__(self, contest: Contest, seed: int) -> None:
        count = len(contest.streams)
        self.game = np.arange(count)
        self.keys: Keys = stream_keys(seed, contest.streams)
        by_season = {int(s): rules.season_rules(int(s)) for s in np.unique(contest.season)}
        u = uniforms(self.keys, _GAME_STEP, 12)
        shock = u[:9].reshape(3, 3, count).sum(axis=1) * 2 - 3  # sum of three uniforms: mean 0, standard deviation 1
        self.length = np.array([by_season[int(s)].try_length for s in contest.season]) * (
            1 - rules.PACE_SPREAD * shock[0]
        )
        self.threes = np.array([by_season[int(s)].three_share for s in contest.season])
        shooting = rules.SHOOTING_SPREAD * shock[1]
        self.make_2 = np.array([by_season[int(s)].make_2 for s in contest.season]) + shooting
        self.make_3 = np.array([by_season[int(s)].make_3 for s in contest.season]) + shooting
        self.edge = contest.edge + rules.FORM_SPREAD * shock[2]
        self.tip_winner = (u[9] < 0.5).astype(np.int64)
        self.period = np.ones(count, dtype=np.int64)
        self.left = np.full(count, 720, dtype=np.int64)
        self.side = self.tip_winner.copy()
        self.begin = np.full(count, rules.AFTER_BASKET, dtype=np.int64)
        self.home = np.zeros(count, dtype=np.int64)
        self.away = np.zeros(count, dtype=np.int64)
        self.over = np.zeros(count, dtype=np.bool_)

    def keep(self, lanes: Bools) -> None:
        for name, values in vars(self).items():
            setattr(self, name, values[lanes])


def first_mark(period: Ints, left: Ints) -> Ints:
    """The first minute mark (1..48, 49 for overtime) that counts a play with ``left`` seconds to go in ``period``."""
    regulation = np.minimum(period, 4)
    return np.where(period > 4, 49, np.maximum(regulation * 12 - left // 60, (regulation - 1) * 12 + 1))


def play(contest: Contest, seed: int, record: bool = False) -> tuple[Results, Tries | None]:
    """Simulate every game of ``contest``; with ``record`` also return every try (10 integers a step and game)."""
    lanes = _Lanes(contest, seed)
    count = len(contest.streams)
    points = np.zeros((count, 2, 50), dtype=np.int64)
    possession = np.zeros((count, HALFTIME_MINUTE), dtype=np.int8)
    periods = np.zeros(count, dtype=np.int64)
    length = np.zeros(count, dtype=np.int64)
    rows: list[NDArray[np.int64]] = []
    for step in range(_MAX_STEPS):
        if step % _BLOCK == 0 and lanes.over.any():
            lanes.keep(~lanes.over)
        if not len(lanes.game):
            break
        happened = _step(lanes, uniforms(lanes.keys, step, _SLOTS))
        live = ~lanes.over
        game, side = lanes.game[live], lanes.side[live]
        points[game, side, first_mark(happened[0], happened[2])[live]] += happened[-1][live]
        _hold(possession, game, happened[:, live])
        length[game] = step + 1
        if record:
            row = np.zeros((9, count), dtype=np.int64)
            row[:, lanes.game] = happened[:-1]
            rows.append(row)
        _advance(lanes, happened)
        periods[lanes.game] = lanes.period
    tries = Tries(length, *list(np.stack(rows, axis=1))) if record else None
    return _results(points, possession, periods), tries


def _hold(possession: NDArray[np.int8], game: Ints, happened: NDArray[np.int64]) -> None:
    """Note who has the ball where a try is under way at a minute mark; between a miss and its rebound nobody has."""
    period, start, end, side = happened[:4]
    minute = period * 12 - start // 60  # no try is a minute long: it runs over one mark at most
    under_way = (period <= 2) & (start // 60 * 60 > end) & (minute > 0)
    possession[game[under_way], minute[under_way]] = 1 - 2 * side[under_way]


def _step(lanes: _Lanes, u: Uniforms) -> NDArray[np.int64]:
    """One try in every lane: rows period, start, end, side, outcome, rebound, next_start, free_throws, made, points."""
    left, late_period = lanes.left, lanes.period >= 4
    lead = np.where(lanes.side == 0, lanes.home - lanes.away, lanes.away - lanes.home)
    start = left.copy()

    # How long it takes, and what the end of a period or of the game does to it.
    seconds = _interpolate(rules.TRY_SECONDS, lanes.begin, u[0]) * lanes.length
    rushed = late_period & (left <= rules.LATE_GAME_S) & (lead < 0) & (lead >= -9)
    seconds = np.where(rushed, seconds * rules.RUSHED_PACE, seconds)
    last_try = left <= rules.SHOT_CLOCK_S
    held = last_try & ~rushed
    seconds = np.where(held, left - np.floor(u[0] * 4), seconds)
    fouled = late_period & (lead > 0) & (lead <= 9) & (left <= 15 + 5 * lead) & (u[1] < rules.INTENTIONAL_FOUL)
    seconds = np.where(fouled, 1 + u[0] * 5, seconds)
    taken = np.maximum(seconds, 0).astype(np.int64)
    horn = (taken > left) | (late_period & last_try & (lead > 0) & ~fouled)
    end = np.where(horn, 0, left - taken)

    # What comes of it.
    sign = np.where(lanes.side == 0, 1.0, -1.0)
    block = np.minimum((first_mark(lanes.period, left) - 1) // 6, 7)
    edge = (lanes.edge + rules.HOME_EDGE[block]) * sign * rules.MAKE_PER_POINT
    relax: Floats = np.clip(lead, -rules.RELAX_CAP, rules.RELAX_CAP) * rules.RELAX_PER_POINT
    relax *= np.where(block == 7, rules.RELAX_AT_THE_END, 1.0)
    relax += np.where(late_period & last_try & (lead == 0), rules.LAST_SHOT_PENALTY, 0.0)
    three_share = np.where(rushed, rules.RUSHED_THREE_SHARE_FURTHER_BEHIND, lanes.threes)
    for deficit, share in rules.RUSHED_THREE_SHARE.items():
        three_share = np.where(rushed & (lead == deficit), share, three_share)
    three = u[2] < three_share
    chance = np.where(three, lanes.make_3, lanes.make_2) + rules.MAKE_BY_START[lanes.begin] + edge - relax
    shot_made = u[3] < chance
    outcome = np.where(three, rules.MISSED_3, rules.MISSED_2) + 2 * shot_made
    trip = (u[4] < rules.FOUL_TRIP_SHARE) | fouled
    outcome = np.where(trip, rules.FOUL_TRIP, outcome)
    outcome = np.where((u[4] > 1 - rules.TURNOVER_SHARE) & ~fouled, rules.TURNOVER, outcome)
    heave = horn & (u[4] < rules.HEAVE_TRIED) & (lead <= 0)
    outcome = np.where(horn, rules.HORN, outcome)
    outcome = np.where(heave, np.where(u[3] < rules.HEAVE_MADE, rules.MADE_3, rules.MISSED_3), outcome)

    made_shot = (outcome == rules.MADE_2) | (outcome == rules.MADE_3)
    free_throws = np.where(made_shot & (u[5] < rules.AND_ONE) & ~heave, 1, 0)
    trip = outcome == rules.FOUL_TRIP
    free_throws = np.where(trip, 2 + (~fouled & (u[5] < rules.THREE_SHOT_TRIP_SHARE)), free_throws)
    dropped = (u[6:9] < rules.FREE_THROW) & (np.arange(3)[:, np.newaxis] < free_throws)
    made = dropped[0] + 2 * dropped[1] + 4 * dropped[2]
    points = np.where(made_shot, outcome - rules.MADE_2 + 2, 0) + dropped.sum(axis=0)

    # Who has it next.
    last_dropped: Bools = dropped[np.maximum(free_throws - 1, 0), np.arange(len(left))]
    missed = (outcome == rules.MISSED_2) | (outcome == rules.MISSED_3)
    loose = (missed | ((free_throws > 0) & ~last_dropped)) & ~horn
    grabbed = np.where(missed, rules.OFFENSIVE_REBOUND, rules.FREE_THROW_OFFENSIVE_REBOUND)
    rebound = np.where(loose, np.where(u[9] < grabbed, rules.OFFENSIVE, rules.DEFENSIVE), rules.NO_REBOUND)
    spare = (u[9] * 4096).astype(np.int64) % len(rules.REBOUND_SECONDS)
    next_start = np.where(loose, np.maximum(end - rules.REBOUND_SECONDS[spare], 0), end)
    return np.stack(
        [lanes.period, start, end, lanes.side, outcome, rebound, next_start, free_throws, made, points]
    ).astype(np.int64)


def _advance(lanes: _Lanes, happened: NDArray[np.int64]) -> None:
    """Move every live lane to its next try, its next period or its end."""
    rebound, next_start, points = happened[5], happened[6], happened[9]
    live = ~lanes.over
    lanes.home += np.where(live & (lanes.side == 0), points, 0)
    lanes.away += np.where(live & (lanes.side == 1), points, 0)
    keeps = rebound == rules.OFFENSIVE
    scored = (points > 0) & (rebound == rules.NO_REBOUND)
    begin = np.where(keeps, rules.AFTER_OFFENSIVE_REBOUND, np.where(scored, rules.AFTER_BASKET, rules.AFTER_STOP))
    side = np.where(keeps, lanes.side, 1 - lanes.side)
    ended = next_start == 0
    done = ended & (lanes.period >= 4) & (lanes.home != lanes.away)
    turned = ended & ~done
    period = lanes.period + turned
    # The side that lost the opening tip starts Q2 and Q3; overtimes alternate.
    opener = np.where((period == 2) | (period == 3), 1 - lanes.tip_winner, (lanes.tip_winner + period) % 2)
    lanes.side = np.where(live, np.where(turned, opener, side), lanes.side)
    lanes.begin = np.where(turned, rules.AFTER_BASKET, begin)
    lanes.left = np.where(turned, np.where(period > 4, 300, 720), next_start)
    lanes.period = np.where(live, period, lanes.period)
    lanes.over |= done


def _results(points: Ints, possession: NDArray[np.int8], periods: Ints) -> Results:
    """Scores at minute marks from points counted by the first mark they belong to."""
    scores = points.cumsum(axis=2)
    return Results(
        margins=scores[:, 0, :49] - scores[:, 1, :49],
        possession=possession,
        home_24=scores[:, 0, 24],
        away_24=scores[:, 1, 24],
        home=scores[:, 0, 49],
        away=scores[:, 1, 49],
        periods=periods,
    )
