"""Issues a forecast: asks the forecaster, commits the row, and only then counts it as issued."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog
from pydantic import ValidationError

from bentos.contracts import PredictRequest, prediction_row
from models.clock import OFFICIAL_MINUTE
from models.game import possession
from services.answer import HasBall, LeagueDate, Prediction
from services.client import ForecasterError, ForecasterRefused
from services.loop_metrics import PredictorMetrics
from services.store import ForecastRow, Outcome, PredictionRow, StandingForecast, Store
from services.ticks import Tick
from services.trace import Ids, trace_id_of
from services.trace_spans import span

log = structlog.get_logger("issue")


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
        date: LeagueDate | None,
        possession: HasBall | None,
        model_digest: str | None,
        request_id: str | None,
    ) -> Prediction: ...


_HAS_BALL: Final[dict[int, HasBall]] = {1: "home", -1: "away"}


def live_request_id(game_id: str, minute: int, revision: int, pattern: tuple[int, ...], ball: int) -> str:
    """The same for every attempt at one forecast, another when pattern or possession have changed meanwhile."""
    digest = hashlib.sha256(repr((pattern, ball)).encode()).hexdigest()[:12]
    return f"live:{game_id}:{minute}:{revision}:{digest}"


class ForecastIssuer:
    """Forecaster and store together. ``alpha`` is the miss rate of the intervals.

    ``brief`` is asked for the minutes that are not official: a client that gives up soon, since nobody owes these and
    an official forecast must not wait behind them. Without one, ``forecaster`` answers for every minute.
    """

    def __init__(
        self,
        forecaster: Forecaster,
        store: Store,
        alpha: float,
        *,
        brief: Forecaster | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        metrics: PredictorMetrics | None = None,
    ) -> None:
        self._forecaster, self._store, self._alpha, self._now = forecaster, store, alpha, now
        self._brief = brief or forecaster
        self._metrics = metrics or PredictorMetrics()
        self._kept: dict[str, str] = {}

    def issue(
        self,
        tick: Tick,
        pattern: tuple[int, ...],
        *,
        minute: int = OFFICIAL_MINUTE,
        revision: int = 0,
        seen: int | None = None,
    ) -> StandingForecast | None:
        """Forecasts ``pattern`` and commits it as the game's forecast at ``minute``; None when that comes too late.

        ``seen`` is the id under which ``tick`` is stored; without one nothing asks whether it is the newest still.

        Gives what stands then, whoever made it. Raises services.client.ForecasterError when the forecaster cannot
        answer, Overtaken when a newer state of the game was stored meanwhile, sqlalchemy's OperationalError when the
        database cannot.
        """
        try:
            request, answer = self._ask(tick, pattern, minute, revision)
        except ForecasterError:
            self._metrics.failed("forecaster")
            raise
        row = ForecastRow(
            game_id=tick.game_id,
            minute=minute,
            revision=revision,
            tick_digest=tick.snapshot.digest,
            persistence=pattern[-1] if pattern else 0,
            polled_at=tick.polled_at,
            queued_at=tick.queued_at,
            forecast_at=self._now(),
            trace_id=trace_id_of(tick.trace),
        )
        with span("commit", tick.trace, {"game_id": tick.game_id, "minute": minute, "revision": revision}):
            made = PredictionRow.from_json(prediction_row(request, answer))
            result = self._store.record_forecast(made, row, seen=seen)
        if result.outcome is Outcome.REFUSED:
            return None
        standing = self._store.latest_forecast(tick.game_id, minute)
        if result.outcome is Outcome.RECORDED and standing is not None:
            self._metrics.issued(
                official=minute == OFFICIAL_MINUTE,
                polled_at=standing.polled_at,
                queued_at=standing.queued_at,
                forecast_at=standing.forecast_at,
                committed_at=standing.committed_at,
            )
        return standing

    def _ask(
        self, tick: Tick, pattern: tuple[int, ...], minute: int, revision: int
    ) -> tuple[PredictRequest, Prediction]:
        try:
            request = self._request(tick, pattern, minute, revision)
        except ValidationError as error:
            raise ForecasterRefused(400, f"the feed's pattern makes no request: {error.errors()[0]['msg']}") from error
        try:
            return request, self._send(request, tick.trace)
        except ForecasterRefused as error:
            if request.model_digest is not None:
                # The model of its first forecast is gone: the game goes on with the champion, and every row says so.
                log.warning("asking the champion", game_id=tick.game_id, minute=minute, error=str(error))
                request = request.model_copy(
                    update={"model_digest": None, "request_id": f"{request.request_id}:unpinned"}
                )
                return self._unpinned(request, tick.trace)
            return self._unrated(request, error, tick.trace)

    def _unpinned(self, request: PredictRequest, trace: Ids | None) -> tuple[PredictRequest, Prediction]:
        try:
            return request, self._send(request, trace)
        except ForecasterRefused as error:
            return self._unrated(request, error, trace)

    def _unrated(
        self, request: PredictRequest, error: ForecasterRefused, trace: Ids | None
    ) -> tuple[PredictRequest, Prediction]:
        # A team that the ratings do not know yet: a forecast without ratings beats none.
        log.warning("asking again without the teams", game_id=request.game_id, minute=request.minute, error=str(error))
        unrated = request.model_copy(update={"home": None, "away": None, "request_id": f"{request.request_id}:unrated"})
        return unrated, self._send(unrated, trace)

    def _model_of(self, game_id: str) -> str | None:
        """A game keeps one model from its first forecast to its settlement, whatever is promoted meanwhile."""
        if game_id not in self._kept:
            first = self._store.first_model(game_id)
            if first is None:
                return None
            self._kept[game_id] = first
        return self._kept[game_id]

    def _request(self, tick: Tick, pattern: tuple[int, ...], minute: int, revision: int) -> PredictRequest:
        ball = possession(tick.snapshot, minute)
        return PredictRequest(
            pattern=[float(margin) for margin in pattern],
            alpha=self._alpha,
            game_id=tick.game_id,
            home=tick.snapshot.home,
            away=tick.snapshot.away,
            minute=minute,
            date=tick.league_date,
            possession=_HAS_BALL.get(ball),
            model_digest=self._model_of(tick.game_id),
            request_id=live_request_id(tick.game_id, minute, revision, pattern, ball),
        )

    def _send(self, request: PredictRequest, trace: Ids | None) -> Prediction:
        forecaster = self._forecaster if request.asked_minute == OFFICIAL_MINUTE else self._brief
        about = {"game_id": request.game_id, "minute": request.minute, "request_id": request.request_id}
        with span("predict.request", trace, about, kind="client"):
            return forecaster.predict(
                request.pattern,
                alpha=request.alpha,
                game_id=request.game_id,
                home=request.home,
                away=request.away,
                minute=request.minute,
                date=request.date,
                possession=request.possession,
                model_digest=request.model_digest,
                request_id=request.request_id,
            )
