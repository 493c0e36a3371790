"""One action of the live feed, and the scribe that writes a game's actions down in the feed's own shape."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import msgspec

from models.clock import REGULATION_PERIODS, format_clock
from models.teams import team as franchise
from services.replay_slate import Row, Script

Fields = dict[str, Any]
_ORDER_STEP: Final = 10_000
_ENTERED_LATE: Final = 0.005
_NUMBERS_SWAPPED: Final = 0.015


@dataclass(frozen=True, slots=True)
class Action:
    """One action before it is encoded. ``at_s`` is when the feed first shows it, ``recorded`` the event it comes from.

    ``fields`` are the feed's, with the scores and the time of the last edit still empty.
    """

    order: int
    period: int
    remaining_s: float
    home: int
    away: int
    at_s: float
    recorded: str
    ends_period: bool
    ends_game: bool
    fields: Fields

    def encode(self, home: int, away: int, edited_s: float, more: Fields | None = None) -> bytes:
        """The action's JSON with this score, last edited at ``edited_s`` (epoch seconds); ``more`` replaces fields."""
        scored = {"scoreHome": str(home), "scoreAway": str(away), "edited": stamp(edited_s)}
        return msgspec.json.encode({**self.fields, **scored, **(more or {})})


def stamp(at_s: float) -> str:
    """Epoch seconds as the feed writes edits: 2023-02-04T00:41:07Z."""
    return f"{datetime.fromtimestamp(int(at_s), UTC).isoformat()[:19]}Z"


def player_name(tricode: str, number: int) -> str:
    """An invented player: the recorded events name none."""
    return f"{tricode} No. {number}"


def player_id(tricode: str, number: int) -> int:
    """An id that no real player has."""
    return franchise(tricode).team_id % 1_000_000 * 100 + number


class Scribe:
    """Keeps what an action repeats from earlier ones: possession, totals, the last miss, tenths of the clock."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.random = Random(f"actions of {script.game_id}")  # noqa: S311
        self.actions: list[Action] = []
        self.possession: str | None = None
        self.missed_by = script.home
        self.missed_number = 0
        self._totals: Counter[tuple[str, str]] = Counter()
        self._tenths: dict[tuple[int, float], float] = {}

    def side(self, row: Row) -> str:
        """The row's team; the one in possession where none is recorded."""
        if row.team in (self.script.home, self.script.away):
            return str(row.team)
        return self.possession or self.script.home

    def other(self, tricode: str) -> str:
        """The opponent."""
        return self.script.away if tricode == self.script.home else self.script.home

    def player(self) -> int:
        """Number of an invented player."""
        return self.random.randrange(1, 11)

    def total(self, name: str, player: str, more: int = 1) -> int:
        """Count ``more`` for the player and say the new total."""
        self._totals[name, player] += more
        return self._totals[name, player]

    def add(self, row: Row, kind: str, more: Fields, tricode: str | None = None, number: int = 0) -> int:
        """Append an action of ``kind``; ``tricode`` and ``number`` name the team and the player. Gives its number."""
        slot = len(self.actions) + 2
        action_number = slot
        if self.actions and self.random.random() < _NUMBERS_SWAPPED:
            above = self.actions[-1].fields
            action_number, above["actionNumber"] = above["actionNumber"], slot
        remaining_s = self._remaining_s(row)
        fields: Fields = {
            "actionNumber": action_number,
            "clock": format_clock(remaining_s),
            "timeActual": self._entered(row),
            "period": row.period,
            "periodType": "REGULAR" if row.period <= REGULATION_PERIODS else "OVERTIME",
        }
        if tricode:
            fields["teamId"], fields["teamTricode"] = franchise(tricode).team_id, tricode
        person = player_id(tricode, number) if tricode and number else 0
        fields |= {
            "actionType": kind,
            "qualifiers": [],
            "personId": person,
            "x": None,
            "y": None,
            "possession": franchise(self.possession).team_id if self.possession else 0,
            "scoreHome": "",
            "scoreAway": "",
            "edited": "",
            "orderNumber": slot * _ORDER_STEP,
            "isTargetScoreLastPeriod": False,
            "xLegacy": None,
            "yLegacy": None,
            "isFieldGoal": 0,
            "side": None,
            "personIdsFilter": [person] if person else [],
        }
        if tricode and number:
            fields["playerName"] = fields["playerNameI"] = player_name(tricode, number)
        fields |= more
        ends = fields.get("subType") == "end"
        self.actions.append(
            Action(
                order=slot * _ORDER_STEP,
                period=row.period,
                remaining_s=remaining_s,
                home=row.home,
                away=row.away,
                at_s=row.at_s,
                recorded=row.action,
                ends_period=ends,
                ends_game=ends and kind == "game",
                fields=fields,
            )
        )
        return action_number

    def _entered(self, row: Row) -> str:
        """When the scorer entered it; now and then long before the feed shows it, which breaks the order of times."""
        entered_s = row.at_s - self.random.uniform(0.5, 4.0)
        if self.random.random() < _ENTERED_LATE:
            entered_s -= 60.0
        return f"{stamp(entered_s)[:-1]}.{int(entered_s * 10) % 10}Z"

    def _remaining_s(self, row: Row) -> float:
        """In the last minute the feed shows tenths; every action of one recorded second shows the same."""
        if not 0 < row.remaining_s < 60:
            return row.remaining_s
        key = (row.period, row.remaining_s)
        return self._tenths.setdefault(key, row.remaining_s + self.random.randrange(10) / 10)
