"""Shadows: what a model that is not champion would have forecast, stored and settled beside the champion's forecasts.

A shadow is computed after the game from what the champion was given, by a version that has seen nothing of that night;
nobody is told of it. Two lineages are compared game by game, whichever of them was champion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Engine, text

from services.database import RowRefused, transaction
from services.store_forecasts import standing_from, store_prediction
from services.store_rows import ForecastRow, PredictionRow, StandingForecast

SHADOW_REQUEST = "shadow:"

_UNSHADOWED = text(
    """
    SELECT s.forecast_id, s.minute AS forecast_minute, s.revision, s.tick_digest, s.persistence, s.polled_at,
           s.queued_at, s.forecast_at, s.committed_at, g.league_date, p.*
    FROM standing_forecasts s
    JOIN predictions p ON p.id = s.prediction_id
    JOIN games g ON g.game_id = s.game_id
    JOIN standing_actuals a ON a.game_id = s.game_id
    WHERE g.source = :source AND s.minute = ANY(:minutes) AND a.state = 'final' AND g.league_date > :after
      AND (CAST(:upto AS date) IS NULL OR g.league_date <= :upto)
      AND NOT EXISTS (
          SELECT 1 FROM forecasts f JOIN predictions q ON q.id = f.prediction_id
          JOIN registered_versions v ON v.digest = q.model_digest
          WHERE f.game_id = s.game_id AND f.minute = s.minute AND f.revision = s.revision
            AND v.model_name = :model_name AND v.lineage = :lineage)
    ORDER BY g.league_date, s.game_id, s.minute
    """
)
_INSERT = text(
    """
    INSERT INTO forecasts (game_id, minute, revision, role, prediction_id, model_version, calibration_id, tick_digest,
                           persistence, polled_at, queued_at, forecast_at)
    SELECT :game_id, :minute, :revision, 'shadow', p.id, p.model_version, p.calibration_id, :tick_digest,
           :persistence, :polled_at, :queued_at, :forecast_at
    FROM predictions p WHERE p.id = :prediction_id
    ON CONFLICT DO NOTHING
    """
)
_UNSETTLED = text(
    """
    SELECT DISTINCT s.game_id FROM standing_shadows s
    JOIN standing_actuals a ON a.game_id = s.game_id
    WHERE NOT EXISTS (SELECT 1 FROM standing_settlements t
                      WHERE t.forecast_id = s.forecast_id AND t.settled_margin = a.margin)
    ORDER BY s.game_id
    """
)
# Of each lineage what stands for a game and minute: the champion's forecast or its shadow, of the same revision.
_DUELS = text(
    """
    WITH made AS (
        SELECT DISTINCT ON (f.game_id, f.minute, f.revision, v.lineage)
               f.game_id, f.minute, f.revision, v.lineage, f.persistence, p.point, p.alpha,
               (p.upper - p.lower) / 2 AS half_width
        FROM forecasts f
        JOIN predictions p ON p.id = f.prediction_id
        JOIN registered_versions v ON v.model_name = :model_name AND v.digest = p.model_digest
        WHERE v.lineage IN (:one, :other) AND f.minute = ANY(:minutes)
        ORDER BY f.game_id, f.minute, f.revision, v.lineage, f.role, f.id DESC
    )
    SELECT m.game_id, g.league_date, m.minute, m.persistence, a.margin AS actual, m.point AS one, n.point AS other,
           m.half_width AS one_half_width, n.half_width AS other_half_width, m.alpha
    FROM made m
    JOIN made n ON n.game_id = m.game_id AND n.minute = m.minute AND n.revision = m.revision
        AND n.alpha = m.alpha AND n.lineage = :other
    JOIN standing_forecasts s ON s.game_id = m.game_id AND s.minute = m.minute AND s.revision = m.revision
    JOIN games g ON g.game_id = m.game_id
    JOIN standing_actuals a ON a.game_id = m.game_id AND a.state = 'final'
    WHERE m.lineage = :one AND g.source = :source AND g.league_date > :after
      AND (CAST(:upto AS date) IS NULL OR g.league_date <= :upto)
    ORDER BY g.league_date, m.game_id, m.minute
    """
)


@dataclass(frozen=True, slots=True)
class Unshadowed:
    """A settled forecast of the champion to which a lineage has no shadow yet."""

    league_date: date
    forecast: StandingForecast


@dataclass(frozen=True, slots=True)
class Duel:
    """Two lineages' points and half-widths of one game and minute, in points, and the outcome."""

    game_id: str
    league_date: date
    minute: int
    persistence: int
    actual: int
    one: float
    other: float
    one_half_width: float
    other_half_width: float
    alpha: float


class ShadowStore:
    """The part of the store that keeps shadows and reads comparisons."""

    engine: Engine

    def unshadowed(
        self, model_name: str, lineage: str, *, source: str, minutes: Sequence[int], after: date, upto: date | None
    ) -> list[Unshadowed]:
        """The champion's finally settled forecasts at ``minutes`` on league dates after ``after`` up to ``upto`` which
        the lineage did not make or shadow, oldest first."""
        values = {
            "model_name": model_name, "lineage": lineage, "source": source, "minutes": list(minutes), "after": after,
            "upto": upto,
        }  # fmt: skip
        with transaction(self.engine) as connection:
            found = connection.execute(_UNSHADOWED, values).mappings().all()
        return [Unshadowed(row["league_date"], standing_from(row)) for row in found]

    def record_shadow(self, prediction: PredictionRow | Mapping[str, Any], forecast: ForecastRow) -> bool:
        """Store a shadow and its prediction in one transaction; False when it is there. Raises RowRefused."""
        row = prediction if isinstance(prediction, PredictionRow) else PredictionRow.from_json(prediction)
        if not row.request_id.startswith(SHADOW_REQUEST):
            raise RowRefused(f"shadow with request id {row.request_id!r}: it must start with {SHADOW_REQUEST!r}")
        with transaction(self.engine) as connection:
            values = {name: getattr(forecast, name) for name in ForecastRow.__dataclass_fields__}
            stored = store_prediction(connection, row)
            return connection.execute(_INSERT, values | {"prediction_id": stored}).rowcount == 1

    def unsettled_shadows(self) -> list[str]:
        """Games with a shadow that is not settled against the outcome that stands."""
        with transaction(self.engine) as connection:
            return [str(game_id) for game_id in connection.execute(_UNSETTLED).scalars()]

    def duels(
        self,
        model_name: str,
        one: str,
        other: str,
        *,
        source: str,
        minutes: Sequence[int],
        after: date,
        upto: date | None = None,
    ) -> list[Duel]:
        """Finally settled games that both lineages forecast at ``minutes``, in order of (date, game, minute)."""
        values = {
            "model_name": model_name, "one": one, "other": other, "source": source, "minutes": list(minutes),
            "after": after, "upto": upto,
        }  # fmt: skip
        with transaction(self.engine) as connection:
            return [Duel(**row) for row in connection.execute(_DUELS, values).mappings()]
