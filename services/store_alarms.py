"""Alarms: their states move in the transaction that settles a game, so each game counts once and a restart loses none.

A state is a function of the settlements in their order. An outcome that is corrected after it was settled changes what
was already counted: then the states of that line are computed again from all its settlements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select, text
from sqlalchemy.dialects.postgresql import insert

from models.alarm_streams import BANDS, Answered, Stream, moved, reference_of
from models.alarms import Detector
from services.answer import possession_sign
from services.database import transaction
from services.schema import alarm_states

# One settlement at a time moves alarms: their order is that of the settlements' ids.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('halftime alarms'))")
_SETTLED = """
    SELECT s.id, s.error, s.covered, f.minute, f.persistence, p.alpha, p.context,
           g.source, g.season_type, g.league_date,
           coalesce(v.lineage, p.model_version) AS lineage, v.reference,
           EXISTS (SELECT 1 FROM settlements b WHERE b.forecast_id = f.id AND b.id < s.id) AS again
    FROM settlements s
    JOIN forecasts f ON f.id = s.forecast_id AND f.role = 'champion' AND f.minute = ANY(:bands)
    JOIN predictions p ON p.id = f.prediction_id
    JOIN games g ON g.game_id = f.game_id
    LEFT JOIN LATERAL (
        SELECT first.lineage, first.reference
        FROM registered_versions known
        JOIN registered_versions first ON first.model_name = known.model_name AND first.lineage = known.lineage
        WHERE known.digest = p.model_digest ORDER BY first.reference IS NULL, first.registered_at LIMIT 1) v ON true
"""
_NEW = text(f"{_SETTLED} WHERE s.id = ANY(:ids) ORDER BY s.id")
_LINE = text(
    f"""
    WITH settled AS ({_SETTLED} JOIN standing_forecasts t ON t.forecast_id = f.id
                     WHERE g.source = :source AND p.alpha = :alpha)
    SELECT DISTINCT ON (forecast_id) *
    FROM (SELECT settled.*, s.forecast_id, min(s.id) OVER (PARTITION BY s.forecast_id) AS first_id
          FROM settled JOIN settlements s USING (id) WHERE settled.lineage = :lineage) one
    ORDER BY forecast_id, id DESC
    """
)
_RECENT = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class AlarmState:
    """An alarm of one line of models: what it watches and how it stands."""

    source: str
    lineage: str
    alpha: float
    stream: Stream
    detector: Detector
    updated_at: datetime


class AlarmStore:
    """The part of the store that reads ``alarm_states``; settling writes it."""

    engine: Engine

    def alarms(self, source: str | None = None, lineage: str | None = None) -> list[AlarmState]:
        """The alarms that moved in the last 60 days, in order of their names."""
        with transaction(self.engine) as connection:
            return read_alarms(connection, source, lineage)


def read_alarms(connection: Connection, source: str | None = None, lineage: str | None = None) -> list[AlarmState]:
    """As ``AlarmStore.alarms``, within a transaction."""
    own = alarm_states.c
    query = select(alarm_states).where(own.updated_at > func.clock_timestamp() - _RECENT)
    for column, wanted in ((own.source, source), (own.lineage, lineage)):
        if wanted is not None:
            query = query.where(column == wanted)
    rows = connection.execute(query.order_by(own.source, own.lineage, own.alpha, own.alarm, own.kind)).all()
    return [_state(row) for row in rows]


def lock_alarms(connection: Connection) -> None:
    """Hold the alarms until the transaction ends; take it before the settlements get their ids."""
    connection.execute(_LOCK)


def move_alarms(connection: Connection, settlement_ids: Sequence[int]) -> None:
    """Count new settlements in; those of shadows and of minutes without an alarm say nothing."""
    rows = connection.execute(_NEW, {"ids": list(settlement_ids), "bands": list(BANDS)}).all()
    lines: dict[tuple[str, str, float], list[Row[Any]]] = defaultdict(list)
    for row in rows:
        lines[row.source, row.lineage, row.alpha].append(row)
    for (source, lineage, alpha), new in lines.items():
        line = {"source": source, "lineage": lineage, "alpha": alpha}
        if any(row.again for row in new):
            found = connection.execute(_LINE, {**line, "bands": list(BANDS)}).all()
            states = moved({}, alpha, [_answered(row) for row in sorted(found, key=lambda row: row.first_id)])
        else:
            states = moved(_states(connection, line), alpha, [_answered(row) for row in new])
        values = [
            line | {"alarm": stream.alarm, "kind": stream.kind, "state": detector.as_dict()}
            for stream, detector in states.items()
        ]
        if values:
            statement = insert(alarm_states).values(values)
            connection.execute(
                statement.on_conflict_do_update(
                    constraint="alarm_states_pkey",
                    set_={"state": statement.excluded.state, "updated_at": func.clock_timestamp()},
                )
            )


def _states(connection: Connection, line: Mapping[str, Any]) -> dict[Stream, Detector]:
    own = alarm_states.c
    query = select(alarm_states).where(*(own[name] == value for name, value in line.items()))
    return {state.stream: state.detector for state in map(_state, connection.execute(query))}


def _state(row: Row[Any]) -> AlarmState:
    stream = Stream(row.alarm, row.kind)
    return AlarmState(row.source, row.lineage, row.alpha, stream, Detector.from_dict(row.state), row.updated_at)


def _answered(row: Row[Any]) -> Answered:
    rated = row.context.get("rating_difference") is not None
    ball = possession_sign(row.context.get("possession")) != 0
    return Answered(
        minute=row.minute,
        covered=row.covered,
        error=row.error,
        lead=float(row.persistence),
        season_type=row.season_type,
        date=row.league_date,
        reference=reference_of(row.reference, rated, ball),
    )
