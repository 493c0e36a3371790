"""Issues an official forecast: asks the forecaster, commits the row, and only then counts it as issued."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog
from pydantic import ValidationError

from bentos.contracts import PredictRequest, prediction_row
from models.clock import OFFICIAL_MINUTE
from services.answer import Prediction
from services.client import ForecasterRefused
from services.store import Official, OfficialRow, Outcome, PredictionRow, Store
from services.ticks import Tick

log = structlog.get_logger("issue")

SHOWN_SIMILAR = 5


class Forecaster(Protocol):
    """What issuing needs of the forecaster's client."""

    def predict(
        self,
        pattern: list[float],
        *,
        alpha: float,
        game_id: str | None,
        home: str | None,
        away: str | None,
        minute: int | None,
        request_id: str | None,
    ) -> Prediction: ...


@dataclass(frozen=True)
class Issued:
    """An official forecast that is committed."""

    game_id: str
    minute: int
    revision: int
    persistence: int
    prediction: Prediction
    committed_at: datetime

    def event_data(self) -> dict[str, Any]:
        """The board's ``forecast`` event."""
        answer = self.prediction
        return {
            "minute": self.minute,
            "revision": self.revision,
            "point": answer.point_forecast,
            "lower": answer.interval_lower,
            "upper": answer.interval_upper,
            "alpha": answer.alpha,
            "persistence": self.persistence,
            "model_version": answer.model_version,
            "prediction_id": str(answer.prediction_id),
            "similar": [game.model_dump(mode="json") for game in answer.explanation.similar[:SHOWN_SIMILAR]],
            "components": {"dejavu": answer.explanation.dejavu, "lstm": answer.explanation.lstm},
            "weights": answer.explanation.weights.model_dump(),
            "committed_at": self.committed_at.isoformat(),
        }


def official_request_id(game_id: str, minute: int, revision: int, pattern: tuple[int, ...]) -> str:
    """The same for every attempt at one forecast, another when the pattern has changed meanwhile."""
    digest = hashlib.sha256(repr(pattern).encode()).hexdigest()[:12]
    return f"official:{game_id}:{minute}:{revision}:{digest}"


class ForecastIssuer:
    """Forecaster and store together. ``alpha`` is the official interval's miss rate."""

    def __init__(
        self,
        forecaster: Forecaster,
        store: Store,
        alpha: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._forecaster, self._store, self._alpha, self._now = forecaster, store, alpha, now

    def issue(
        self, tick: Tick, pattern: tuple[int, ...], *, minute: int = OFFICIAL_MINUTE, revision: int = 0
    ) -> Issued | None:
        """Forecasts ``pattern`` and commits it as official; None when the game was decided otherwise first.

        Raises services.client.ForecasterError when the forecaster cannot answer, sqlalchemy's OperationalError when
        the database cannot.
        """
        request, answer = self._ask(tick, pattern, minute, revision)
        official = OfficialRow(
            game_id=tick.game_id,
            minute=minute,
            revision=revision,
            tick_digest=tick.snapshot.digest,
            persistence=pattern[-1],
            polled_at=tick.polled_at,
            queued_at=tick.queued_at,
            forecast_at=self._now(),
        )
        result = self._store.record_official(PredictionRow.from_json(prediction_row(request, answer)), official)
        if result.outcome is Outcome.REFUSED or result.committed_at is None:
            return None
        return Issued(tick.game_id, minute, revision, pattern[-1], answer, result.committed_at)

    def _ask(
        self, tick: Tick, pattern: tuple[int, ...], minute: int, revision: int
    ) -> tuple[PredictRequest, Prediction]:
        try:
            request = self._request(tick, pattern, minute, revision)
        except ValidationError as error:
            raise ForecasterRefused(400, f"the feed's pattern makes no request: {error.errors()[0]['msg']}") from error
        try:
            return request, self._send(request)
        except ForecasterRefused as error:
            # A team that the ratings do not know yet: a forecast without ratings beats none.
            log.warning("asking again without the teams", game_id=tick.game_id, error=str(error))
            unrated = request.model_copy(
                update={"home": None, "away": None, "request_id": f"{request.request_id}:unrated"}
            )
            return unrated, self._send(unrated)

    def _request(self, tick: Tick, pattern: tuple[int, ...], minute: int, revision: int) -> PredictRequest:
        return PredictRequest(
            pattern=[float(margin) for margin in pattern],
            alpha=self._alpha,
            game_id=tick.game_id,
            home=tick.snapshot.home,
            away=tick.snapshot.away,
            minute=minute,
            request_id=official_request_id(tick.game_id, minute, revision, pattern),
        )

    def _send(self, request: PredictRequest) -> Prediction:
        return self._forecaster.predict(
            request.pattern,
            alpha=request.alpha,
            game_id=request.game_id,
            home=request.home,
            away=request.away,
            minute=request.minute,
            request_id=request.request_id,
        )


def issued_before(official: Official) -> dict[str, Any]:
    """The ``forecast`` event of an official forecast read back from the database."""
    made = official.prediction
    parts = made.components
    return {
        "minute": official.minute,
        "revision": official.revision,
        "point": made.point,
        "lower": made.lower,
        "upper": made.upper,
        "alpha": made.alpha,
        "persistence": official.persistence,
        "model_version": made.model_version,
        "prediction_id": str(made.id),
        "similar": parts.get("similar", []),
        "components": {name: parts.get(name) for name in ("dejavu", "lstm")},
        "weights": parts.get("weights", {}),
        "committed_at": official.committed_at.isoformat(),
    }
