"""Every setting with its default and what is refused, read from the environment, a ``.env`` file and secrets in files.

Names are ``HALFTIME_*``, except those of servers: DATABASE_URL, REDIS_URL, PREFECT_API_URL, MLFLOW_TRACKING_URI and
DASK_ADDRESS. When one of the first four is unset, the local stack's own server is meant.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.secret_files import SecretFiles

ROOT = Path(__file__).resolve().parent.parent
NBA_FEED_URL = "https://cdn.nba.com/static/json/liveData"
DRIVER = "postgresql+psycopg2://"


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it and says what to set."""


class SettingFields(BaseSettings):
    """The fields alone; ``services.settings`` says what follows from them."""

    model_config = SettingsConfigDict(
        env_prefix="HALFTIME_",
        env_file=".env",
        extra="ignore",
        populate_by_name=True,
        validate_default=True,
        # A URL that is refused may hold a password.
        hide_input_in_errors=True,
    )

    # Places
    home: Path = Field(default=ROOT / ".halftime", description="data folder: venv, databases, models, logs, reports")
    data: Path | None = Field(default=None, description="folder with games.parquet and plays_*.parquet")
    bundle: Path | None = Field(default=None, description="serve this bundle folder instead of the registry's champion")
    secrets_dir: Path | None = Field(
        default=None, description="folder with secrets as files named like variables (database_url); unset: none"
    )

    # Servers; unset means the local stack's own
    database_url: str | None = Field(default=None, validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    redis_url: str | None = Field(default=None, validation_alias=AliasChoices("REDIS_URL", "redis_url"))
    prefect_api_url: str | None = Field(
        default=None, validation_alias=AliasChoices("PREFECT_API_URL", "prefect_api_url")
    )
    mlflow_tracking_uri: str | None = Field(
        default=None, validation_alias=AliasChoices("MLFLOW_TRACKING_URI", "mlflow_tracking_uri")
    )
    dask_address: str | None = Field(default=None, validation_alias=AliasChoices("DASK_ADDRESS", "dask_address"))
    work_pool: str = Field(default="halftime", min_length=1, description="Prefect's work pool that flows go to")
    host: str = Field(default="127.0.0.1", description="address every server binds to")
    forecaster_base_url: str | None = Field(
        default=None, description="where the forecaster is asked; unset: this host and forecaster_port"
    )
    board_base_url: str | None = Field(
        default=None, description="address of the board for a browser; unset: this host and board_port"
    )
    forecaster_port: int = 8080
    board_port: int = 8000
    exporter_port: int = 9090
    prefect_port: int = 4200
    mlflow_port: int = 5000
    postgres_port: int = 5439
    redis_port: int = 6389
    replay_port: int = 8899
    alerts_port: int = Field(default=9095, description="port of the receiver of Alertmanager's alerts")
    alertmanager_port: int = 9093
    evidently_port: int = 8001
    evidently_url: str | None = Field(
        default=None, description="address of Evidently's pages for a browser; unset: this host and evidently_port"
    )
    prometheus_port: int = 9091
    poller_metrics_port: int = 9101
    predictor_metrics_port: int = 9102
    forecaster_workers: int = Field(default=2, ge=1, le=16)

    # Feed
    feed: Literal["none", "replay", "nba"] = Field(default="none", description="what the poller follows")
    feed_base_url: str | None = Field(default=None, description="overrides the base URL that `feed` stands for")
    poll_interval_s: float = Field(default=5.0, gt=0, description="seconds of feed time between two polls")
    replay_speed: float = Field(default=60.0, gt=0, description="how many times faster the replay's clock runs")
    replay_date: date | None = Field(default=None, description="league date to replay; unset: the default night")
    replay_hold: bool = Field(default=False, description="the replay's clock waits for POST /replay/start")
    archive_index_url: str = "https://raw.githubusercontent.com/shufinskiy/nba_data/main/list_data.txt"

    # Models
    champion_poll_s: float = Field(default=10.0, gt=0, description="seconds between two looks for a new champion")
    calibration_poll_s: float = Field(
        default=1.0, gt=0, description="seconds between two looks for settled games that calibration moves over"
    )
    registered_model: str | None = Field(
        default=None, description="name of the registered model; unset: halftime, or halftime-simulated"
    )

    # Forecast
    source: Literal["recorded", "archive", "simulated"] | None = Field(
        default=None, description="history to learn from; unset: recorded when HALFTIME_DATA is set, else simulated"
    )
    alpha: float = Field(default=0.05, gt=0, lt=1, description="miss rate of the live forecasts' intervals")
    recalibrate_min_games: int = Field(default=1, ge=1, description="settled games needed for a new calibration")
    retrain_min_games: int = Field(default=100, ge=1, description="new games needed before models are trained again")
    promote_alpha: float = Field(
        default=0.05, gt=0, lt=1, description="chance that a challenger no better than the champion is ever promoted"
    )
    promote_min_games: int = Field(default=30, ge=1, description="compared games before a challenger may be promoted")
    promote_min_gain: float = Field(
        default=0.0, ge=0, description="points of mean absolute error a challenger must gain"
    )
    rollback_games: int = Field(default=100, ge=1, description="games a new champion is on probation")
    rollback_evidence: float = Field(
        default=100.0, gt=1, description="evidence for the champion before at which a new one is rolled back"
    )
    coverage_off_points: float = Field(
        default=5.0, gt=0, description="percentage points of coverage off the promise that roll a new champion back"
    )
    coverage_min_games: int = Field(default=100, ge=1, description="games before coverage alone may roll back")
    alert_action_hours: float = Field(
        default=20.0, gt=0, description="hours in which an alert starts a flow at most once"
    )
    simulated_seed: int = Field(default=15, description="seed of the simulated league")

    # Who may ask
    api_key_file: Path | None = Field(
        default=None, description="file of keys, one a line, for outcomes and figures; unset: this machine alone may"
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="further names the servers may be asked under; addresses and localhost always may"
    )
    # Board
    allowed_origins: tuple[str, ...] = Field(default=(), description="extra Origins that may open the WebSocket")

    # Backups
    backup_folder: Path | None = Field(
        default=None, description="where backups go; unset: backups in the data folder, on the same disk"
    )
    backups_kept: int = Field(default=14, ge=1, description="the newest backups kept; older ones are deleted")

    # Logs
    prediction_log_days: int = Field(default=30, ge=1, description="days a log of predictions is kept")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otlp_endpoint: str | None = Field(
        default=None, description="base URL of a collector of traces (OTLP over HTTP); unset: no spans are made"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then ``.env``, then files of secrets."""
        return init_settings, env_settings, dotenv_settings, SecretFiles(settings_cls)

    @field_validator("home", "data", "bundle", "secrets_dir", "backup_folder", "api_key_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().resolve() if value is not None else None

    @field_validator("data")
    @classmethod
    def _has_games(cls, value: Path | None) -> Path | None:
        if value is not None and not (value / "games.parquet").is_file():
            raise SettingsError(f"HALFTIME_DATA={value} holds no games.parquet: name the folder that does, or unset it")
        return value

    @field_validator(
        "data", "bundle", "secrets_dir", "database_url", "redis_url", "prefect_api_url", "mlflow_tracking_uri",
        "dask_address", "forecaster_base_url", "board_base_url", "evidently_url", "backup_folder", "api_key_file",
        "otlp_endpoint",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("secrets_dir")
    @classmethod
    def _is_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise SettingsError(
                f"HALFTIME_SECRETS_DIR={value} is no folder: name the one with the secrets, or unset it"
            )
        return value

    @field_validator("forecaster_base_url", "board_base_url", "evidently_url")
    @classmethod
    def _is_web_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if not value.startswith(("http://", "https://")):
            name = f"HALFTIME_{(info.field_name or '').upper()}"
            raise SettingsError(f"{name}={value[:60]} is no address: write http://HOST:PORT or https://")
        return value.rstrip("/")

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_collector(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise SettingsError(
                "HALFTIME_OTLP_ENDPOINT must start with http:// or https:// and be without /v1/traces, as"
                f" http://127.0.0.1:4318 (it starts {value.partition('://')[0][:12]!r})"
            )
        return value

    @field_validator("database_url")
    @classmethod
    def _names_driver(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(DRIVER):
            raise SettingsError(f"DATABASE_URL must start with {DRIVER} (it starts {value.partition('://')[0][:24]!r})")
        return value
