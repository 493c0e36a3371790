"""History into the table games: recorded files, season archives or the simulated league, through one path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice

import structlog
from services.history import recorded_games, simulated_games

from flows import wiring
from services.settings import Settings, SettingsError
from services.store import GameRow, UpsertCounts, game_rows

log = structlog.get_logger("backfill")

BATCH = 500
Progress = Callable[[int, int], None]


def backfill(settings: Settings, *, source: str | None = None, progress: Progress | None = None) -> dict[str, int]:
    """Loads recorded or simulated games; repeating it changes nothing. Returns counts.

    ``progress`` is called with (games done, games in all). Raises SettingsError, services.history.HistoryError.
    """
    wanted = source or settings.league_source
    if wanted == "recorded":
        if settings.data is None:
            raise SettingsError("no recorded games: set HALFTIME_DATA to the folder that holds games.parquet")
        frame = recorded_games(settings.data)
    elif wanted == "simulated":
        frame = simulated_games(settings.simulated_seed)
    else:
        raise SettingsError(f"source {wanted!r}: backfill knows recorded, simulated and, with seasons, archive")
    return load_rows(settings, game_rows(frame, wanted), len(frame), progress)


def load_rows(
    settings: Settings, rows: Iterator[GameRow], total: int, progress: Progress | None = None
) -> dict[str, int]:
    """The one path into ``games``: in batches, each a transaction, so that a stopped load goes on where it was."""
    counts, done = UpsertCounts(), 0
    with wiring.store(settings) as store:
        while batch := list(islice(rows, BATCH)):
            counts += store.upsert_games(batch)
            done += len(batch)
            if progress is not None:
                progress(done, total)
    figures = {name: int(value) for name, value in asdict(counts).items()}
    log.info("history loaded", **figures)
    return figures


def ensure_history(settings: Settings, progress: Progress | None = None) -> int:
    """Loads the history of the league in force unless it is there; returns how many games there are.

    Raises SettingsError when there is none and it must be downloaded first.
    """
    source = settings.league_source
    with wiring.store(settings) as store:
        present = store.history_counts().get(source, 0)
    if present:
        return present
    if source == "archive":
        raise SettingsError("no archive games in the database: run `./halftime backfill --source archive` first")
    backfill(settings, progress=progress)
    with wiring.store(settings) as store:
        return store.history_counts().get(source, 0)
