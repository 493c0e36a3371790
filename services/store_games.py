"""Games: the schedule as the feed tells it and the history that models learn from, loaded through one path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, select, text

from models.history import POSSESSION_COLUMNS, Result
from services.database import RowRefused, UnknownGame, transaction
from services.game_rows import MINUTES, GameRow, UpsertCounts, season_of
from services.schema import games

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 1000


# A poll knows less than the history, so it never empties a column; a game's status only moves forward.
_KEEP = (
    "tip_at",
    "margins",
    "final_margin",
    "home_24",
    "away_24",
    "home_final",
    "away_final",
    "n_periods",
    "score_method",
    "possession",
)
_TAKE = ("season", "season_type", "league_date", "home", "away")
_NEW = {name: f"excluded.{name}" for name in _TAKE} | {
    name: f"coalesce(excluded.{name}, games.{name})" for name in _KEEP
}
_NEW["bubble_2020"] = "games.bubble_2020 OR excluded.bubble_2020"
_NEW["source"] = (
    "CASE WHEN games.margins IS NULL AND excluded.margins IS NOT NULL THEN excluded.source ELSE games.source END"
)
_ORDER = "array_position(ARRAY['scheduled', 'postponed', 'live', 'final'], {}.status)"
_NEW["status"] = (
    f"CASE WHEN {_ORDER.format('excluded')} > {_ORDER.format('games')} THEN excluded.status ELSE games.status END"
)
_COLUMNS = tuple(GameRow.__dataclass_fields__)
_UPSERT = text(
    f"""
    INSERT INTO games ({", ".join(_COLUMNS)})
    SELECT {", ".join(_COLUMNS)} FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
        game_id text, source text, season smallint, season_type text, league_date date, home text, away text,
        tip_at timestamptz, status text, margins smallint[], final_margin smallint, home_24 smallint, away_24 smallint,
        home_final smallint, away_final smallint, n_periods smallint, bubble_2020 boolean, score_method text,
        possession smallint[])
    ON CONFLICT (game_id) DO UPDATE SET
        {", ".join(f"{name} = {value}" for name, value in _NEW.items())}, updated_at = clock_timestamp()
    WHERE (games.source = excluded.source OR games.margins IS NULL)
        AND ({", ".join(f"games.{name}" for name in _NEW)}) IS DISTINCT FROM ({", ".join(_NEW.values())})
    RETURNING (xmax = 0) AS inserted
    """
)
_OTHER = text(
    """
    SELECT count(*)
    FROM games
    JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(game_id text, source text, margins jsonb) USING (game_id)
    WHERE games.source <> r.source AND games.margins IS NOT NULL AND jsonb_typeof(r.margins) = 'array'
    """
)


class GameStore:
    """The part of the store that writes and reads ``games``."""

    engine: Engine

    def upsert_games(self, rows: Iterable[GameRow | Mapping[str, Any]]) -> UpsertCounts:
        """Load games in transactions of 1000: what a broken load has done stays, and doing it again changes nothing.

        A mapping has the names of GameRow's fields. Raises RowRefused for a game that breaks a rule or comes twice in
        one chunk.
        """
        counts = UpsertCounts()
        remaining = (row if isinstance(row, GameRow) else _game(row) for row in rows)
        while chunk := list(islice(remaining, CHUNK)):
            counts += self._upsert(chunk)
        return counts

    def upsert_schedule(
        self,
        *,
        game_id: str,
        source: str,
        league_date: date,
        home: str,
        away: str,
        tip_at: datetime | None = None,
        status: str = "scheduled",
    ) -> UpsertCounts:
        """Make a game known as the feed's scoreboard tells it; its season is read from its id."""
        season, season_type = season_of(game_id)
        row = GameRow(game_id, source, season, season_type, league_date, home, away, tip_at, status)
        return self.upsert_games([row])

    def _upsert(self, chunk: list[GameRow]) -> UpsertCounts:
        names = [row.game_id for row in chunk]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise RowRefused(f"game {twice} comes more than once: load each game one time")
        # Always in the same order, so that two loaders wait for each other instead of deadlocking.
        ordered = sorted(chunk, key=lambda row: row.game_id)
        rows = {"rows": json.dumps([asdict(row) for row in ordered], default=_iso, allow_nan=False)}
        with transaction(self.engine) as connection:
            other = int(connection.execute(_OTHER, rows).scalar_one())
            done = [bool(flag) for flag in connection.execute(_UPSERT, rows).scalars()]
        inserted = sum(done)
        updated = len(done) - inserted
        return UpsertCounts(inserted, updated, len(chunk) - len(done) - other, other)

    def game(self, game_id: str) -> GameRow | None:
        """One game, or None."""
        with transaction(self.engine) as connection:
            row = connection.execute(select(*_SELECTED).where(games.c.game_id == game_id)).mappings().one_or_none()
        return None if row is None else _game(dict(row))

    def games_on(self, league_date: date, source: str | None = None) -> list[GameRow]:
        """The slate of a league date, by game id."""
        query = select(*_SELECTED).where(games.c.league_date == league_date).order_by(games.c.game_id)
        if source is not None:
            query = query.where(games.c.source == source)
        with transaction(self.engine) as connection:
            return [_game(dict(row)) for row in connection.execute(query).mappings()]

    def games_without_history(self, source: str, since: date, upto: date) -> list[GameRow]:
        """Regular season and playoff games of ``source`` on league dates ``since`` to ``upto`` that are not history yet
        and were not postponed, in order of (date, game_id)."""
        own = games.c
        query = select(*_SELECTED).where(
            own.source == source, own.margins.is_(None), own.league_date.between(since, upto),
            own.season_type.in_(("regular", "playoffs")), own.status != "postponed",
        )  # fmt: skip
        with transaction(self.engine) as connection:
            found = connection.execute(query.order_by(own.league_date, own.game_id)).mappings()
            return [_game(dict(row)) for row in found]

    def history_count(self, source: str) -> int:
        """Games of one source with a full history."""
        return self.history_counts().get(source, 0)

    def history_counts(self) -> dict[str, int]:
        """Games with a full history, per source."""
        query = text("SELECT source, count(*) FROM games WHERE margins IS NOT NULL GROUP BY source ORDER BY source")
        with transaction(self.engine) as connection:
            return {str(source): int(count) for source, count in connection.execute(query)}

    def results(self, sources: Sequence[str], after: date | None, before: date) -> list[Result]:
        """Final margins of the sources' games on league dates after ``after`` and before ``before``, in order of
        (date, game_id)."""
        own = games.c
        query = select(own.game_id, own.season, own.league_date, own.home, own.away, own.final_margin)
        query = query.where(own.source.in_(sources), own.final_margin.is_not(None), own.league_date < before)
        if after is not None:
            query = query.where(own.league_date > after)
        with transaction(self.engine) as connection:
            found = connection.execute(query.order_by(own.league_date, own.game_id)).all()
        return [Result(*row) for row in found]

    def history_frame(self, *sources: str, before: date | None = None) -> pd.DataFrame:
        """History of the sources as games.parquet has it, plus ``source``; only league dates before ``before``.

        Ordered by (date, game_id). Columns: game_id, season, season_type, date, home, away, diff_00..diff_48,
        diff_final, home_score_24, away_score_24, home_score_final, away_score_final, n_periods, bubble_2020,
        score_method, source, poss_00..poss_23 (0 where no plays are recorded).
        """
        import numpy as np
        import pandas as pd

        query = select(games).where(games.c.source.in_(sources), games.c.margins.is_not(None))
        if before is not None:
            query = query.where(games.c.league_date < before)
        with transaction(self.engine) as connection:
            found = connection.execute(query.order_by(games.c.league_date, games.c.game_id)).all()
        frame = pd.DataFrame({name: [getattr(row, name) for row in found] for name in _PLAIN})
        margins = np.array([row.margins for row in found], dtype=np.int16).reshape(len(found), MINUTES)
        paths = pd.DataFrame(margins, columns=[f"diff_{minute:02d}" for minute in range(MINUTES)])
        held = np.array([row.possession or _UNKNOWN for row in found], dtype=np.int8).reshape(len(found), len(_UNKNOWN))
        balls = pd.DataFrame(held, columns=list(POSSESSION_COLUMNS))
        whole = frame.rename(columns=_RENAMED)
        return pd.concat([whole.iloc[:, :6], paths, whole.iloc[:, 6:], balls], axis=1)


_SELECTED = tuple(games.c[name] for name in _COLUMNS)
_PLAIN = (
    "game_id", "season", "season_type", "league_date", "home", "away", "final_margin", "home_24", "away_24",
    "home_final", "away_final", "n_periods", "bubble_2020", "score_method", "source",
)  # fmt: skip
_UNKNOWN = [0] * len(POSSESSION_COLUMNS)
_RENAMED = {
    "league_date": "date",
    "final_margin": "diff_final",
    "home_24": "home_score_24",
    "away_24": "away_score_24",
    "home_final": "home_score_final",
    "away_final": "away_score_final",
}


def lock_game(connection: Connection, game_id: str) -> None:
    """Hold the game's row until the transaction ends: what is written of one game under it is written one after the
    other. Raises UnknownGame."""
    query = select(games.c.game_id).where(games.c.game_id == game_id).with_for_update(key_share=True)
    if connection.execute(query).one_or_none() is None:
        raise UnknownGame(f"unknown game {game_id!r}: load it into `games` first")


def _game(values: Mapping[str, Any]) -> GameRow:
    try:
        arrays = {name: values.get(name) for name in ("margins", "possession")}
        whole = {name: None if held is None else tuple(int(value) for value in held) for name, held in arrays.items()}
        return GameRow(**{**values, **whole})
    except (TypeError, ValueError) as error:
        raise RowRefused(f"game {values.get('game_id')!r} cannot be read: {error}") from error


def _iso(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise RowRefused(f"{value!r} ({type(value).__name__}) cannot be stored in games: convert it to int, str or date")
