"""A game as one poll shows it, and the one rule that turns a snapshot into a pattern.

A poll returns the whole play-by-play, so the state of a game is a pure function of the newest snapshot; nothing is
accumulated between polls. Training, backtest, replay and live use the same ``margins`` (and the same possession rule,
``models.possession``, whose marks a snapshot holds):

    margin(m) = home minus away after the last play with t <= 60 m and period <= ceil(m / 12)

Plays exactly on the mark count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from math import ceil

from models.clock import HALFTIME_MINUTE, OFFICIAL_MINUTE

HALFTIME_S = HALFTIME_MINUTE * 60.0
OFFICIAL_S = OFFICIAL_MINUTE * 60.0


class SnapshotError(ValueError):
    """A snapshot that cannot be read or asked for something it does not hold."""


class Status(StrEnum):
    """What the schedule says of a game."""

    SCHEDULED = "scheduled"
    LIVE = "live"
    FINAL = "final"
    POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class Play:
    """The running score after one play; ``t`` in elapsed game seconds, ``order`` the feed's orderNumber."""

    order: int
    period: int
    t: float
    home: int
    away: int


@dataclass(frozen=True)
class Snapshot:
    """One game as one poll shows it.

    ``plays`` are in the feed's order and hold every change of score (``essential_plays`` leaves the rest out).
    ``possessions`` says who has the ball at minute 0 and each completed minute after it, 23 the last: +1 home, -1 away,
    0 loose or unknown (``models.possession``); empty when the plays were not asked.
    ``period`` and ``t`` are the furthest point reached, ``period_ended`` says whether that period is over.
    ``event_at`` is the wall time of the newest play, ``edited_at`` of the newest edit; both aware UTC or None before
    tip-off.
    """

    game_id: str
    home: str
    away: str
    status: Status
    period: int = 0
    t: float = 0.0
    period_ended: bool = False
    plays: tuple[Play, ...] = ()
    event_at: datetime | None = None
    edited_at: datetime | None = None
    possessions: tuple[int, ...] = ()
    digest: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(self._body(with_edit=False).encode()).hexdigest()[:32])

    @cached_property
    def score(self) -> tuple[int, int]:
        """(home, away) after the last play; (0, 0) before tip-off."""
        return (self.plays[-1].home, self.plays[-1].away) if self.plays else (0, 0)

    def _body(self, *, with_edit: bool) -> str:
        body: dict[str, object] = {
            "game_id": self.game_id,
            "home": self.home,
            "away": self.away,
            "status": self.status.value,
            "period": self.period,
            "t": self.t,
            "period_ended": self.period_ended,
            "plays": [[p.order, p.period, p.t, p.home, p.away] for p in self.plays],
        }
        if self.possessions:
            body["possessions"] = self.possessions
        if with_edit:
            body["event_at"] = self.event_at.isoformat() if self.event_at else None
            body["edited_at"] = self.edited_at.isoformat() if self.edited_at else None
        return json.dumps(body, separators=(",", ":"), allow_nan=False)

    def to_json(self) -> str:
        """One line of JSON; ``from_json`` gives back an equal snapshot."""
        return self._body(with_edit=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Snapshot:
        """Raises SnapshotError when ``text`` is not what ``to_json`` writes."""
        try:
            body = json.loads(text)
            return cls(
                game_id=str(body["game_id"]),
                home=str(body["home"]),
                away=str(body["away"]),
                status=Status(body["status"]),
                period=int(body["period"]),
                t=float(body["t"]),
                period_ended=bool(body["period_ended"]),
                plays=tuple(Play(int(o), int(p), float(t), int(h), int(a)) for o, p, t, h, a in body["plays"]),
                event_at=_moment(body["event_at"]),
                edited_at=_moment(body["edited_at"]),
                possessions=tuple(int(side) for side in body.get("possessions", ())),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SnapshotError(f"not a snapshot: {error!r}; the text starts {text[:80]!r}") from error


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def completed_minutes(snapshot: Snapshot) -> int:
    """Minutes of the first half that are over, 0..24: the largest m with a play at t >= 60 m or its period ended."""
    return HALFTIME_MINUTE if half_over(snapshot) else minutes_reached(snapshot.period, snapshot.t)


def minutes_reached(period: int, t: float) -> int:
    """Minutes of the first half, 0..24, that are over when a game has come to ``t`` (elapsed s) in ``period``."""
    if period <= 0:
        return 0
    # Within a period the mark is reached by the clock; the last minute also by the next period's start.
    return min(max(int(min(t, period * 720.0) // 60), (period - 1) * 12), HALFTIME_MINUTE)


def possession(snapshot: Snapshot, minute: int) -> int:
    """Who has the ball at minute mark ``minute``: +1 home, -1 away, 0 loose or unknown.

    Raises SnapshotError when the minute has not been played yet.
    """
    done = completed_minutes(snapshot)
    if minute > done:
        raise SnapshotError(f"game {snapshot.game_id}: possession at minute {minute} asked, {done} played")
    return snapshot.possessions[minute] if minute < len(snapshot.possessions) else 0


def margins(snapshot: Snapshot, upto: int | None = None) -> tuple[int, ...]:
    """margin(1)..margin(upto), home minus away in points; ``upto`` defaults to the completed minutes.

    Raises SnapshotError when ``upto`` has not been played yet.
    """
    done = completed_minutes(snapshot)
    wanted = done if upto is None else upto
    if wanted > done:
        raise SnapshotError(f"game {snapshot.game_id}: minute {wanted} asked, {done} played")
    # A play counts from the first minute whose mark and period admit it; the last one in the feed's order wins,
    # since a late entry with an earlier clock still carries the running score of its place in the order.
    newest: dict[int, tuple[int, int]] = {}
    for place, play in enumerate(snapshot.plays):
        newest[_first_minute(play.period, play.t)] = (place, play.home - play.away)
    out: list[int] = []
    last = newest.get(0, (-1, 0))
    for minute in range(1, wanted + 1):
        last = max(last, newest.get(minute, last), key=lambda entry: entry[0])
        out.append(last[1])
    return tuple(out)


def _first_minute(period: int, t: float) -> int:
    return max(ceil(t / 60.0), (period - 1) * 12 + 1 if period > 1 else 0)


def essential_plays(plays: Iterable[Play]) -> tuple[Play, ...]:
    """``plays`` without those that change no margin at any minute: same score as before and no earlier clock."""
    kept: list[Play] = []
    for play in plays:
        if not kept:
            if play.home or play.away:
                kept.append(play)
            continue
        last = kept[-1]
        same_score = (play.home, play.away) == (last.home, last.away)
        if not same_score or (play.period, play.t) < (last.period, last.t):
            kept.append(play)
    return tuple(kept)


def pattern(snapshot: Snapshot, minute: int = OFFICIAL_MINUTE) -> tuple[int, ...]:
    """The forecaster's input: margin(1)..margin(minute)."""
    return margins(snapshot, minute)


def official_due(snapshot: Snapshot) -> bool:
    """Whether the official forecast may be issued from this snapshot: t >= 1080 in a game not yet at half."""
    return snapshot.status is Status.LIVE and snapshot.t >= OFFICIAL_S and not half_over(snapshot)


def forecast_minute(snapshot: Snapshot) -> int | None:
    """The minute that may be forecast from this snapshot, 0..23: the newest completed one of a first half being played.

    0 from the first live snapshot until a minute is over; None before it and from the half on.
    """
    if snapshot.status is not Status.LIVE or half_over(snapshot):
        return None
    minute = completed_minutes(snapshot)
    return minute if minute < HALFTIME_MINUTE else None


def half_over(snapshot: Snapshot) -> bool:
    """Whether the first half has ended."""
    return snapshot.period > 2 or (snapshot.period == 2 and snapshot.period_ended) or snapshot.status is Status.FINAL


def halftime_score(snapshot: Snapshot) -> tuple[int, int]:
    """(home, away) at the half. Raises SnapshotError before it."""
    if not half_over(snapshot):
        raise SnapshotError(f"game {snapshot.game_id} is not at half: period {snapshot.period}, t {snapshot.t:g}")
    score = (0, 0)
    for play in snapshot.plays:
        if play.period > 2:
            break
        score = (play.home, play.away)
    return score
