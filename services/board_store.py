"""What the board reads from PostgreSQL: a night's games, the list of nights, and reports. Read only."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, Engine, RowMapping, text

from models.clock import HALFTIME_MINUTE, OFFICIAL_MINUTE, REGULATION_PERIODS, period_length_s, period_start_s
from models.game import Snapshot, margins
from services.board_game import (
    Disposition,
    Distribution,
    Forecast,
    Game,
    Pattern,
    Score,
    Settlement,
    SimilarGame,
    StatusName,
    forecast_added,
)
from services.board_reads import SourceDownError
from services.database import StoreError, transaction

log = logging.getLogger("board")
COMPONENTS = ("dejavu", "lstm")
NEWEST_NIGHT = """
SELECT g.league_date FROM ticks t JOIN games g USING (game_id) ORDER BY t.seen_at DESC LIMIT 1
"""
NIGHTS = """
SELECT DISTINCT g.league_date FROM games g
WHERE g.game_id IN (SELECT game_id FROM dispositions UNION SELECT game_id FROM forecasts WHERE role = 'champion')
ORDER BY g.league_date DESC LIMIT :limit
"""
# History lies in the same table: of a date that was played here, games of history that nobody followed are left out,
# and what a history row says of a followed game's end is not used before its last tick says so.
GAMES = """
WITH of_date AS (
    SELECT g.*, EXISTS (
        SELECT 1 FROM ticks WHERE ticks.game_id = g.game_id
        UNION ALL SELECT 1 FROM dispositions WHERE dispositions.game_id = g.game_id
    ) AS followed
    FROM games g WHERE g.league_date = :on
), wanted AS (
    SELECT * FROM of_date WHERE followed OR margins IS NULL OR NOT EXISTS (SELECT 1 FROM of_date WHERE followed)
)
SELECT w.game_id, w.source, w.home, w.away, w.status AS game_status, w.margins, w.home_final, w.away_final,
       w.n_periods, t.snapshot, t.seen_at, w.followed, p.point, p.lower, p.upper,
       a.state, a.revision AS actual_revision, a.margin, a.home_24, a.away_24, s.error, s.covered,
       d.disposition, d.reason
FROM wanted w
LEFT JOIN LATERAL (
    SELECT snapshot::text, seen_at FROM ticks WHERE ticks.game_id = w.game_id ORDER BY ticks.id DESC LIMIT 1
) t ON true
LEFT JOIN standing_forecasts f ON f.game_id = w.game_id AND f.minute = :minute
LEFT JOIN predictions p ON p.id = f.prediction_id
LEFT JOIN standing_actuals a ON a.game_id = w.game_id
LEFT JOIN standing_settlements s ON s.forecast_id = f.forecast_id AND s.settled_margin = a.margin
LEFT JOIN dispositions d ON d.game_id = w.game_id
ORDER BY w.game_id
"""
# Similar games and distribution are shown of two forecasts of a game alone: the official and the newest.
FORECASTS = """
SELECT f.game_id, f.minute, f.revision, f.persistence, f.prediction_id, f.committed_at,
       p.point, p.lower, p.upper, p.alpha, p.model_version,
       CASE WHEN f.minute = :minute OR f.minute = max(f.minute) OVER (PARTITION BY f.game_id) THEN p.components
            ELSE '{}' END AS components
FROM standing_forecasts f JOIN predictions p ON p.id = f.prediction_id
WHERE f.game_id = ANY(:games) ORDER BY f.game_id, f.minute
"""
# A report without a snapshot (a night's, or one of not enough games) has no page of Evidently's.
REPORTS = """
SELECT id, kind, league_date, model_version, created_at, jsonb_typeof(body -> 'snapshot') = 'object' AS has_page
FROM reports ORDER BY created_at DESC, id DESC LIMIT :limit
"""
REPORT = "SELECT id, kind, league_date, model_version, created_at, body FROM reports WHERE id = :id"


class BoardStore:
    """Reads for the board; every method raises SourceDownError when the database cannot answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ping(self) -> None:
        """Answers when the database does."""
        with self._reading() as connection:
            connection.execute(text("SELECT 1"))

    def newest_night(self) -> str | None:
        """League date of the newest tick; None before the first one."""
        with self._reading() as connection:
            found = connection.execute(text(NEWEST_NIGHT)).scalar()
        return found.isoformat() if found is not None else None

    def nights(self, limit: int = 60) -> list[str]:
        """League dates that were played here, newest first."""
        with self._reading() as connection:
            return [one.isoformat() for one in connection.execute(text(NIGHTS), {"limit": limit}).scalars()]

    def games(self, league_date: str) -> list[Game]:
        """The games of a league date (YYYY-MM-DD) as they stand."""
        chosen = {"on": date.fromisoformat(league_date), "minute": OFFICIAL_MINUTE}
        with self._reading() as connection:
            rows = connection.execute(text(GAMES), chosen).mappings().all()
            of_games = {"minute": OFFICIAL_MINUTE, "games": [row["game_id"] for row in rows]}
            made = connection.execute(text(FORECASTS), of_games).mappings().all()
        games = {row["game_id"]: _game(row, league_date) for row in rows}
        for row in made:
            game = games[row["game_id"]]
            games[game.game_id] = forecast_added(game, _forecast(row), game.updated_at)
        return list(games.values())

    def reports(self, limit: int = 100) -> list[dict[str, Any]]:
        """Reports without their bodies, newest first; ``has_page`` is true of one that Evidently has a page of."""
        with self._reading() as connection:
            return [_plain(row) for row in connection.execute(text(REPORTS), {"limit": limit}).mappings()]

    def report(self, report_id: int) -> dict[str, Any] | None:
        """One report with its body, or None."""
        if not 0 < report_id < 2**63:
            return None
        with self._reading() as connection:
            row = connection.execute(text(REPORT), {"id": report_id}).mappings().first()
        return _plain(row) if row is not None else None

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with transaction(self._engine) as connection:
                yield connection
        except StoreError as error:
            raise SourceDownError(f"database: {error}") from error


def _plain(row: RowMapping) -> dict[str, Any]:
    return {
        name: value.isoformat(timespec="seconds")
        if name == "created_at"
        else value.isoformat()
        if isinstance(value, date)
        else value
        for name, value in row.items()
    }


def _game(row: RowMapping, league_date: str) -> Game:
    snapshot = Snapshot.from_json(row["snapshot"]) if row["snapshot"] is not None else None
    past = () if row["followed"] else tuple(row["margins"] or ())
    so_far = margins(snapshot) if snapshot is not None else past[1 : HALFTIME_MINUTE + 1]
    return Game(
        row["game_id"],
        score=_live_score(row, league_date, snapshot) if snapshot is not None else _settled_score(row, league_date),
        pattern=Pattern(len(so_far), tuple(float(one) for one in so_far)) if so_far else None,
        settlement=_settlement(row) if row["state"] is not None else None,
        disposition=Disposition(row["disposition"], row["reason"]) if row["disposition"] is not None else None,
        updated_at=row["seen_at"],
    )


def _live_score(row: RowMapping, league_date: str, snapshot: Snapshot) -> Score:
    home, away = snapshot.score
    return Score(
        league_date, snapshot.home, snapshot.away, snapshot.status.value, status_text(snapshot),
        snapshot.period, None, home, away, snapshot.t, row["source"],
    )  # fmt: skip


def _settled_score(row: RowMapping, league_date: str) -> Score:
    """A game that was not followed here: its history row, or its place in the schedule."""
    over = row["home_final"] is not None and row["away_final"] is not None and not row["followed"]
    status = cast(StatusName, "final" if over else "scheduled" if row["game_status"] == "final" else row["game_status"])
    home, away = (row["home_final"], row["away_final"]) if over else (0, 0)
    periods = row["n_periods"] or REGULATION_PERIODS if over else 0
    played_s = period_start_s(periods + 1) if over else 0.0
    return Score(
        league_date, row["home"], row["away"], status, status.capitalize(), periods, None, home, away, played_s,
        row["source"],
    )  # fmt: skip


def _forecast(row: RowMapping) -> Forecast:
    parts = row["components"]
    return Forecast(
        minute=row["minute"],
        revision=row["revision"],
        point=row["point"],
        lower=row["lower"],
        upper=row["upper"],
        alpha=row["alpha"],
        persistence=float(row["persistence"]),
        model_version=row["model_version"],
        prediction_id=str(row["prediction_id"]),
        similar=_part(row, "similar", tuple[SimilarGame, ...], ()),
        components={name: parts[name] for name in COMPONENTS if name in parts},
        weights=parts.get("weights", {}),
        committed_at=row["committed_at"].isoformat(),
        distribution=_part(row, "distribution", Distribution | None, None),
    )


def _part(row: RowMapping, name: str, kind: Any, without: Any) -> Any:
    """A part of what is stored with the forecast; older rows have ``without`` it."""
    try:
        return msgspec.convert(row["components"].get(name, without), kind)
    except msgspec.ValidationError as error:
        # It only illustrates: the forecast itself stands without it.
        log.error("%s of prediction %s cannot be read: %s", name, row["prediction_id"], error)
        return without


def _settlement(row: RowMapping) -> Settlement:
    return Settlement(
        state=row["state"],
        revision=row["actual_revision"],
        actual=float(row["margin"]),
        home_24=row["home_24"],
        away_24=row["away_24"],
        error=row["error"],
        covered=row["covered"],
        point=row["point"],
        lower=row["lower"],
        upper=row["upper"],
    )


def status_text(snapshot: Snapshot) -> str:
    """The scoreboard's own words for where a game is: "Q2 6:21", "Half", "End Q3", "Final/OT"."""
    if snapshot.status.value in {"scheduled", "postponed"} or snapshot.period == 0:
        return snapshot.status.value.capitalize()
    overtimes = snapshot.period - REGULATION_PERIODS
    if snapshot.status.value == "final":
        return "Final" if overtimes <= 0 else f"Final/OT{overtimes if overtimes > 1 else ''}"
    name = f"Q{snapshot.period}" if overtimes <= 0 else f"OT{overtimes}"
    if snapshot.period_ended:
        return "Half" if snapshot.period == 2 else f"End {name}"
    left = max(0.0, period_start_s(snapshot.period) + period_length_s(snapshot.period) - snapshot.t)
    return f"{name} {int(left) // 60}:{int(left) % 60:02d}"
