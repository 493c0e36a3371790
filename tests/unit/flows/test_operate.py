import pytest

from flows.operate import bring_up
from services.settings import Settings, SettingsError


def test_real_games_are_never_forecast_from_the_simulated_league() -> None:
    settings = Settings(feed="nba", source="simulated")
    with pytest.raises(SettingsError, match=r"HALFTIME_DATA.*backfill --source archive"):
        bring_up(settings, live=True)
