"""The store: every write to PostgreSQL and the small reads that go with it.

Each method is one transaction and may be repeated: identities are UNIQUE, inserts say ON CONFLICT, and what is recorded
is never rewritten. Errors are those of ``services.database``.
"""

from __future__ import annotations

from types import TracebackType

from sqlalchemy import Engine, text

from services.database import (
    DatabaseNotReady,
    DatabaseUnavailable,
    Overtaken,
    RowRefused,
    StoreError,
    UnknownGame,
    make_engine,
    transaction,
)
from services.game_rows import GameRow, UpsertCounts, game_rows
from services.store_alarms import AlarmState, AlarmStore
from services.store_alerts import AlertRow, AlertStore
from services.store_backups import BackupRow, BackupStore
from services.store_calibrations import CalibrationGame, CalibrationStore
from services.store_forecasts import ForecastStore
from services.store_games import GameStore
from services.store_lifecycle import Evaluation, LifecycleStore, ModelVersion, NewPromotion, Promotion
from services.store_night import Night, NightGame, NightStore
from services.store_outcomes import ConflictingActual, OutcomeStore
from services.store_rows import (
    Actual,
    ActualResult,
    ForecastResult,
    ForecastRow,
    Outcome,
    PredictionRow,
    Settlement,
    StandingForecast,
)
from services.store_shadows import Duel, ShadowStore, Unshadowed
from services.store_ticks import StoredTick, TickStore
from services.store_upkeep import LeaseStore, Report, UpkeepStore

__all__ = [
    "Actual",
    "ActualResult",
    "AlarmState",
    "AlertRow",
    "BackupRow",
    "CalibrationGame",
    "ConflictingActual",
    "DatabaseNotReady",
    "DatabaseUnavailable",
    "Duel",
    "Evaluation",
    "ForecastResult",
    "ForecastRow",
    "GameRow",
    "ModelVersion",
    "NewPromotion",
    "Night",
    "NightGame",
    "Outcome",
    "Overtaken",
    "PredictionRow",
    "Promotion",
    "Report",
    "RowRefused",
    "Settlement",
    "StandingForecast",
    "Store",
    "StoreError",
    "StoredTick",
    "UnknownGame",
    "Unshadowed",
    "UpsertCounts",
    "game_rows",
]


class Store(
    GameStore,
    TickStore,
    ForecastStore,
    OutcomeStore,
    AlarmStore,
    AlertStore,
    BackupStore,
    CalibrationStore,
    NightStore,
    LifecycleStore,
    ShadowStore,
    LeaseStore,
    UpkeepStore,
):
    """All tables behind one engine. Thread-safe; make one a process, after any fork."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str, *, application: str = "halftime", pool_size: int = 3) -> Store:
        """A store on ``url``; connects when first used. Raises DriverError."""
        return cls(make_engine(url, application=application, pool_size=pool_size))

    def ping(self) -> None:
        """Raises DatabaseUnavailable when the database does not answer."""
        with transaction(self.engine) as connection:
            connection.execute(text("SELECT 1"))

    def reachable(self) -> bool:
        """Whether the database answers now."""
        try:
            self.ping()
        except DatabaseUnavailable:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
