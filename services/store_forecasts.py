"""Forecasts: predictions served, which of them are the platform's own, and how each game ended for the forecaster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Engine, RowMapping, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from models.clock import OFFICIAL_MINUTE
from services.database import RowRefused, transaction
from services.schema import dispositions, predictions
from services.store_games import lock_game
from services.store_rows import ForecastResult, ForecastRow, Outcome, PredictionRow, StandingForecast
from services.store_ticks import expect_newest

FORECAST, MISSED, VOID = "forecast", "missed", "void"

_LATEST = text(
    """
    SELECT s.forecast_id, s.minute AS forecast_minute, s.revision, s.tick_digest, s.persistence, s.polled_at,
           s.queued_at, s.forecast_at, s.committed_at, p.*
    FROM standing_forecasts s JOIN predictions p ON p.id = s.prediction_id
    WHERE s.game_id = :game_id AND s.minute = :minute
    """
)
_OPEN = text(
    """
    SELECT (SELECT disposition FROM dispositions WHERE game_id = :game_id) AS decided,
           EXISTS (SELECT 1 FROM actuals WHERE game_id = :game_id) AS outcome_known
    """
)
# Model and calibration are those of the prediction that is stored, whoever stored it.
_INSERT = text(
    """
    INSERT INTO forecasts (game_id, minute, revision, role, prediction_id, model_version, calibration_id, tick_digest,
                           persistence, polled_at, queued_at, forecast_at, trace_id)
    SELECT :game_id, :minute, :revision, 'champion', p.id, p.model_version, p.calibration_id, :tick_digest,
           :persistence, :polled_at, :queued_at, :forecast_at, :trace_id
    FROM predictions p WHERE p.id = :prediction_id
    ON CONFLICT DO NOTHING
    RETURNING id, prediction_id, committed_at
    """
)
_CHAMPIONS = text(
    """
    SELECT id, prediction_id, committed_at FROM forecasts
    WHERE game_id = :game_id AND minute = :minute AND revision = :revision AND role = 'champion'
    """
)
_FIRST_MODEL = text(
    """
    SELECT p.model_digest FROM forecasts f JOIN predictions p ON p.id = f.prediction_id
    WHERE f.game_id = :game_id AND f.role = 'champion' AND f.model_version NOT LIKE 'fallback%'
    ORDER BY f.id LIMIT 1
    """
)


class Decided(NamedTuple):
    """How a game ends, and whether the call that gives this decided it."""

    disposition: str
    new: bool


class ForecastStore:
    """The part of the store that writes and reads ``predictions``, ``forecasts`` and ``dispositions``."""

    engine: Engine

    def record_prediction(self, rows: Sequence[PredictionRow | Mapping[str, Any]]) -> int:
        """Store served predictions; how many were new. All or nothing; rows seen before are left as they are.

        Raises RowRefused, also for a mapping that is not ``PredictionRow.to_json``'s.
        """
        if not rows:
            return 0
        typed = [row if isinstance(row, PredictionRow) else PredictionRow.from_json(row) for row in rows]
        statement = insert(predictions).on_conflict_do_nothing().returning(predictions.c.id)
        with transaction(self.engine) as connection:
            # In one order, so that two processes draining the same rows wait instead of deadlocking.
            values = [_values(row) for row in sorted(typed, key=lambda row: row.id)]
            return len(connection.execute(statement, values).all())

    def prediction(self, prediction_id: UUID | str) -> PredictionRow | None:
        """One prediction by its id, or None."""
        wanted = prediction_id if isinstance(prediction_id, UUID) else UUID(prediction_id)
        return self._prediction(select(predictions).where(predictions.c.id == wanted))

    def prediction_of_request(self, request_id: str) -> PredictionRow | None:
        """The prediction that answered a request, or None."""
        return self._prediction(select(predictions).where(predictions.c.request_id == request_id))

    def _prediction(self, query: Any) -> PredictionRow | None:
        with transaction(self.engine) as connection:
            found = connection.execute(query).mappings().one_or_none()
        return None if found is None else PredictionRow.from_json(dict(found))

    def record_forecast(
        self, prediction: PredictionRow | Mapping[str, Any], forecast: ForecastRow, *, seen: int | None = None
    ) -> ForecastResult:
        """Store a prediction and make it the champion's forecast of its game and minute, in one transaction.

        The official one makes the game's disposition ``forecast`` unless it is already ``missed`` or ``void``: then
        only the prediction is stored and the result says refused. Forecasts of the other minutes decide nothing, and
        are refused too once the game's outcome is known. Any number of callers may race: one row per (game, minute,
        revision) results, and everybody is told the one that stands. ``seen`` is the id of the tick that calls
        for it: raises Overtaken when a newer one was stored. Raises UnknownGame, RowRefused.
        """
        prediction = prediction if isinstance(prediction, PredictionRow) else PredictionRow.from_json(prediction)
        if prediction.game_id != forecast.game_id or prediction.minute != forecast.minute:
            raise RowRefused(
                f"forecast of {forecast.game_id} minute {forecast.minute} names a prediction "
                f"of {prediction.game_id} minute {prediction.minute}"
            )
        with transaction(self.engine) as connection:
            if seen is not None:
                lock_game(connection, forecast.game_id)
                expect_newest(connection, forecast.game_id, seen)
            if forecast.official:
                reason = f"official forecast at minute {forecast.minute}"
                decided: str | None = _decide(connection, forecast.game_id, FORECAST, reason).disposition
                late = decided != FORECAST
            else:
                decided, known = connection.execute(_OPEN, {"game_id": forecast.game_id}).one()
                late = known or decided in (MISSED, VOID)
            stored = store_prediction(connection, prediction)
            if late:
                return ForecastResult(Outcome.REFUSED, decided, stored, None, None)
            values = asdict(forecast) | {"prediction_id": stored}
            new = connection.execute(_INSERT, values).one_or_none()
            found = new or connection.execute(_CHAMPIONS, values).one()
            outcome = Outcome.ALREADY if new is None else Outcome.RECORDED
            return ForecastResult(outcome, decided, found.prediction_id, int(found.id), found.committed_at)

    def latest_forecast(self, game_id: str, minute: int = OFFICIAL_MINUTE) -> StandingForecast | None:
        """The forecast that stands for a game and minute: its highest revision; None when there is none."""
        with transaction(self.engine) as connection:
            found = connection.execute(_LATEST, {"game_id": game_id, "minute": minute}).mappings().one_or_none()
        return None if found is None else standing_from(found)

    def first_model(self, game_id: str) -> str | None:
        """The digest of the model that made the game's first forecast, which it keeps; None before that, and while
        nothing but the fallback has answered: any model is better."""
        with transaction(self.engine) as connection:
            found = connection.execute(_FIRST_MODEL, {"game_id": game_id}).scalar_one_or_none()
        return None if found is None else str(found)

    def record_missed(self, game_id: str, reason: str) -> str:
        """Record that no forecast was made in time; the disposition that stands. Raises UnknownGame."""
        return self.record_disposition(game_id, MISSED, reason).disposition

    def record_void(self, game_id: str, reason: str) -> str:
        """Record that the game will have no halftime (postponed); the disposition that stands. Raises UnknownGame."""
        return self.record_disposition(game_id, VOID, reason).disposition

    def record_disposition(self, game_id: str, disposition: str, reason: str) -> Decided:
        """Decide a game as ``missed`` or ``void`` unless it is decided; what stands, and whether this call decided it.

        ``forecast`` is decided only by ``record_forecast``, with the official row. Raises RowRefused, UnknownGame.
        """
        if disposition not in (MISSED, VOID):
            raise RowRefused(
                f"disposition {disposition!r} of {game_id}: only missed and void are recorded by themselves"
            )
        with transaction(self.engine) as connection:
            return _decide(connection, game_id, disposition, reason)

    def disposition(self, game_id: str) -> str | None:
        """forecast, missed, void, or None while undecided."""
        with transaction(self.engine) as connection:
            return _decided(connection, game_id)


def standing_from(found: RowMapping) -> StandingForecast:
    """From a row of standing_forecasts joined with its prediction (see ``_LATEST``)."""
    own = ("forecast_id", "revision", "tick_digest", "persistence", "polled_at", "queued_at", "forecast_at")
    prediction = {name: found[name] for name in PredictionRow.__dataclass_fields__}
    return StandingForecast(
        **{name: found[name] for name in own},
        committed_at=found["committed_at"],
        game_id=found["game_id"],
        minute=found["forecast_minute"],
        prediction=PredictionRow.from_json(prediction),
    )


def _values(row: PredictionRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PredictionRow.__dataclass_fields__} | {"pattern": list(row.pattern)}


def _decide(connection: Connection, game_id: str, disposition: str, reason: str) -> Decided:
    # A racing insert of the same key waits here for the other transaction, so the read below sees the winner.
    statement = insert(dispositions).values(game_id=game_id, disposition=disposition, reason=reason)
    if connection.execute(statement.on_conflict_do_nothing()).rowcount == 1:
        return Decided(disposition, True)
    return Decided(str(_decided(connection, game_id)), False)


def _decided(connection: Connection, game_id: str) -> str | None:
    query = select(dispositions.c.disposition).where(dispositions.c.game_id == game_id)
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else str(found)


def store_prediction(connection: Connection, row: PredictionRow) -> UUID:
    """The id under which the prediction is stored: its own, or that of the same request stored before."""
    if connection.execute(insert(predictions).values(**_values(row)).on_conflict_do_nothing()).rowcount == 1:
        return row.id
    query = select(predictions.c.id).where(or_(predictions.c.id == row.id, predictions.c.request_id == row.request_id))
    # Both may exist, of two rows; the request is the identity.
    found = connection.execute(query.order_by(predictions.c.request_id == row.request_id)).scalars().all()
    return UUID(str(found[-1]))
