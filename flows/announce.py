"""Tells everyone who listens: what the live path did, as events for the board.

Events repeat what PostgreSQL holds, so a lost one costs a reader nothing that the next state does not bring back; a
Redis that is away is logged and never stops a forecast. Several predictors tell of one game: the time of a poll, a
commit or an outcome is its version, so that each is told once and nothing older after something newer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from flows.settling import Seen
from models.game import completed_minutes, margins
from services.broadcast import BroadcastUnavailable, Event, EventError, EventType
from services.loop_metrics import PredictorMetrics
from services.store import StandingForecast
from services.ticks import Tick
from services.trace import Ids, trace_id_of

log = structlog.get_logger("announce")

SHOWN_SIMILAR = 5


class Publisher(Protocol):
    """What the announcer needs of the broadcast."""

    def publish(self, event: Event, subject: str | None = None, version: int = 0) -> str | None: ...


class Announcer:
    """Publishes each change: scores and patterns when they differ from the last ones that this process told."""

    def __init__(
        self,
        publisher: Publisher,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        metrics: PredictorMetrics | None = None,
    ) -> None:
        self._publisher, self._now = publisher, now
        self._metrics = metrics or PredictorMetrics()
        self._told: dict[str, tuple[object, ...]] = {}
        self._patterns: dict[str, tuple[int, ...]] = {}
        self._forecasts: set[tuple[str, int, int]] = set()

    def progress(self, tick: Tick, version: datetime) -> None:
        """Score, clock and the minutes completed so far, when they changed.

        ``version`` is the poll of that state as the store has it: never earlier than that of the state before.
        """
        snapshot = tick.snapshot
        home, away = snapshot.score
        told = (tick.status_text, snapshot.status, snapshot.period, snapshot.t, home, away)
        if self._told.get(tick.game_id) != told:
            self._told[tick.game_id] = told
            self._publish(
                "score",
                tick.game_id,
                {
                    "league_date": tick.league_date.isoformat(),
                    "home": snapshot.home,
                    "away": snapshot.away,
                    "status": snapshot.status.value,
                    "status_text": tick.status_text,
                    "period": snapshot.period,
                    "clock": None,
                    "home_score": home,
                    "away_score": away,
                    "elapsed_s": snapshot.t,
                    "source": tick.source,
                },
                of=version,
            )
        so_far = margins(snapshot)
        if so_far and self._patterns.get(tick.game_id) != so_far:
            self._patterns[tick.game_id] = so_far
            data = {"minute": completed_minutes(snapshot), "margins": list(so_far)}
            self._publish("pattern", tick.game_id, data, of=version)

    def forget(self, game_id: str) -> None:
        """Another process has told of this game meanwhile: what this one told last may not be what stands."""
        self._told.pop(game_id, None)
        self._patterns.pop(game_id, None)

    def forecast(self, tick: Tick, forecast: StandingForecast) -> None:
        """A forecast of any minute, or a revision of it, committed just now."""
        if self._tell(tick, forecast, tick.trace):
            told_at = self._now()
            self._metrics.told(forecast.committed_at, told_at)
            about = {"game_id": tick.game_id, "minute": forecast.minute, "revision": forecast.revision}
            times = {"taken_at": tick.taken_at and tick.taken_at.isoformat(), "told_at": told_at.isoformat()}
            log.info("forecast told", **about, trace_id=trace_id_of(tick.trace), **times)

    def forecast_again(self, tick: Tick, forecast: StandingForecast) -> None:
        """A forecast committed earlier, perhaps by a process that died before telling it."""
        if (tick.game_id, forecast.minute, forecast.revision) not in self._forecasts:
            self._tell(tick, forecast)

    def _tell(self, tick: Tick, forecast: StandingForecast, trace: Ids | None = None) -> bool:
        self._forecasts.add((tick.game_id, forecast.minute, forecast.revision))
        data = forecast_data(forecast) | {"trace_id": trace_id_of(trace)}
        subject = f"forecast of minute {forecast.minute}"
        return self._publish("forecast", tick.game_id, data, trace, of=forecast.committed_at, subject=subject)

    def settlement(self, tick: Tick, seen: Seen) -> None:
        """The halftime outcome and how the forecast did."""
        self._metrics.settled(seen.settled)
        assert seen.actual is not None  # a game is settled against its outcome
        self._publish("settlement", tick.game_id, seen.event_data(), of=seen.actual.recorded_at)

    def disposition(self, tick: Tick, disposition: str, reason: str) -> None:
        """A game that ended without a forecast."""
        self._publish("disposition", tick.game_id, {"disposition": disposition, "reason": reason})

    def _publish(
        self,
        kind: EventType,
        game_id: str,
        data: dict[str, Any],
        trace: Ids | None = None,
        *,
        of: datetime | None = None,
        subject: str | None = None,
    ) -> bool:
        """Whether it was published: not when the state ``of`` that time, or a later one, was told before."""
        event = Event(type=kind, game_id=game_id, at=self._now(), data=data, trace=trace)
        try:
            if of is None:
                self._publisher.publish(event)
                return True
            version = int(of.timestamp() * 1_000_000)
            return self._publisher.publish(event, subject or kind, version) is not None
        except (BroadcastUnavailable, EventError) as error:
            self._metrics.failed("not_told")
            log.warning("event not broadcast", type=kind, game_id=game_id, error=str(error))
            return False


def forecast_data(forecast: StandingForecast) -> dict[str, Any]:
    """The board's ``forecast`` event; without ``distribution`` when the prediction was stored without one."""
    made = forecast.prediction
    parts = made.components
    data = {
        "minute": forecast.minute,
        "revision": forecast.revision,
        "point": made.point,
        "lower": made.lower,
        "upper": made.upper,
        "alpha": made.alpha,
        "persistence": forecast.persistence,
        "model_version": made.model_version,
        "prediction_id": str(made.id),
        "similar": parts.get("similar", [])[:SHOWN_SIMILAR],
        "components": {name: parts.get(name) for name in ("dejavu", "lstm")},
        "weights": parts.get("weights", {}),
        "committed_at": forecast.committed_at.isoformat(),
    }
    return data | ({"distribution": parts["distribution"]} if "distribution" in parts else {})
