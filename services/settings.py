"""All settings in one place, read once per process: the fields, and the addresses and names that follow from them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from services.setting_fields import DRIVER, NBA_FEED_URL, ROOT, SettingFields, SettingsError

__all__ = ["DRIVER", "NBA_FEED_URL", "ROOT", "Settings", "SettingsError", "get_settings"]


class Settings(SettingFields):
    """Every setting of Halftime; ``./halftime doctor`` prints the ones in force."""

    @property
    def league_source(self) -> Literal["recorded", "archive", "simulated"]:
        """Which history the models learn from and what a replay shows."""
        if self.source is not None:
            return self.source
        return "recorded" if self.data is not None else "simulated"

    @property
    def feed_source(self) -> Literal["live", "recorded", "archive", "simulated"]:
        """What the games of the feed in force are."""
        return "live" if self.feed == "nba" else self.league_source

    @property
    def history_sources(self) -> tuple[str, ...]:
        """What models learn from: the league's history, and live games which go on where that of real games ends."""
        return (self.league_source,) if self.league_source == "simulated" else (self.league_source, "live")

    @property
    def model_name(self) -> str:
        """Registered model: real and simulated games never share one."""
        if self.registered_model is not None:
            return self.registered_model
        return "halftime-simulated" if self.league_source == "simulated" else "halftime"

    @property
    def postgres_password_file(self) -> Path:
        """Where the local cluster's generated password is kept (mode 0600)."""
        return self.home / "postgres.password"

    def local_database_url(self, database: str) -> str:
        """URL of a database in the local cluster. Raises SettingsError before the cluster exists."""
        try:
            password = self.postgres_password_file.read_text().strip()
        except OSError as error:
            raise SettingsError(
                f"no database: DATABASE_URL is unset and {self.postgres_password_file} cannot be read"
                f" ({error.strerror}); start the local stack with `make up`"
            ) from error
        return f"{DRIVER}halftime:{password}@{self.host}:{self.postgres_port}/{database}"

    @property
    def resolved_database_url(self) -> str:
        """DATABASE_URL, or the local cluster's."""
        return self.database_url or self.local_database_url("halftime")

    @property
    def resolved_redis_url(self) -> str:
        """REDIS_URL, or the local server's."""
        return self.redis_url or f"redis://{self.host}:{self.redis_port}/0"

    @property
    def resolved_prefect_api_url(self) -> str:
        """PREFECT_API_URL, or the local server's."""
        return self.prefect_api_url or f"http://{self.host}:{self.prefect_port}/api"

    @property
    def resolved_mlflow_uri(self) -> str:
        """MLFLOW_TRACKING_URI, or the local server's."""
        return self.mlflow_tracking_uri or f"http://{self.host}:{self.mlflow_port}"

    @property
    def resolved_feed_url(self) -> str:
        """Base URL of the feed: live NBA and replay differ by this one value."""
        if self.feed_base_url:
            return self.feed_base_url.rstrip("/")
        if self.feed == "nba":
            return NBA_FEED_URL
        if self.feed == "none":
            raise SettingsError("no feed is followed: set HALFTIME_FEED to nba or replay (`./halftime up --feed nba`)")
        return f"http://{self.host}:{self.replay_port}/static/json/liveData"

    @property
    def speed(self) -> float:
        """How many feed seconds pass in one wall second: 1 for the real feed."""
        return self.replay_speed if self.feed == "replay" else 1.0

    @property
    def forecaster_url(self) -> str:
        """Base URL of the forecaster."""
        return self.forecaster_base_url or f"http://{self.host}:{self.forecaster_port}"

    @property
    def board_url(self) -> str:
        """Base URL of the board."""
        return self.board_base_url or f"http://{self.host}:{self.board_port}"

    @property
    def resolved_evidently_url(self) -> str:
        """Base URL of Evidently's UI and of its page of a report (`/html/ID`), as a browser reaches it."""
        return self.evidently_url or f"http://{self.host}:{self.evidently_port}"

    @property
    def replay_url(self) -> str:
        """Base URL of the replay feed's own control routes."""
        return f"http://{self.host}:{self.replay_port}"


@cache
def get_settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
