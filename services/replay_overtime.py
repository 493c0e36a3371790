"""Two rules about whole games: one that is not played tonight, and one that needs an overtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from services.replay_rules import Rule
from services.replay_slate import Row, Script

_BREAK_S: Final = 150.0
_PLAY_S: Final = 25.0


def cast(scripts: Sequence[Script], rules: Sequence[Rule]) -> tuple[Script, ...]:
    """The scripts with the rules about whole games applied.

    Without a target, the last game of the evening is postponed and the closest one gets the overtime.
    """
    cast_ = list(scripts)
    for rule in rules:
        if rule.kind == "postponed":
            chosen = rule.target or max(cast_, key=lambda script: (script.scheduled_at, script.game_id)).game_id
            cast_ = [replace(script, postponed=True) if script.game_id == chosen else script for script in cast_]
        elif rule.kind == "overtime":
            chosen = rule.target or min(cast_, key=_final_margin).game_id
            cast_ = [with_overtime(script) if script.game_id == chosen else script for script in cast_]
    return tuple(cast_)


def _final_margin(script: Script) -> int:
    return abs(script.rows[-1].home - script.rows[-1].away)


def with_overtime(script: Script) -> Script:
    """The same game, tied by late baskets and decided in an invented overtime; unchanged if it already has one."""
    rows = script.rows
    if rows[-1].period != 4:
        return script
    end = next(place for place, row in enumerate(rows) if row.period == 4 and row.action == "period_end")
    played = list(rows[:end])
    home, away = rows[end].home, rows[end].away
    trailing = script.home if home < away else script.away
    at_s = rows[end].at_s

    def show(action: str, period: int, remaining_s: float, team: str | None, points: int) -> None:
        nonlocal home, away, at_s
        home, away = home + points * (team == script.home), away + points * (team == script.away)
        at_s += _PLAY_S
        played.append(Row(period, remaining_s, action, team, home, away, points, at_s))

    while home != away:
        gap = abs(home - away)
        points = 1 if gap == 1 else 3 if gap == 3 or gap > 4 else 2
        show("free_throw" if points == 1 else "made_fg", 4, 0.0, trailing, points)
    show("period_end", 4, 0.0, None, 0)
    at_s += _BREAK_S
    show("period_start", 5, 300.0, None, 0)
    for remaining_s, team, points in (
        (280.0, script.home, 2),
        (251.0, script.away, 2),
        (190.0, script.home, 3),
        (97.0, script.away, 2),
        (30.0, script.home, 2),
        (4.0, script.away, 0),
    ):
        show("made_fg" if points else "missed_fg", 5, remaining_s, team, points)
    show("period_end", 5, 0.0, None, 0)
    return replace(script, rows=tuple(played))
