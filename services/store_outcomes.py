"""Outcomes: the halftime margin of each game in revisions, and the settlement of its forecasts of every minute."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Row, text
from sqlalchemy.dialects.postgresql import insert

from models.clock import OFFICIAL_MINUTE
from models.settlement import OutcomeState, settle
from services.database import RowRefused, transaction
from services.schema import actuals, settlements
from services.store_alarms import lock_alarms, move_alarms
from services.store_games import lock_game
from services.store_rows import Actual, ActualResult, Outcome, Settlement
from services.store_ticks import expect_newest

if TYPE_CHECKING:
    import pandas as pd


class ConflictingActual(RowRefused):
    """Another outcome of this game is already final."""


_STANDING = text("SELECT * FROM standing_actuals WHERE game_id = :game_id")
_UNSETTLED = text(
    """
    SELECT f.forecast_id, f.minute, f.revision, f.persistence, p.point, p.lower, p.upper
    FROM (
        SELECT forecast_id, game_id, minute, revision, persistence, prediction_id FROM standing_forecasts
        UNION ALL SELECT forecast_id, game_id, minute, revision, persistence, prediction_id FROM standing_shadows
    ) f JOIN predictions p ON p.id = f.prediction_id
    WHERE f.game_id = :game_id
      AND NOT EXISTS (
          SELECT 1 FROM standing_settlements s WHERE s.forecast_id = f.forecast_id AND s.settled_margin = :margin)
    """
)
_SETTLEMENTS = """
    SELECT s.settlement_id, s.forecast_id, s.actual_id, f.game_id, f.minute, f.revision, s.error, s.covered,
           s.persistence_error, s.settled_at, p.point, p.lower, p.upper
    FROM standing_settlements s JOIN standing_forecasts f ON f.forecast_id = s.forecast_id
    JOIN predictions p ON p.id = f.prediction_id
"""
_SETTLED = text(
    """
    SELECT f.game_id, g.league_date, g.source, g.home, g.away, f.minute, f.revision, f.persistence,
           p.id AS prediction_id, p.pattern, p.context, p.alpha, p.point, p.lower, p.upper,
           p.model_version, p.model_digest, p.calibration_id,
           a.margin AS actual, a.state, s.error, s.covered, s.persistence_error, s.settled_at
    FROM standing_forecasts f
    JOIN predictions p ON p.id = f.prediction_id
    JOIN games g ON g.game_id = f.game_id
    JOIN standing_settlements s ON s.forecast_id = f.forecast_id
    JOIN standing_actuals a ON a.game_id = f.game_id
    WHERE g.source = :source AND (CAST(:minute AS smallint) IS NULL OR f.minute = :minute)
      AND (CAST(:since AS date) IS NULL OR g.league_date >= :since)
      AND a.state = 'final'
    ORDER BY g.league_date, f.game_id, f.minute
    """
)


class OutcomeStore:
    """The part of the store that writes and reads ``actuals`` and ``settlements``."""

    engine: Engine

    def record_actual(
        self,
        game_id: str,
        margin: int,
        home_24: int | None = None,
        away_24: int | None = None,
        *,
        state: str = "final",
        source: str,
        seen: int | None = None,
        refuse_conflict: bool = False,
    ) -> ActualResult:
        """Store the halftime margin; a revision is appended only when the value or the state changes.

        Provisional news of a game whose outcome is final is left aside: it is an older snapshot handled again.
        ``seen`` is the id of the tick that shows the outcome: raises Overtaken when a newer one was stored.
        With ``refuse_conflict`` another value than a final one raises ConflictingActual instead of a revision.
        Raises UnknownGame, RowRefused.
        """
        with transaction(self.engine) as connection:
            lock_game(connection, game_id)
            if seen is not None:
                expect_newest(connection, game_id, seen)
            standing = _standing(connection, game_id)
            if standing is not None:
                same = (margin, home_24, away_24) == (standing.margin, standing.home_24, standing.away_24)
                # Somebody who knows only the margin does not contradict a score.
                same = same or (home_24 is None and away_24 is None and margin == standing.margin)
                if same and state == standing.state:
                    return ActualResult(Outcome.ALREADY, standing)
                if standing.state == OutcomeState.FINAL:
                    if refuse_conflict and margin != standing.margin:
                        raise ConflictingActual(
                            f"game {game_id}: halftime margin {margin} contradicts the final one, {standing.margin}"
                        )
                    if state != OutcomeState.FINAL:
                        return ActualResult(Outcome.REFUSED, standing)
                if same and home_24 is None:
                    home_24, away_24 = standing.home_24, standing.away_24
            values = {
                "game_id": game_id,
                "revision": 0 if standing is None else standing.revision + 1,
                "margin": margin,
                "home_24": home_24,
                "away_24": away_24,
                "state": state,
                "source": source,
            }
            connection.execute(insert(actuals).values(values))
            recorded = _standing(connection, game_id)
        assert recorded is not None
        return ActualResult(Outcome.RECORDED, recorded)

    def latest_actual(self, game_id: str) -> Actual | None:
        """The outcome that stands for a game, or None."""
        with transaction(self.engine) as connection:
            return _standing(connection, game_id)

    def settle(self, game_id: str) -> list[Settlement]:
        """Settle the standing forecasts of a game, of every minute, against its standing outcome; the champion's new
        settlements. A challenger's shadows are settled beside them, and the alarms move.

        A forecast is settled once for an outcome's value: provisional turning final adds nothing, another margin does,
        and the newest settlement stands. Empty when there is no outcome yet or nothing new. Raises UnknownGame.
        """
        with transaction(self.engine) as connection:
            lock_game(connection, game_id)
            actual = _standing(connection, game_id)
            if actual is None:
                return []
            rows = connection.execute(_UNSETTLED, {"game_id": game_id, "margin": actual.margin}).all()
            if not rows:
                return []
            lock_alarms(connection)
            statement = insert(settlements).on_conflict_do_nothing().returning(settlements.c.id)
            new = connection.execute(statement, [_settled(row, actual) for row in rows]).scalars().all()
            move_alarms(connection, new)
            query = text(f"{_SETTLEMENTS} WHERE s.settlement_id = ANY(:ids) ORDER BY f.minute")
            found = connection.execute(query, {"ids": list(new)})
            return [Settlement(**row) for row in found.mappings()]

    def settlement(self, game_id: str, minute: int = OFFICIAL_MINUTE) -> Settlement | None:
        """The newest settlement of a game's standing forecast, or None."""
        query = text(f"{_SETTLEMENTS} WHERE f.game_id = :game_id AND f.minute = :minute")
        with transaction(self.engine) as connection:
            found = connection.execute(query, {"game_id": game_id, "minute": minute}).mappings().one_or_none()
        return None if found is None else Settlement(**found)

    def settled_since(self, since: date | None, *, source: str, minute: int | None = OFFICIAL_MINUTE) -> pd.DataFrame:
        """Settled forecasts at ``minute`` (None: of every minute) of league dates from ``since`` whose outcome is
        final, one row each, in order of (league_date, game_id, minute).

        Columns: game_id, league_date, source, home, away, minute, revision, persistence, prediction_id, pattern,
        context, alpha, point, lower, upper, model_version, model_digest, calibration_id, actual, state,
        error, covered, persistence_error, settled_at.
        """
        import pandas as pd

        values: dict[str, Any] = {"since": since, "source": source, "minute": minute}
        with transaction(self.engine) as connection:
            result = connection.execute(_SETTLED, values)
            return pd.DataFrame(result.all(), columns=list(result.keys()))


def _settled(row: Row[Any], actual: Actual) -> dict[str, Any]:
    scored = settle(
        point=row.point, lower=row.lower, upper=row.upper, persistence=row.persistence, actual=actual.margin
    )
    return {"forecast_id": row.forecast_id, "actual_id": actual.actual_id, **asdict(scored)}


def _standing(connection: Connection, game_id: str) -> Actual | None:
    found = connection.execute(_STANDING, {"game_id": game_id}).mappings().one_or_none()
    return None if found is None else Actual(**found)
