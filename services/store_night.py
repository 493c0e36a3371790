"""A night: every game of a league date with its forecast, outcome and settlement, read in one go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Engine, text

from models.clock import OFFICIAL_MINUTE
from services.database import transaction
from services.store_forecasts import standing_from
from services.store_rows import Actual, Settlement, StandingForecast

_GAMES = text(
    """
    SELECT g.game_id, g.source, g.status, g.home, g.away, g.tip_at, d.disposition, d.reason
    FROM games g LEFT JOIN dispositions d USING (game_id)
    WHERE g.league_date = :league_date AND (CAST(:source AS text) IS NULL OR g.source = :source)
    ORDER BY g.tip_at NULLS LAST, g.game_id
    """
)
_OFFICIAL = text(
    """
    SELECT s.forecast_id, s.minute AS forecast_minute, s.revision, s.tick_digest, s.persistence, s.polled_at,
           s.queued_at, s.forecast_at, s.committed_at, p.*
    FROM standing_forecasts s JOIN predictions p ON p.id = s.prediction_id
    WHERE s.minute = :minute AND s.game_id = ANY(:games)
    """
)
_NEWEST = text(
    "SELECT max(g.league_date) FROM games g JOIN official_forecasts f USING (game_id) WHERE g.source = :source"
)
_ACTUALS = text("SELECT * FROM standing_actuals WHERE game_id = ANY(:games)")
_SETTLED = text(
    """
    SELECT s.settlement_id, s.forecast_id, s.actual_id, f.game_id, f.minute, f.revision, s.error, s.covered,
           s.persistence_error, s.settled_at, p.point, p.lower, p.upper
    FROM standing_settlements s JOIN standing_forecasts f ON f.forecast_id = s.forecast_id
    JOIN predictions p ON p.id = f.prediction_id
    WHERE f.minute = :minute AND f.game_id = ANY(:games)
    """
)
# What must never happen: the database's own constraints forbid it, and the report counts it anyway.
_DUPLICATES = text(
    """
    SELECT (SELECT count(*) - count(DISTINCT (game_id, minute, revision)) FROM forecasts
            WHERE role = 'champion' AND game_id = ANY(:games))
         + (SELECT count(*) - count(DISTINCT (forecast_id, actual_id)) FROM settlements JOIN forecasts f
            ON f.id = forecast_id WHERE f.role = 'champion' AND f.game_id = ANY(:games))
    """
)


@dataclass(frozen=True, slots=True)
class NightGame:
    """One game of a night; what has not happened is None."""

    game_id: str
    source: str
    status: str
    home: str
    away: str
    tip_at: datetime | None
    disposition: str | None
    reason: str | None
    official: StandingForecast | None
    actual: Actual | None
    settlement: Settlement | None


@dataclass(frozen=True, slots=True)
class Night:
    """The slate of a league date; ``duplicates`` counts rows that should not exist and is 0."""

    league_date: date
    games: tuple[NightGame, ...]
    duplicates: int


class NightStore:
    """The part of the store that reads a whole night."""

    engine: Engine

    def newest_night(self, source: str) -> date | None:
        """The latest league date of ``source`` with an official forecast, or None."""
        with transaction(self.engine) as connection:
            found: date | None = connection.execute(_NEWEST, {"source": source}).scalar_one_or_none()
        return found

    def night(self, league_date: date, source: str | None = None, minute: int = OFFICIAL_MINUTE) -> Night:
        """Everything known of a league date's games and their official forecasts at ``minute``."""
        with transaction(self.engine) as connection:
            found = connection.execute(_GAMES, {"league_date": league_date, "source": source}).mappings().all()
            wanted = {"games": [row["game_id"] for row in found], "minute": minute}
            official = {row["game_id"]: standing_from(row) for row in connection.execute(_OFFICIAL, wanted).mappings()}
            actual = {row["game_id"]: Actual(**row) for row in connection.execute(_ACTUALS, wanted).mappings()}
            settled = {row["game_id"]: Settlement(**row) for row in connection.execute(_SETTLED, wanted).mappings()}
            duplicates = int(connection.execute(_DUPLICATES, wanted).scalar_one())
        games = tuple(
            NightGame(
                **row,
                official=official.get(row["game_id"]),
                actual=actual.get(row["game_id"]),
                settlement=settled.get(row["game_id"]),
            )
            for row in found
        )
        return Night(league_date, games, duplicates)
