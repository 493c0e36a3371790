"""What the live path makes of one game: 5 s polls of its replayed file, parsed and issued like the poller's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from models.game import (
    Snapshot,
    Status,
    completed_minutes,
    forecast_minute,
    half_over,
    halftime_score,
    official_due,
    pattern,
    possession,
)
from models.succession import Verdict, supersedes
from services.replay_slate import Script
from services.replay_timeline import Timeline, build_timeline
from services.wire import ScoreboardGame, parse_playbyplay

POLL_S = 5.0


@dataclass(frozen=True)
class LivePath:
    """The official pattern with its revisions, what the half came to, and how many distinct files were parsed.

    ``minutes`` are the patterns that each minute was forecast from while it was the newest, with their revisions.
    ``first_held`` is who had the ball at minutes 0..23 when each was first seen to be over, ``held`` at the half.
    """

    patterns: tuple[tuple[int, ...], ...]
    minutes: dict[int, list[tuple[int, ...]]]
    first_held: tuple[int, ...]
    held: tuple[int, ...]
    halftime_margin: int
    files: int


def line_of(script: Script, status: Status = Status.LIVE) -> ScoreboardGame:
    """A scoreboard line that names the game's teams."""
    at = datetime.fromtimestamp(script.tip_s, UTC)
    return ScoreboardGame(
        script.game_id, status, "", 1, None, script.home, script.away, 0, 0, at, script.league_date, False
    )


def follow(script: Script, timeline: Timeline | None = None, *, every: int = 1) -> LivePath:
    """Poll the game every 5 s of feed time from its tip until the half is over.

    A poll whose file is unchanged is skipped: the parser is a pure function. ``every`` above 1 reads only every n-th
    file, as if the polls between had been missed, but all of them around the official minute and at the half.
    """
    timeline = timeline or build_timeline(script)
    game = line_of(script)
    polls = (timeline.count(script.tip_s + POLL_S * turn) for turn in range(3600))
    state: Snapshot | None = None
    patterns: list[tuple[int, ...]] = []
    minutes: dict[int, list[tuple[int, ...]]] = {}
    first_held: list[int] = []
    files = 0
    for turn, (count, _) in enumerate(groupby(polls)):
        if count == 0 or (turn % every and not _watched(timeline, count)):
            continue
        files += 1
        snapshot = parse_playbyplay(timeline.body(count), game)
        if supersedes(state, snapshot) not in (Verdict.NEW, Verdict.CORRECTION):
            continue
        state = snapshot
        first_held += [
            possession(state, minute) for minute in range(len(first_held), min(completed_minutes(state), 23) + 1)
        ]
        if (minute := forecast_minute(state)) is not None:
            made, seen = minutes.setdefault(minute, []), pattern(state, minute)
            if not made or made[-1] != seen:
                made.append(seen)
        if official_due(state) or (patterns and not half_over(state)):
            issued = pattern(state)
            if not patterns or patterns[-1] != issued:
                patterns.append(issued)
        if half_over(state):
            home, away = halftime_score(state)
            held = tuple(possession(state, minute) for minute in range(24))
            return LivePath(tuple(patterns), minutes, tuple(first_held), held, home - away, files)
    raise AssertionError(f"game {script.game_id} never came to its half")


def _watched(timeline: Timeline, count: int) -> bool:
    last = timeline.newest(count).action
    return last.period > 2 or (last.period == 2 and (last.ends_period or 330 <= last.remaining_s <= 380))
