"""What the newest state of a game calls for: forecasts, an outcome, a disposition.

Two kinds of forecast. The official one is owed: it is asked for again until the half. The one of another minute is made
while that minute is the newest, or never.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from flows.announce import Announcer
from flows.issue import ForecastIssuer
from flows.predict_state import GameState, PredictCounts
from flows.settling import settle_game
from models.clock import HALFTIME_MINUTE, OFFICIAL_MINUTE
from models.game import HALFTIME_S, Snapshot, Status, forecast_minute, half_over, official_due, pattern
from models.settlement import outcome
from services.client import ForecasterError, ForecasterRefused, ForecasterUnavailable
from services.store import Overtaken, StandingForecast, Store, StoredTick
from services.ticks import Tick

log = structlog.get_logger("predictor")

MINUTE_S = 60.0
LONGEST_REASON = 500  # as the table of dispositions has it


class GameSteps:
    """One game, one tick at a time. ``speed`` is how many feed seconds pass in a wall second.

    A forecaster that did not answer is left alone until ``forget_trouble``: the other games are not made to wait too.
    """

    def __init__(
        self,
        store: Store,
        issuer: ForecastIssuer,
        announcer: Announcer,
        counts: PredictCounts,
        *,
        speed: float,
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._issuer, self._announce, self.counts = store, issuer, announcer, counts
        self._speed, self._now = speed, now
        self._forecaster_away: str | None = None

    def forget_trouble(self) -> None:
        """A new step begins: the forecaster may be back."""
        self._forecaster_away = None

    def act(self, game: GameState, tick: Tick) -> bool:
        """All but the minutes between; False when the official forecast must wait, for the forecaster or a newer tick.

        Raises StoreError.
        """
        snapshot = tick.snapshot
        self._announce.progress(tick, _head(game).polled_at)
        try:
            if snapshot.status is Status.POSTPONED:
                self._decide(game, tick, "void", "postponed")
            elif official_due(snapshot) and game.disposition in (None, "forecast"):
                return self._official(game, tick)
            elif half_over(snapshot):
                self._passed(game, HALFTIME_MINUTE)
                self._at_half(game, tick)
        except ForecasterError as error:
            self.counts.waits += 1
            self._mark_away(error)
            return self._owed(game, tick, str(error))
        return True

    def official_waits(self, game: GameState | None, snapshot: Snapshot) -> bool:
        """Whether ``snapshot`` calls for an official forecast that is not there."""
        return official_due(snapshot) and (game is None or game.standing.get(OFFICIAL_MINUTE) is None)

    def minute_due(self, game: GameState, snapshot: Snapshot) -> bool:
        """Whether ``minute`` has something to do: the newest minute is not the official one and the game is open."""
        minute = forecast_minute(snapshot)
        return minute not in (None, OFFICIAL_MINUTE) and game.disposition in (None, "forecast")

    def minute(self, game: GameState, tick: Tick) -> None:
        """The forecast of the newest minute, unless it stands or cannot be had now. Raises StoreError."""
        minute = forecast_minute(tick.snapshot)
        if minute is None:
            return
        self._passed(game, minute)
        wanted, standing = pattern(tick.snapshot, minute), self._standing(game, tick, minute)
        if standing is not None and wanted == standing.pattern:
            self._announce.forecast_again(tick, standing)
            return
        # Within a minute the clock passes one mark at most: what this snapshot shows is news still.
        if self._forecaster_away is not None or self._age_s(tick) >= MINUTE_S or game.refused == wanted:
            return
        try:
            self.counts.minutes += self._issue(game, tick, minute, wanted) is not None
            game.minute_trouble = None
        except ForecasterError as error:
            self._mark_away(error)
            game.refused = wanted if isinstance(error, ForecasterRefused) else None
            if str(error) != game.minute_trouble:
                log.warning("no forecast of this minute", game_id=tick.game_id, minute=minute, error=str(error))
            game.minute_trouble = str(error)

    def _official(self, game: GameState, tick: Tick) -> bool:
        wanted, standing = pattern(tick.snapshot, OFFICIAL_MINUTE), self._standing(game, tick, OFFICIAL_MINUTE)
        if standing is not None and wanted == standing.pattern:
            self._announce.forecast_again(tick, standing)
            return True
        # No half ends sooner than its clock: within that time the game is still before it, whatever came since.
        if self._age_s(tick) >= HALFTIME_S - tick.snapshot.t:
            old = "the newest snapshot is so old that the half may have ended since"
            return self._owed(game, tick, game.trouble or old)
        if self._forecaster_away is not None:
            return self._owed(game, tick, self._forecaster_away)
        issued = self._issue(game, tick, OFFICIAL_MINUTE, wanted)
        game.disposition = self._store.disposition(tick.game_id)
        if issued is not None:
            self.counts.forecasts += issued.revision == 0
            self.counts.revisions += issued.revision > 0
        return True

    def _standing(self, game: GameState, tick: Tick, minute: int) -> StandingForecast | None:
        if minute not in game.standing:
            game.standing[minute] = self._store.latest_forecast(tick.game_id, minute)
        return game.standing[minute]

    def _issue(self, game: GameState, tick: Tick, minute: int, wanted: tuple[int, ...]) -> StandingForecast | None:
        """The next revision; what stands is what the database holds, whoever wrote it. None when it comes too late.

        Raises Overtaken when another process wrote that revision from another state of the game.
        """
        before = game.standing[minute]
        revision = 0 if before is None else before.revision + 1
        issued = self._issuer.issue(tick, wanted, minute=minute, revision=revision, seen=_head(game).tick_id)
        if issued is not None:
            if issued.pattern != wanted:
                raise Overtaken(f"game {tick.game_id}: minute {minute} has a forecast from another state by now")
            game.standing[minute] = issued
            self._announce.forecast(tick, issued)
        return issued

    def _age_s(self, tick: Tick) -> float:
        """Feed seconds since the feed was asked."""
        return (self._now() - tick.polled_at).total_seconds() * self._speed

    def _mark_away(self, error: ForecasterError) -> None:
        if isinstance(error, ForecasterUnavailable):
            self._forecaster_away = str(error)

    def _owed(self, game: GameState, tick: Tick, trouble: str) -> bool:
        if trouble != game.trouble:
            log.warning("forecast owed", game_id=tick.game_id, error=trouble)
        game.trouble = trouble
        return False

    def _passed(self, game: GameState, minute: int) -> None:
        """Counts the minutes before ``minute`` that went by without a forecast since the last one that was due."""
        if game.minute is not None:
            gone = range(game.minute, minute)
            self.counts.passed += sum(game.standing.get(one) is None for one in gone if one != OFFICIAL_MINUTE)
        game.minute = max(minute, game.minute or 0)

    def _at_half(self, game: GameState, tick: Tick) -> None:
        if game.disposition is None:
            why = "no forecast was made between 6:00 left in Q2 and the half"
            why = f"no forecast before the half: {game.trouble}" if game.trouble else why
            self._decide(game, tick, "missed", why[:LONGEST_REASON])
        result = outcome(tick.snapshot)
        if game.disposition == "void" or result == game.outcome:
            return
        seen = settle_game(self._store, tick.snapshot, _head(game).tick_id)
        game.outcome = result
        # Also when somebody else recorded it: who did may have died before telling.
        self.counts.settlements += seen.settled
        self._announce.settlement(tick, seen)

    def _decide(self, game: GameState, tick: Tick, disposition: str, reason: str) -> None:
        if game.disposition is not None:
            return
        kept = self._store.record_disposition(tick.game_id, disposition, reason)
        game.disposition = kept.disposition
        if kept.new:
            self.counts.missed += disposition == "missed"
            self.counts.void += disposition == "void"
            self._announce.disposition(tick, disposition, reason)


def _head(game: GameState) -> StoredTick:
    assert game.head is not None  # what is acted upon was stored before
    return game.head
