"""Rows of the table ``games`` as types, and how a history frame becomes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from models.history import POSSESSION_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

MINUTES = 49
SEASON_TYPES = {"1": "preseason", "2": "regular", "3": "allstar", "4": "playoffs", "5": "playin", "6": "cup"}


@dataclass(frozen=True, slots=True)
class GameRow:
    """One game. ``margins`` are margin(0)..margin(48), home minus away; None until the game is history. ``possession``
    is who has the ball at minutes 0..23: +1 home, -1 away, 0 loose; None when no plays are recorded.

    ``source`` is recorded, archive, simulated or live (the NBA's own feed); ``season`` 2022 is 2022-23.
    """

    game_id: str
    source: str
    season: int
    season_type: str
    league_date: date
    home: str
    away: str
    tip_at: datetime | None = None
    status: str = "scheduled"
    margins: tuple[int, ...] | None = None
    final_margin: int | None = None
    home_24: int | None = None
    away_24: int | None = None
    home_final: int | None = None
    away_final: int | None = None
    n_periods: int | None = None
    bubble_2020: bool = False
    score_method: str | None = None
    possession: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class UpsertCounts:
    """What an upsert did; ``other_source`` games were left alone because their history came from another source."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    other_source: int = 0

    def __add__(self, other: UpsertCounts) -> UpsertCounts:
        return UpsertCounts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.other_source + other.other_source,
        )


def season_of(game_id: str) -> tuple[int, str]:
    """(season, season type) that a game id spells: 0022200001 is (2022, "regular")."""
    year = int(game_id[3:5])
    return (1900 + year if year >= 46 else 2000 + year), SEASON_TYPES.get(game_id[2], "regular")


def game_rows(frame: pd.DataFrame, source: str) -> Iterator[GameRow]:
    """Rows of a history frame (columns as games.parquet) as games of ``source``; all of them are final."""
    margins = frame[[f"diff_{minute:02d}" for minute in range(MINUTES)]].to_numpy(dtype="int64").tolist()
    held = frame.reindex(columns=list(POSSESSION_COLUMNS), fill_value=0).to_numpy(dtype="int64").tolist()
    records = frame[[c for c in frame.columns if not c.startswith(("diff_", "poss_"))]].to_dict("records")
    finals = frame["diff_final"].tolist()
    for record, path, ball, final in zip(records, margins, held, finals, strict=True):
        yield GameRow(
            game_id=str(record["game_id"]),
            source=source,
            season=int(record["season"]),
            season_type=str(record["season_type"]),
            league_date=record["date"],
            home=str(record["home"]),
            away=str(record["away"]),
            status="final",
            margins=tuple(path),
            possession=tuple(ball) if any(ball) else None,
            final_margin=int(final),
            home_24=_whole(record.get("home_score_24")),
            away_24=_whole(record.get("away_score_24")),
            home_final=_whole(record.get("home_score_final")),
            away_final=_whole(record.get("away_score_final")),
            n_periods=_whole(record.get("n_periods")),
            bubble_2020=bool(record.get("bubble_2020", False)),
            score_method=None if record.get("score_method") is None else str(record["score_method"]),
        )


def _whole(value: Any) -> int | None:
    return None if value is None or value != value else int(value)
