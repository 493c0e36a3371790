"""What a backtest reads: every game of the league in force."""

from __future__ import annotations

from datetime import date

from models.history import History
from services.history import recorded_games, simulated_games
from services.settings import Settings, SettingsError


def load_history(settings: Settings) -> History:
    """Recorded files and the simulated league need no database; archive games are in the table games.

    Raises SettingsError, services.history.HistoryError, flows.train.NoHistory.
    """
    if settings.league_source == "recorded":
        if settings.data is None:
            raise SettingsError("no recorded games: set HALFTIME_DATA to the folder that holds games.parquet")
        return History.from_frame(recorded_games(settings.data), "recorded")
    if settings.league_source == "simulated":
        return History.from_frame(simulated_games(settings.simulated_seed), "simulated")
    from flows import train, wiring

    with wiring.store(settings) as store:
        return train.history(store, settings, date.max)
