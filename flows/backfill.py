"""History into the table games: recorded files, season archives or the simulated league, through one path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice

import structlog

from flows import wiring
from services.archive_games import season_games
from services.archives import Archives
from services.history import recorded_games, simulated_games
from services.settings import Settings, SettingsError
from services.store import GameRow, UpsertCounts, game_rows

log = structlog.get_logger("backfill")

BATCH = 500
Progress = Callable[[int, int], None]
Told = Callable[[str, float], None]


def load_source(
    settings: Settings, *, source: str | None = None, seasons: str | None = None, told: Told | None = None
) -> dict[str, int]:
    """Loads the games of ``source`` (unset: the setting's); repeating it changes nothing. Returns counts.

    ``seasons`` are the archives' to load, as in "2018-2024", and no other source has any. ``told`` is called with what
    is done and the share 0..1. Raises SettingsError, services.history.HistoryError, services.archives errors.
    """
    wanted = source or settings.league_source
    if wanted == "archive":
        return backfill_archives(settings, parse_seasons(seasons), told)
    if seasons is not None:
        raise SettingsError(
            f"seasons {seasons!r}: only the source archive is loaded by seasons, and this is {wanted!r}"
        )
    share = told or (lambda what, share: None)
    return backfill(settings, source=wanted, progress=lambda done, total: share(f"{done} of {total}", done / total))


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


def parse_seasons(text: str | None) -> tuple[int, ...]:
    """Start years from "2018-2024", "2018" or "2018,2020". Raises SettingsError."""
    match = re.fullmatch(r"(\d{4})-(\d{4})", text or "")
    if match is not None and int(match[1]) <= int(match[2]):
        return tuple(range(int(match[1]), int(match[2]) + 1))
    if re.fullmatch(r"\d{4}(,\d{4})*", text or ""):
        return tuple(sorted({int(year) for year in str(text).split(",")}))
    raise SettingsError(f"seasons {text!r}: name start years, as --seasons 2018-2024 or --seasons 2019,2021")


def backfill_archives(settings: Settings, seasons: tuple[int, ...], progress: Told | None = None) -> dict[str, int]:
    """Downloads the seasons' archives (resuming, checked) and loads their games; bad games are left out and counted.

    ``progress`` is called with what is done and the share 0..1. Raises services.archives errors.
    """
    told = progress or (lambda what, share: None)
    counts: dict[str, int] = {}
    for place, season in enumerate(seasons):

        def arriving(name: str, done: int, total: int | None, place: int = place) -> None:
            share = done / total if total else 0.0
            told(f"{name}: {done / 1e6:.1f} MB", (place + 0.5 * share) / len(seasons))

        with Archives(settings.archive_index_url, settings.home / "archives", progress=arriving) as archives:
            found = season_games(season, archives.index(), archives.fetch)
        told(f"season {season}: {len(found.frame)} games", (place + 0.6) / len(seasons))
        loaded = load_rows(settings, game_rows(found.frame, "archive"), len(found.frame))
        figures = loaded | {"repaired": found.repaired, "left_out": sum(found.left_out.values())}
        figures |= {f"left_out: {reason}": number for reason, number in found.left_out.items()}
        for name, number in figures.items():
            counts[name] = counts.get(name, 0) + number
        told(f"season {season} loaded", (place + 1) / len(seasons))
    return counts
