"""The night that is shown: games, clock, rules and faults together, without any HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from services.replay_board import Game, scoreboard
from services.replay_clock import FeedClock
from services.replay_control import GameState, ReplayState
from services.replay_overtime import cast
from services.replay_rules import ANSWER_KINDS, AnswerFaults, Kind, Rule, RuleError
from services.replay_slate import Script, Slate
from services.replay_timeline import build_timeline

LEAD_S: Final = 60.0
STALE_S: Final = 90.0


class Night:
    """A slate on a clock that begins one feed minute before the first tip."""

    def __init__(
        self,
        slate: Slate,
        speed: float,
        rules: Sequence[Rule] = (),
        seed: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slate, self.seed = slate, seed
        self.rules: list[Rule] = []
        self.clock = FeedClock(min(game.tip_s for game in slate.games) - LEAD_S, speed, monotonic)
        self._faults: list[AnswerFaults] = []
        self.games: tuple[Game, ...] = ()
        self.misbehave(rules)

    def misbehave(self, rules: Sequence[Rule]) -> None:
        """Add rules. What the feed has shown stays shown: rules about plays hold from now on.

        Raises RuleError for a game that is not tonight's, or that has begun and can no longer be postponed.
        """
        elapsed_s = self.clock.now_s() - self.clock.begins_s
        tips_s = {game.game_id: game.tip_s for game in self.slate.games}
        for rule in rules:
            if rule.target and rule.target[0] == "0" and rule.target not in tips_s:
                raise RuleError(f"{rule.kind}: game {rule.target} is not tonight's: {', '.join(tips_s)}")
            if rule.kind == "postponed" and self.clock.now_s() >= tips_s.get(rule.target or "", max(tips_s.values())):
                raise RuleError(f"postponed: game {rule.target or 'of the evening, the last one,'} has begun")
        added = [msgspec.structs.replace(rule, start_s=max(rule.start_s, elapsed_s)) for rule in rules]
        self._faults.append(AnswerFaults(added, self.seed + len(self._faults)))
        self.rules += added
        if not self.games or any(rule.kind not in ANSWER_KINDS for rule in added):
            self.games = tuple(self._game(script) for script in cast(self.slate.games, self.rules))

    def _game(self, script: Script) -> Game:
        return Game(script, build_timeline(script, self.rules, self.clock.begins_s, self.seed))

    def behave(self) -> None:
        """Answer properly from now on; changes to plays that are already in the timelines stay."""
        self._faults.clear()

    def fault(self, file: str, game_id: str | None) -> Kind | None:
        """How the next answer goes wrong, if it does."""
        elapsed_s = self.clock.now_s() - self.clock.begins_s
        for faults in self._faults:
            kind = faults.draw(file, game_id, elapsed_s)
            if kind is not None:
                return kind
        return None

    def scoreboard(self, at_s: float) -> bytes:
        """The scoreboard file at a moment."""
        return scoreboard(self.slate.league_date, self.games, at_s)

    def playbyplay(self, game_id: str, at_s: float) -> bytes | None:
        """The game's file at a moment; None for a game that is not tonight's or has not begun."""
        game = next((game for game in self.games if game.script.game_id == game_id), None)
        count = game.count(at_s) if game else 0
        return game.timeline.body(count) if game and count else None

    def state(self) -> ReplayState:
        """Where the night is."""
        now_s = self.clock.now_s()
        return ReplayState(
            league_date=self.slate.league_date,
            source=self.slate.source,
            speed=self.clock.speed,
            feed_now=_at(now_s),
            started=self.clock.started,
            finished=all(game.final(now_s) for game in self.games),
            ends_at=_at(
                max((game.timeline.moments[-1] for game in self.games if not game.script.postponed), default=now_s)
            ),
            games=tuple(_game_state(game) for game in self.games),
        )


def _game_state(game: Game) -> GameState:
    return GameState(
        game_id=game.script.game_id,
        home=game.script.home,
        away=game.script.away,
        scheduled_at=game.script.scheduled_at.astimezone(UTC),
        tip_at=_at(game.script.tip_s),
        half_at=_at(game.timeline.half_s),
        final_at=_at(game.timeline.final_s),
        postponed=game.script.postponed,
    )


def _at(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
