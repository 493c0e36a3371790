"""Figures over rolling windows, made in SQL: of every line of models, and of versions that did enough to be judged.

A window goes back by league date from the newest one on which games of its source were decided; ``season`` is that of
this date. Forecasts are summed up once, by version and by the windows their night lies in; lines and windows are made
of those sums.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, text

from monitoring.evidence import MIN_GAMES
from monitoring.rows import WindowRow

# Every night makes a version, some 200 a season, and nearly all are of nights that are over: figures of each would be
# tens of thousands of series. Of a source's versions at one level no more than these are shown.
MOST_VERSIONS = 5

_WINDOWS = text(
    """
    WITH newest AS (
        SELECT DISTINCT ON (g.source) g.source, g.league_date, g.season
        FROM games g JOIN dispositions d ON d.game_id = g.game_id
        ORDER BY g.source, g.league_date DESC, g.season DESC
    ), made AS (
        SELECT g.source, p.model_digest, p.model_version, p.alpha, f.minute,
               g.league_date > n.league_date - 7 AS in_week, g.league_date > n.league_date - 30 AS in_month,
               g.season = n.season AS in_season,
               count(*) AS games, count(*) FILTER (WHERE s.covered) AS covered, sum(p.upper - p.lower) AS width,
               sum(abs(s.error)) AS absolute, sum(s.error ^ 2) AS squared,
               sum(abs(s.persistence_error)) AS absolute_persistence,
               sum(s.persistence_error ^ 2) AS squared_persistence, max(f.forecast_id) AS forecast_id
        FROM newest n
        JOIN games g ON g.source = n.source AND (g.season = n.season OR g.league_date > n.league_date - 30)
        JOIN standing_forecasts f ON f.game_id = g.game_id
        JOIN predictions p ON p.id = f.prediction_id
        JOIN standing_actuals a ON a.game_id = f.game_id
        JOIN standing_settlements s ON s.forecast_id = f.forecast_id AND s.settled_margin = a.margin
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ), lines AS (
        SELECT digest, min(lineage) AS lineage FROM registered_versions GROUP BY digest
    ), counted AS (
        SELECT m.*, coalesce(l.lineage, m.model_version) AS lineage, w.name AS in_window
        FROM made m LEFT JOIN lines l ON l.digest = m.model_digest
        JOIN (VALUES ('7d'), ('30d'), ('season')) w (name)
            ON CASE w.name WHEN '7d' THEN m.in_week WHEN '30d' THEN m.in_month ELSE m.in_season END
    )
    SELECT source, CASE WHEN grouping(model_version) = 1 THEN 'lineage' ELSE 'version' END AS made_by,
           coalesce(lineage, model_version) AS model, alpha, minute, in_window,
           sum(games)::int AS games, sum(covered)::int AS covered, sum(width) / sum(games)::float AS mean_width,
           sum(absolute) / sum(games)::float AS mae, sum(absolute_persistence) / sum(games)::float AS mae_persistence,
           sqrt(sum(squared) / sum(games)::float) AS rmse,
           sqrt(sum(squared_persistence) / sum(games)::float) AS rmse_persistence,
           1 - sum(squared) / nullif(sum(squared_persistence), 0) AS skill, max(forecast_id) AS newest
    FROM counted
    GROUP BY source, alpha, minute, in_window, GROUPING SETS ((lineage), (model_version))
    HAVING grouping(model_version) = 1 OR (sum(games) >= :least AND bool_or(in_month))
    ORDER BY source, made_by, model, alpha, minute, in_window
    """
)


def read_windows(connection: Connection) -> tuple[WindowRow, ...]:
    """Settled forecasts that stand, by line and by version, level, minute and window.

    A line is there from its first settled game on. A version is there for a window and minute in which it settled
    MIN_GAMES games, when it forecast there in the newest 30 days and is one of the newest MOST_VERSIONS such versions
    of its source and level.
    """
    found = connection.execute(_WINDOWS, {"least": MIN_GAMES}).all()
    shown = _newest(row for row in found if row.made_by == "version")
    kept = (row for row in found if row.made_by == "lineage" or row.model in shown[row.source, row.alpha])
    return tuple(WindowRow(*row[:-1]) for row in kept)


def _newest(rows: Iterable[Row[Any]]) -> dict[tuple[str, float], set[str]]:
    """(source, level) -> the versions whose newest forecasts are the newest."""
    last: dict[tuple[str, float], dict[str, int]] = defaultdict(dict)
    for row in rows:
        of_line = last[row.source, row.alpha]
        of_line[row.model] = max(row.newest, of_line.get(row.model, 0))
    return {key: set(sorted(known, key=known.__getitem__)[-MOST_VERSIONS:]) for key, known in last.items()}
