"""How a replay may misbehave, on request: the rules, their short form, and which request or play they meet.

A rule is ``KIND[=RATE][*COUNT][:TARGET][@START[+LENGTH]]``, several are joined by commas:

    late=0.05,take_back*1:0022200785,blocked@30m+90s,timeout*3:scoreboard

RATE is the chance that a play or an answer is met, COUNT how many at most (of a game, for plays), TARGET a game id or
``scoreboard`` / ``playbyplay``, START and LENGTH feed time since the replay's beginning. A JSON list of objects (kind,
rate, count, target, start_s, length_s) says the same. What is met follows from the seed alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Final, Literal, get_args

import msgspec

Kind = Literal[
    "late",
    "duplicate",
    "edited",
    "take_back",
    "postponed",
    "overtime",
    "stale",
    "blocked",
    "throttled",
    "server_error",
    "timeout",
    "truncated",
]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
PLAY_KINDS: Final = frozenset({"late", "duplicate", "edited", "take_back"})
GAME_KINDS: Final = frozenset({"postponed", "overtime"})
ANSWER_KINDS: Final = frozenset(KINDS) - PLAY_KINDS - GAME_KINDS
_DEFAULT_RATE: Final = {"late": 0.03, "duplicate": 0.02, "edited": 0.15, "take_back": 0.02}
_DURATION = r"[0-9]+(?:\.[0-9]+)?[smh]?"
_RULE = re.compile(
    rf"(?P<kind>[a-z_]+)(?:=(?P<rate>[0-9.]+))?(?:\*(?P<count>[0-9]+))?(?::(?P<target>[a-z0-9]+))?"
    rf"(?:@(?P<start>{_DURATION})(?:\+(?P<length>{_DURATION}))?)?"
)
_TARGET = re.compile(r"scoreboard|playbyplay|00[1-6][0-9]{7}")
_UNIT_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


class RuleError(ValueError):
    """A rule that cannot be read; the message shows one that can."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to misbehave. ``start_s`` and ``length_s`` are feed seconds since the replay began."""

    kind: Kind
    rate: float | None = None
    count: int | None = None
    target: str | None = None
    start_s: float = 0.0
    length_s: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate <= 1:
            raise ValueError(f"rate {self.rate} of {self.kind} is outside 0..1")
        if self.target is not None and not _TARGET.fullmatch(self.target):
            raise ValueError(f"target {self.target!r} of {self.kind} is no game id, scoreboard or playbyplay")

    @property
    def chance(self) -> float:
        """The rate in force: an answer is met always, a play seldom, unless the rule says otherwise."""
        if self.rate is not None:
            return self.rate
        return 1.0 if self.count is not None else _DEFAULT_RATE.get(self.kind, 1.0)

    def covers(self, elapsed_s: float) -> bool:
        """Whether the rule is in force ``elapsed_s`` feed seconds after the beginning."""
        return self.start_s <= elapsed_s < self.start_s + (self.length_s if self.length_s is not None else float("inf"))

    def meets_file(self, file: str, game_id: str | None) -> bool:
        """Whether the rule is about this file."""
        return self.target is None or self.target in (file, game_id)


def parse_rules(text: str) -> list[Rule]:
    """Rules from their short form or from JSON; an empty text holds none. Raises RuleError."""
    text = text.strip()
    if text.startswith("["):
        try:
            return msgspec.json.decode(text, type=list[Rule])
        except msgspec.DecodeError as error:
            raise RuleError(f"rules are not readable: {error}; kinds are {', '.join(KINDS)}") from error
    return [_rule(part.strip()) for part in text.split(",") if part.strip()]


def _rule(text: str) -> Rule:
    found = _RULE.fullmatch(text)
    if found is None:
        raise RuleError(f"rule {text!r} is not KIND[=RATE][*COUNT][:TARGET][@START[+LENGTH]], such as blocked@30m+90s")
    try:
        return msgspec.convert(
            {
                "kind": found["kind"],
                "rate": float(found["rate"]) if found["rate"] else None,
                "count": int(found["count"]) if found["count"] else None,
                "target": found["target"],
                "start_s": _seconds(found["start"]) if found["start"] else 0.0,
                "length_s": _seconds(found["length"]) if found["length"] else None,
            },
            Rule,
        )
    except ValueError as error:
        raise RuleError(f"rule {text!r}: {error}; kinds are {', '.join(KINDS)}") from error


def _seconds(text: str) -> float:
    return float(text.rstrip("smh")) * _UNIT_S.get(text[-1], 1.0)


class AnswerFaults:
    """Which answers go wrong: the first rule in force that is drawn, and never more often than its count."""

    def __init__(self, rules: Sequence[Rule], seed: int) -> None:
        self._rules = [rule for rule in rules if rule.kind in ANSWER_KINDS]
        self._random = Random(f"answers {seed}")  # noqa: S311
        self._used: Counter[int] = Counter()

    def draw(self, file: str, game_id: str | None, elapsed_s: float) -> Kind | None:
        """How the answer for ``file`` (scoreboard or playbyplay) goes wrong, or None."""
        for place, rule in enumerate(self._rules):
            if not rule.meets_file(file, game_id) or not rule.covers(elapsed_s):
                continue
            if rule.count is not None and self._used[place] >= rule.count:
                continue
            if self._random.random() < rule.chance:
                self._used[place] += 1
                return rule.kind
        return None
