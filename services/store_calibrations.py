"""What calibration learns from: settled games with what the forecaster was given, and what a model had moved over when.

A served model's calibration moves on with every settlement. Its state is a function of the model and of the settlements
it has moved over, so those are what is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Engine, Row, select, text
from sqlalchemy.dialects.postgresql import insert

from models.settlement import SettledGame
from services.answer import possession_sign
from services.database import transaction
from services.schema import calibrations

_MARK = text("SELECT (SELECT max(id) FROM settlements) AS settled, (SELECT max(id) FROM actuals) AS outcome")
_COLUMNS = "f.game_id, g.league_date, f.minute, p.pattern, p.context"
_SETTLED = text(
    f"""
    SELECT {_COLUMNS}, t.settlement_id, t.settled_margin AS actual
    FROM standing_forecasts f
    JOIN predictions p ON p.id = f.prediction_id
    JOIN games g ON g.game_id = f.game_id
    JOIN standing_settlements t ON t.forecast_id = f.forecast_id
    JOIN standing_actuals a ON a.game_id = f.game_id AND a.margin = t.settled_margin
    WHERE g.source = :source AND g.league_date >= :since
      AND (CAST(:upto AS date) IS NULL OR g.league_date <= :upto)
      AND (NOT :final_only OR a.state = 'final')
    ORDER BY g.league_date, f.game_id, f.minute
    """
)
_OF = text(
    f"""
    SELECT {_COLUMNS}, s.id AS settlement_id, a.margin AS actual
    FROM settlements s
    JOIN forecasts f ON f.id = s.forecast_id
    JOIN predictions p ON p.id = f.prediction_id
    JOIN games g ON g.game_id = f.game_id
    JOIN actuals a ON a.id = s.actual_id
    WHERE s.id = ANY(:ids)
    ORDER BY g.league_date, f.game_id, f.minute
    """
)


@dataclass(frozen=True, slots=True)
class CalibrationGame:
    """A settled forecast and the settlement that says so."""

    settlement_id: int
    game: SettledGame


class CalibrationStore:
    """The part of the store that reads what calibration learns from and keeps ``calibrations``."""

    engine: Engine

    def settled_mark(self) -> tuple[int, int]:
        """Changes whenever anything was settled or an outcome changed; cheap enough to ask every second."""
        with transaction(self.engine) as connection:
            row = connection.execute(_MARK).one()
        return int(row.settled or 0), int(row.outcome or 0)

    def calibration_games(
        self,
        since: date,
        *,
        source: str,
        minutes: Collection[int],
        without: Collection[str] = frozenset(),
        upto: date | None = None,
        final_only: bool = True,
    ) -> list[CalibrationGame]:
        """The champion's settled forecasts at ``minutes`` on league dates from ``since`` to ``upto``, without the games
        ``without``, in order of (date, game, minute). Not ``final_only``: also those whose outcome may still change."""
        values = {"since": since, "source": source, "upto": upto, "final_only": final_only}
        with transaction(self.engine) as connection:
            found = connection.execute(_SETTLED, values).all()
        return [_game(row) for row in found if row.minute in minutes and row.game_id not in without]

    def games_of_settlements(self, settlement_ids: Sequence[int]) -> list[SettledGame]:
        """What these settlements said when they were made, whatever was corrected since."""
        with transaction(self.engine) as connection:
            return [_game(row).game for row in connection.execute(_OF, {"ids": list(settlement_ids)})]

    def record_calibration(self, model_digest: str, calibration_id: str, settlement_ids: Sequence[int]) -> bool:
        """Keep what a model's calibration has moved over; False when it is there. Raises RowRefused."""
        values = {
            "model_digest": model_digest, "calibration_id": calibration_id, "settlement_ids": sorted(settlement_ids),
        }  # fmt: skip
        with transaction(self.engine) as connection:
            return connection.execute(insert(calibrations).values(values).on_conflict_do_nothing()).rowcount == 1

    def calibration(self, model_digest: str, calibration_id: str) -> list[int] | None:
        """The settlements that this calibration of the model has moved over, or None when it is not known."""
        own = calibrations.c
        query = select(own.settlement_ids).where(own.model_digest == model_digest, own.calibration_id == calibration_id)
        with transaction(self.engine) as connection:
            found = connection.execute(query).scalar_one_or_none()
        return None if found is None else list(found)


def _game(row: Row[Any]) -> CalibrationGame:
    game = SettledGame(
        game_id=row.game_id,
        date=row.league_date,
        pattern=tuple(row.pattern),
        minute=row.minute,
        rating=row.context.get("rating_difference"),
        actual=float(row.actual),
        possession=possession_sign(row.context.get("possession")),
    )
    return CalibrationGame(row.settlement_id, game)
