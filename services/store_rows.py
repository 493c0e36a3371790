"""The rows of forecasts and outcomes as types. Margins, points and errors are in points, home minus away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from models.clock import OFFICIAL_MINUTE
from services.database import RowRefused


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """A served forecast with all that is needed to compute it again; ``pattern`` is margin(1)..margin(minute)."""

    id: UUID
    request_id: str
    game_id: str | None
    minute: int
    pattern: tuple[float, ...]
    home: str | None
    away: str | None
    context: dict[str, Any]
    alpha: float
    point: float
    lower: float
    upper: float
    components: dict[str, Any]
    model_version: str
    model_digest: str
    calibration_id: str
    code_version: str
    created_at: datetime

    def to_json(self) -> dict[str, Any]:
        """JSON values: the id as text, the time as ISO 8601."""
        return asdict(self) | {
            "id": str(self.id),
            "pattern": list(self.pattern),
            "created_at": self.created_at.isoformat(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PredictionRow:
        """From ``to_json``'s values, or a row read from the database. Raises RowRefused for anything else."""
        names = {one.name for one in fields(cls)}
        wrong = sorted(names.symmetric_difference(values.keys() - {"stored_at"}))
        if wrong:
            raise RowRefused(f"a prediction row misses or does not know the fields {', '.join(wrong)}")
        try:
            identity, created = values["id"], values["created_at"]
            row = {name: values[name] for name in names} | {
                "id": identity if isinstance(identity, UUID) else UUID(identity),
                "pattern": tuple(float(margin) for margin in values["pattern"]),
                "created_at": created if isinstance(created, datetime) else datetime.fromisoformat(created),
            }
        except (TypeError, ValueError, AttributeError) as error:
            raise RowRefused(f"prediction {values.get('id')!r} cannot be read: {error}") from error
        if row["created_at"].tzinfo is None:
            raise RowRefused(f"prediction {values['id']}: created_at {row['created_at']} has no time zone")
        return cls(**row)


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """What makes a prediction the platform's forecast of a game at ``minute``.

    ``persistence`` is the margin at ``minute``, 0 at tip-off; times are aware UTC wall time.
    """

    game_id: str
    minute: int
    revision: int
    tick_digest: str
    persistence: int
    forecast_at: datetime
    polled_at: datetime | None = None
    queued_at: datetime | None = None
    trace_id: str | None = None

    @property
    def official(self) -> bool:
        """Whether it is the one that decides how the game ended for the forecaster."""
        return self.minute == OFFICIAL_MINUTE


class Outcome(StrEnum):
    """What became of a row that was offered."""

    RECORDED = "recorded"
    ALREADY = "already"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ForecastResult:
    """``refused``: too late for this game, which is ``missed``, ``void`` or has its outcome; no forecast was stored.

    Else the forecast that stands for this game, minute and revision. ``disposition`` is None while undecided.
    """

    outcome: Outcome
    disposition: str | None
    prediction_id: UUID
    forecast_id: int | None
    committed_at: datetime | None


@dataclass(frozen=True, slots=True)
class StandingForecast:
    """The highest revision of a game's forecast at ``minute``, with its prediction."""

    forecast_id: int
    game_id: str
    minute: int
    revision: int
    tick_digest: str
    persistence: int
    polled_at: datetime | None
    queued_at: datetime | None
    forecast_at: datetime
    committed_at: datetime
    prediction: PredictionRow

    @property
    def pattern(self) -> tuple[float, ...]:
        """margin(1)..margin(minute) it was made from."""
        return self.prediction.pattern


@dataclass(frozen=True, slots=True)
class Actual:
    """The halftime margin of a game, one revision of it; ``state`` is provisional or final."""

    actual_id: int
    game_id: str
    revision: int
    margin: int
    home_24: int | None
    away_24: int | None
    state: str
    source: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class ActualResult:
    """``already``: nothing new. ``refused``: provisional news of a game whose outcome is final. ``actual`` stands."""

    outcome: Outcome
    actual: Actual

    @property
    def new(self) -> bool:
        """Whether this call appended a revision."""
        return self.outcome is Outcome.RECORDED


@dataclass(frozen=True, slots=True)
class Settlement:
    """A forecast meets its outcome: errors are actual minus forecast; ``covered``: lower <= actual <= upper."""

    settlement_id: int
    forecast_id: int
    actual_id: int
    game_id: str
    minute: int
    revision: int
    error: float
    covered: bool
    persistence_error: float
    settled_at: datetime
    point: float
    lower: float
    upper: float
