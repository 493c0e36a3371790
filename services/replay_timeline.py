"""When the feed shows what of one game: every publication of an action, and the file as it stands at a moment.

A file is a pure function of the script, the rules and the moment, so any state can be shown again at any time. Each
publication is encoded once; a file is its publications joined.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Final, NamedTuple

from services.replay_actions import actions_of
from services.replay_rules import PLAY_KINDS, Rule
from services.replay_scribe import Action, Fields
from services.replay_slate import Script

_LATE_S: Final = (20.0, 150.0)
_EDITED_S: Final = (60.0, 300.0)
_REVIEW_S: Final = (40.0, 150.0)
_DUPLICATE_S: Final = (5.0, 60.0)
_KEPT_FILES: Final = 4


@dataclass(frozen=True, slots=True)
class Published:
    """One action as the feed shows it from ``at_s`` (epoch seconds) on; ``key`` is its place in the file."""

    at_s: float
    key: tuple[int, int]
    action: Action
    home: int
    away: int
    body: bytes


class Lift(NamedTuple):
    """Points wrongly given at an action (by its place) until a review takes them back."""

    place: int
    home: int
    away: int
    until_s: float


class Timeline:
    """All publications of one game in time order."""

    def __init__(self, game_id: str, published: Iterable[Published]) -> None:
        self._published = sorted(published, key=lambda entry: (entry.at_s, entry.key))
        self._times = [entry.at_s for entry in self._published]
        head = f'{{"meta":{{"version":1,"code":200,"request":"http://nba.cloud/games/{game_id}/playbyplay?Format=json",'
        self._head = f'{head}"time":"2020-12-22 23:23:42.771674"}},"game":{{"gameId":"{game_id}","actions":['.encode()
        self.shown = lru_cache(maxsize=_KEPT_FILES)(self._shown)
        self.body = lru_cache(maxsize=_KEPT_FILES)(self._body)

    @property
    def moments(self) -> Sequence[float]:
        """Epoch seconds at which the file changes, in order."""
        return self._times

    @property
    def final_s(self) -> float:
        """When the game's end is shown, epoch seconds."""
        return max(entry.at_s for entry in self._published if entry.action.ends_game)

    @property
    def half_s(self) -> float:
        """When the first half's end is first shown, epoch seconds."""
        ends = (entry.at_s for entry in self._published if entry.action.period == 2 and entry.action.ends_period)
        return min(ends)

    def count(self, at_s: float) -> int:
        """How many publications there are at a moment; equal counts show equal files."""
        return bisect_right(self._times, at_s)

    def newest(self, count: int) -> Published:
        """What was published last, of the first ``count`` (1 or more)."""
        return self._published[count - 1]

    def _shown(self, count: int) -> list[Published]:
        """The file's actions in their order after ``count`` publications."""
        newest = {entry.key: entry for entry in self._published[:count]}
        return [newest[key] for key in sorted(newest)]

    def _body(self, count: int) -> bytes:
        """The play-by-play file after ``count`` publications (1 or more)."""
        return self._head + b",".join([entry.body for entry in self.shown(count)]) + b"]}}"


def build_timeline(script: Script, rules: Sequence[Rule] = (), begins_s: float = 0.0, seed: int = 0) -> Timeline:
    """The game's timeline; rules about plays change when and how an action is shown, never how the game ends."""
    actions = actions_of(script)
    first_s = [action.at_s for action in actions]
    edits: dict[int, float] = {}
    copies: dict[int, float] = {}
    lifts: list[Lift] = []
    for turn, rule in enumerate(rules):
        if rule.kind not in PLAY_KINDS or not rule.meets_file("playbyplay", script.game_id):
            continue
        random = Random(f"{rule.kind} {turn} {script.game_id} {seed}")  # noqa: S311
        for place in _met(actions, rule, begins_s, random):
            if rule.kind == "late":
                first_s[place] += random.uniform(*_LATE_S)
            elif rule.kind == "edited":
                edits[place] = first_s[place] + random.uniform(*_EDITED_S)
            elif rule.kind == "duplicate":
                copies[place] = first_s[place] + random.uniform(*_DUPLICATE_S)
            else:
                points = 3 if actions[place].fields["actionType"] == "3pt" else 2
                home = actions[place].fields["teamTricode"] == script.home
                until_s = first_s[place] + random.uniform(*_REVIEW_S)
                lifts.append(Lift(place, points * home, points * (not home), until_s))
    published: list[Published] = []
    for place, action in enumerate(actions):
        felt = [lift for lift in lifts if lift.place <= place and first_s[place] < lift.until_s]
        moments = {first_s[place], *(lift.until_s for lift in felt)}
        if place in edits:
            moments.add(edits[place])
        for at_s in moments:
            published.append(_published(action, place, at_s, felt, copy=0))
        if place in copies:
            published.append(_published(action, place, copies[place], felt, copy=1))
            published += [_published(action, place, at_s, felt, copy=1) for at_s in moments if at_s > copies[place]]
    return Timeline(script.game_id, published)


def _met(actions: Sequence[Action], rule: Rule, begins_s: float, random: Random) -> list[int]:
    """Places of the actions that a rule meets; never a period's or the game's end, which others wait for."""
    met: list[int] = []
    for place, action in enumerate(actions):
        if action.ends_period or not rule.covers(action.at_s - begins_s):
            continue
        if rule.kind == "take_back" and action.fields.get("shotResult") != "Missed":
            continue
        if random.random() < rule.chance and (rule.count is None or len(met) < rule.count):
            met.append(place)
    return met


def _published(action: Action, place: int, at_s: float, felt: Sequence[Lift], copy: int) -> Published:
    given = [lift for lift in felt if at_s < lift.until_s]
    home = action.home + sum(lift.home for lift in given)
    away = action.away + sum(lift.away for lift in given)
    more: Fields = {}
    if any(lift.place == place for lift in given):
        more["shotResult"], more["pointsTotal"] = (
            "Made",
            sum(lift.home + lift.away for lift in given if lift.place == place),
        )
        more["description"] = action.fields["description"].removeprefix("MISS ")
    if copy:
        more["actionNumber"] = action.fields["actionNumber"] + 1000
    return Published(at_s, (action.order, copy), action, home, away, action.encode(home, away, at_s, more))
