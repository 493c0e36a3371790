"""What the read side takes from the database, as plain values; ``queries`` fills them, reports are made of
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from monitoring.journey import JourneyRow
from services.store_alarms import AlarmState
from services.store_backups import BackupAges

NO_BACKUPS = BackupAges()


@dataclass(frozen=True, slots=True)
class GameRow:
    """One game of the slate with its standing forecast (highest revision) and newest settlement, None where
    absent.

    Margins are home minus away in points; ``path`` is margin(1)..margin(m) of the first half, m <= 24.
    """

    game_id: str
    home: str
    away: str
    disposition: str | None = None
    reason: str | None = None
    minute: int | None = None
    revision: int | None = None
    prediction_id: str | None = None
    point: float | None = None
    lower: float | None = None
    upper: float | None = None
    alpha: float | None = None
    persistence: float | None = None
    model_version: str | None = None
    model_digest: str | None = None
    actual: int | None = None
    actual_revision: int | None = None
    actual_state: str | None = None
    covered: bool | None = None
    settled_at: datetime | None = None
    path: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class HopRow:
    """Wall times of one official forecast on its way; aware UTC, None where a hop was not seen."""

    game_id: str
    revision: int
    polled_at: datetime | None
    queued_at: datetime | None
    forecast_at: datetime | None
    committed_at: datetime | None


@dataclass(frozen=True, slots=True)
class MinuteRow:
    """The standing forecasts made at one minute, ``settled`` of them settled; means over those, in points."""

    minute: int
    forecasts: int
    settled: int
    mae: float | None
    mae_persistence: float | None
    rmse: float | None
    rmse_persistence: float | None
    skill: float | None
    """1 - MSE / MSE of persistence; None also where persistence was never wrong."""
    coverage: float | None
    mean_width: float | None


@dataclass(frozen=True, slots=True)
class NightRows:
    """All a night's report is made of. ``source`` is recorded, archive or simulated."""

    league_date: date
    source: str
    games: tuple[GameRow, ...]
    hops: tuple[HopRow, ...] = ()
    duplicates: int = 0
    minutes: tuple[MinuteRow, ...] = ()
    slowest: JourneyRow | None = None


@dataclass(frozen=True, slots=True)
class SettledRow:
    """A settled official forecast: what Evidently compares. ``pattern`` is margin(1)..margin(minute)."""

    game_id: str
    league_date: date
    source: str
    minute: int
    model_version: str
    alpha: float
    pattern: tuple[float, ...]
    point: float
    lower: float
    upper: float
    persistence: float
    actual: int
    covered: bool


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """Standing settled forecasts of one line of models at one level, each tuple in order of forecast, in points."""

    source: str
    lineage: str
    alpha: float
    misses: tuple[bool, ...]
    errors: tuple[float, ...]
    persistence_errors: tuple[float, ...]
    widths: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WindowRow:
    """Settled forecasts of one minute at one level over ``window`` (7d, 30d, season), of a line of models or of one
    version: ``by`` is lineage or version, ``model`` its name. Means over ``games`` (>= 1), in points; ``covered`` of
    them held the outcome; ``skill`` is None where persistence was never wrong."""

    source: str
    by: str
    model: str
    alpha: float
    minute: int
    window: str
    games: int
    covered: int
    mean_width: float
    mae: float
    mae_persistence: float
    rmse: float
    rmse_persistence: float
    skill: float | None


@dataclass(frozen=True, slots=True)
class Champion:
    """The version in force of a registered model: the age of its calibration in seconds, and the games its calibration
    set had when it was registered (of official forecasts), None when that was not kept."""

    version: str
    calibration_age_s: float
    calibration_games: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many things wait, and for how long the one that has waited longest (None when none does)."""

    count: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the exporter publishes: one reading of the tables. Ages in seconds by the database's clock."""

    predictions: dict[tuple[str, str], int]
    """(source, model version) -> rows served, shadows left out; source is "none" for predictions that name no game."""
    official: dict[tuple[str, str], int]
    live: dict[tuple[str, str], int]
    """The same for the forecasts of every minute, the official one included."""
    settlements: dict[str, int]
    """source -> settlements of official forecasts."""
    dispositions: dict[tuple[str, str], int]
    """(source, kind) -> games."""
    active_games: int
    games_on_clock: int
    last_tick_age_s: float | None
    overdue: Waiting
    backlog: Waiting
    lease_epochs: dict[str, int]
    lease_left_s: dict[str, float]
    report_ages_s: dict[str, float]
    models: tuple[ModelFigures, ...]
    windows: tuple[WindowRow, ...]
    newest_versions: dict[tuple[str, str], str]
    """(source, lineage) -> the version that made the newest forecast of the platform's own, of any minute."""
    alarms: tuple[AlarmState, ...] = ()
    """The alarms that moved in the last 60 days."""
    champions: dict[str, Champion] = field(default_factory=dict)
    """Model name -> the version in force."""
    backups: BackupAges = NO_BACKUPS
