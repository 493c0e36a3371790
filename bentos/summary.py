"""/metrics/summary: how the forecasts did, from the tables, so every worker and every restart says the same.

Kept apart by source, line of models, minute and nominal level: figures of different promises are never averaged. The
figures in front are those of the official minute alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from models.clock import OFFICIAL_MINUTE
from services.database import transaction
from services.store import Store
from services.store_shadows import SHADOW_REQUEST

WINDOW_GAMES = 1000

_SETTLED = text(
    """
    SELECT source, lineage, (array_agg(model_version ORDER BY settlement_id DESC))[1] AS model_version, minute,
           1 - alpha AS nominal_coverage, count(*) AS games,
           avg(abs(error)) AS mae, sqrt(avg(error ^ 2)) AS rmse, avg(covered::int)::float AS coverage,
           avg(width) AS mean_width, avg(abs(persistence_error)) AS mae_persistence,
           min(league_date)::text AS first_date, max(league_date)::text AS last_date
    FROM (
        SELECT g.source, g.league_date, p.model_version, f.minute, p.alpha, p.upper - p.lower AS width,
               s.settlement_id, coalesce((SELECT min(lineage) FROM registered_versions WHERE digest = p.model_digest),
                                         p.model_version) AS lineage,
               s.error, s.covered, s.persistence_error,
               row_number() OVER (PARTITION BY f.minute ORDER BY s.settlement_id DESC) AS place
        FROM standing_settlements s
        JOIN standing_forecasts f ON f.forecast_id = s.forecast_id
        JOIN predictions p ON p.id = f.prediction_id
        JOIN games g ON g.game_id = f.game_id
        JOIN standing_actuals a ON a.game_id = f.game_id AND a.margin = s.settled_margin
    ) settled
    WHERE place <= :window
    GROUP BY source, lineage, minute, alpha
    ORDER BY source, lineage, minute, alpha
    """
)
# Shadows are computed in the night; nobody was served them.
_SERVED = text(
    f"SELECT count(*) AS served, max(created_at)::text AS last_at FROM predictions"
    f" WHERE NOT starts_with(request_id, '{SHADOW_REQUEST}')"
)


def summary(store: Store) -> dict[str, Any]:
    """Figures of the newest 1,000 settled forecasts of each minute, and how many predictions have been served.

    ``n_predictions``, ``avg_error`` (mean absolute, points) and ``empirical_coverage`` are over all groups of the
    official minute; None before the first settlement. Raises StoreError.
    """
    with transaction(store.engine) as connection:
        groups = [dict(row) for row in connection.execute(_SETTLED, {"window": WINDOW_GAMES}).mappings()]
        served = connection.execute(_SERVED).mappings().one()
    official = [group for group in groups if group["minute"] == OFFICIAL_MINUTE]
    games = sum(group["games"] for group in official)
    return {
        "n_predictions": games,
        "avg_error": sum(group["mae"] * group["games"] for group in official) / games if games else None,
        "empirical_coverage": sum(group["coverage"] * group["games"] for group in official) / games if games else None,
        "groups": groups,
        "served": served["served"],
        "last_served_at": served["last_at"],
    }
