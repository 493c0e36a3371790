"""Ticks: every distinct snapshot that was seen of a game."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from sqlalchemy import Engine, text

from models.game import Snapshot
from services.database import transaction


class TickLike(Protocol):
    """What the store needs of a tick; ``polled_at`` is when the feed was asked, aware UTC."""

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def polled_at(self) -> datetime: ...


# A state that comes back (a correction taken back) becomes the newest again, first seen when it was.
_INSERT = text(
    """
    INSERT INTO ticks (game_id, digest, event_at, seen_at, status, period, elapsed_s, home_score, away_score, snapshot)
    VALUES (:game_id, :digest, :event_at, :seen_at, :status, :period, :elapsed_s, :home_score, :away_score,
            CAST(:snapshot AS jsonb))
    ON CONFLICT (game_id, digest) DO UPDATE SET id = DEFAULT, snapshot = excluded.snapshot
    RETURNING (xmax = 0) AS inserted
    """
)
# The text form keeps every digit, so the snapshot read back is equal to the one written.
_LATEST = text("SELECT snapshot::text FROM ticks WHERE game_id = :game_id ORDER BY id DESC LIMIT 1")
_UNSETTLED = text(
    """
    SELECT DISTINCT ON (t.game_id) t.snapshot::text
    FROM ticks t LEFT JOIN standing_actuals a ON a.game_id = t.game_id
    WHERE a.state IS DISTINCT FROM 'final' AND (t.elapsed_s >= 1440 OR t.status = 'final')
    ORDER BY t.game_id, t.id DESC
    """
)


class TickStore:
    """The part of the store that writes and reads ``ticks``."""

    engine: Engine

    def record_tick(self, tick: TickLike) -> bool:
        """Store a snapshot as the newest; False when the same state of the game was already stored.

        Raises UnknownGame.
        """
        snapshot = tick.snapshot
        home, away = snapshot.score
        values = {
            "game_id": snapshot.game_id,
            "digest": snapshot.digest,
            "event_at": snapshot.event_at,
            "seen_at": tick.polled_at,
            "status": snapshot.status.value,
            "period": snapshot.period,
            "elapsed_s": snapshot.t,
            "home_score": home,
            "away_score": away,
            "snapshot": snapshot.to_json(),
        }
        with transaction(self.engine) as connection:
            return bool(connection.execute(_INSERT, values).scalar_one())

    def latest_snapshot(self, game_id: str) -> Snapshot | None:
        """The snapshot stored last, or None before the first."""
        with transaction(self.engine) as connection:
            found = connection.execute(_LATEST, {"game_id": game_id}).scalar_one_or_none()
        return None if found is None else Snapshot.from_json(found)

    def unsettled_snapshots(self) -> list[Snapshot]:
        """The newest snapshot of every game past its half whose outcome is not final yet, by game id."""
        with transaction(self.engine) as connection:
            return [Snapshot.from_json(found) for found in connection.execute(_UNSETTLED).scalars()]

    def prune_ticks(self, before: datetime) -> int:
        """Delete snapshots seen before ``before``; how many. Forecasts keep their own patterns."""
        with transaction(self.engine) as connection:
            return connection.execute(text("DELETE FROM ticks WHERE seen_at < :before"), {"before": before}).rowcount
