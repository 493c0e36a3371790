"""Forecasts: predictions served, which of them are official, and how each game ended for the forecaster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, RowMapping, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from services.database import RowRefused, transaction
from services.schema import dispositions, official_forecasts, predictions
from services.store_rows import Official, OfficialResult, OfficialRow, Outcome, PredictionRow

FORECAST, MISSED, VOID = "forecast", "missed", "void"

_LATEST = text(
    """
    SELECT s.official_id, s.minute AS official_minute, s.revision, s.tick_digest, s.persistence, s.polled_at,
           s.queued_at, s.forecast_at, s.committed_at, p.*
    FROM standing_forecasts s JOIN predictions p ON p.id = s.prediction_id
    WHERE s.game_id = :game_id AND s.minute = :minute
    """
)


class ForecastStore:
    """The part of the store that writes and reads ``predictions``, ``official_forecasts`` and ``dispositions``."""

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

    def record_official(self, prediction: PredictionRow | Mapping[str, Any], official: OfficialRow) -> OfficialResult:
        """Store a prediction and make it the game's official forecast, in one transaction.

        The game's disposition becomes ``forecast`` unless it is already ``missed`` or ``void``: then only the
        prediction is stored and the result says refused. Any number of callers may race: one row per
        (game, minute, revision) results, and everybody is told the one that stands. Raises UnknownGame, RowRefused.
        """
        prediction = prediction if isinstance(prediction, PredictionRow) else PredictionRow.from_json(prediction)
        if prediction.game_id != official.game_id or prediction.minute != official.minute:
            raise RowRefused(
                f"official forecast of {official.game_id} minute {official.minute} names a prediction "
                f"of {prediction.game_id} minute {prediction.minute}"
            )
        with transaction(self.engine) as connection:
            decided = _decide(connection, official.game_id, FORECAST, f"official forecast at minute {official.minute}")
            stored = _store_prediction(connection, prediction)
            if decided != FORECAST:
                return OfficialResult(Outcome.REFUSED, decided, stored, None, None)
            statement = insert(official_forecasts).values(**asdict(official), prediction_id=stored)
            statement = statement.on_conflict_do_nothing(constraint="official_forecasts_identity_key")
            returned = (official_forecasts.c.id, official_forecasts.c.prediction_id, official_forecasts.c.committed_at)
            new = connection.execute(statement.returning(*returned)).one_or_none()
            if new is not None:
                return OfficialResult(Outcome.RECORDED, decided, stored, int(new.id), new.committed_at)
            standing = connection.execute(
                select(*returned).where(
                    official_forecasts.c.game_id == official.game_id,
                    official_forecasts.c.minute == official.minute,
                    official_forecasts.c.revision == official.revision,
                )
            ).one()
            return OfficialResult(
                Outcome.ALREADY, decided, standing.prediction_id, int(standing.id), standing.committed_at
            )

    def latest_official(self, game_id: str, minute: int = 18) -> Official | None:
        """The official forecast that stands for a game and minute: its highest revision; None when there is none."""
        with transaction(self.engine) as connection:
            found = connection.execute(_LATEST, {"game_id": game_id, "minute": minute}).mappings().one_or_none()
        return None if found is None else official_from(found)

    def record_missed(self, game_id: str, reason: str) -> str:
        """Record that no forecast was made in time; the disposition that stands. Raises UnknownGame."""
        return self.record_disposition(game_id, MISSED, reason)

    def record_void(self, game_id: str, reason: str) -> str:
        """Record that the game will have no halftime (postponed); the disposition that stands. Raises UnknownGame."""
        return self.record_disposition(game_id, VOID, reason)

    def record_disposition(self, game_id: str, disposition: str, reason: str) -> str:
        """Decide a game as ``missed`` or ``void`` unless it is decided; the disposition that stands.

        ``forecast`` is decided only by ``record_official``, together with its row. Raises RowRefused, UnknownGame.
        """
        if disposition not in (MISSED, VOID):
            raise RowRefused(
                f"disposition {disposition!r} of {game_id}: only missed and void are recorded by themselves"
            )
        with transaction(self.engine) as connection:
            return _decide(connection, game_id, disposition, reason)

    def disposition(self, game_id: str) -> str | None:
        """forecast, missed, void, or None while undecided."""
        query = select(dispositions.c.disposition).where(dispositions.c.game_id == game_id)
        with transaction(self.engine) as connection:
            found = connection.execute(query).scalar_one_or_none()
        return None if found is None else str(found)


def official_from(found: RowMapping) -> Official:
    """An Official from a row of official_forecasts joined with predictions (see ``_LATEST``)."""
    own = ("official_id", "revision", "tick_digest", "persistence", "polled_at", "queued_at", "forecast_at")
    prediction = {name: found[name] for name in PredictionRow.__dataclass_fields__}
    return Official(
        **{name: found[name] for name in own},
        committed_at=found["committed_at"],
        game_id=found["game_id"],
        minute=found["official_minute"],
        prediction=PredictionRow.from_json(prediction),
    )


def _values(row: PredictionRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PredictionRow.__dataclass_fields__} | {"pattern": list(row.pattern)}


def _decide(connection: Connection, game_id: str, disposition: str, reason: str) -> str:
    # A racing insert of the same key waits here for the other transaction, so the read below sees the winner.
    statement = insert(dispositions).values(game_id=game_id, disposition=disposition, reason=reason)
    if connection.execute(statement.on_conflict_do_nothing()).rowcount == 1:
        return disposition
    query = select(dispositions.c.disposition).where(dispositions.c.game_id == game_id)
    return str(connection.execute(query).scalar_one())


def _store_prediction(connection: Connection, row: PredictionRow) -> UUID:
    """The id under which the prediction is stored: its own, or that of the same request stored before."""
    if connection.execute(insert(predictions).values(**_values(row)).on_conflict_do_nothing()).rowcount == 1:
        return row.id
    query = select(predictions.c.id).where(or_(predictions.c.id == row.id, predictions.c.request_id == row.request_id))
    # Both may exist, of two rows; the request is the identity.
    found = connection.execute(query.order_by(predictions.c.request_id == row.request_id)).scalars().all()
    return UUID(str(found[-1]))
