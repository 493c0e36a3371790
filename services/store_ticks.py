"""Ticks: every distinct snapshot that was seen of a game."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Engine, Row, text

from models.game import Snapshot
from services.database import Overtaken, transaction
from services.store_games import lock_game


class TickLike(Protocol):
    """What the store needs of a tick; ``polled_at`` is when the feed was asked, aware UTC."""

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def polled_at(self) -> datetime: ...


class StoredTick(NamedTuple):
    """A snapshot as ``ticks`` holds it; ``polled_at`` is the poll that made it the newest, aware UTC.

    Of one game, the newest has the highest id and the latest poll, also when a state came back or a clock was set back.
    """

    tick_id: int
    snapshot: Snapshot
    polled_at: datetime


# A state that comes back (a correction taken back) becomes the newest again, first seen when it was.
_INSERT = text(
    """
    INSERT INTO ticks (game_id, digest, event_at, seen_at, status, period, elapsed_s, home_score, away_score, snapshot,
                       polled_at)
    SELECT :game_id, :digest, :event_at, :polled_at, :status, :period, :elapsed_s, :home_score, :away_score,
           CAST(:snapshot AS jsonb),
           CASE WHEN max(before.polled_at) > :polled_at THEN max(before.polled_at) + interval '1 microsecond'
                ELSE :polled_at END
    FROM ticks before WHERE before.game_id = :game_id
    ON CONFLICT (game_id, digest) DO UPDATE
        SET id = DEFAULT, snapshot = excluded.snapshot, polled_at = excluded.polled_at
    RETURNING id, polled_at, (xmax = 0) AS inserted
    """
)
# The text form keeps every digit, so the snapshot read back is equal to the one written.
_LATEST = text("SELECT id, snapshot::text, polled_at FROM ticks WHERE game_id = :game_id ORDER BY id DESC LIMIT 1")
_NEWEST = text("SELECT max(id) FROM ticks WHERE game_id = :game_id")
_UNSETTLED = text(
    """
    SELECT DISTINCT ON (t.game_id) t.id, t.snapshot::text, t.polled_at
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
        with transaction(self.engine) as connection:
            return bool(connection.execute(_INSERT, _values(tick)).one().inserted)

    def advance(self, tick: TickLike, *, after: int | None) -> StoredTick:
        """Store a snapshot as the newest, if ``after`` (None: none) is the newest tick now; what it is from now on.

        So what was judged against one state is stored behind that state alone, however many judge at once.
        Raises Overtaken, UnknownGame.
        """
        with transaction(self.engine) as connection:
            lock_game(connection, tick.snapshot.game_id)
            expect_newest(connection, tick.snapshot.game_id, after)
            made = connection.execute(_INSERT, _values(tick)).one()
        return StoredTick(int(made.id), tick.snapshot, made.polled_at)

    def latest_tick(self, game_id: str) -> StoredTick | None:
        """The tick stored last, or None before the first."""
        with transaction(self.engine) as connection:
            found = connection.execute(_LATEST, {"game_id": game_id}).one_or_none()
        return None if found is None else _stored(found)

    def newest_tick_id(self, game_id: str) -> int | None:
        """The id of the tick stored last, or None before the first: whether what is known of a game is its state."""
        with transaction(self.engine) as connection:
            return _newest(connection, game_id)

    def latest_snapshot(self, game_id: str) -> Snapshot | None:
        """The snapshot stored last, or None before the first."""
        found = self.latest_tick(game_id)
        return None if found is None else found.snapshot

    def unsettled_ticks(self) -> list[StoredTick]:
        """The newest tick of every game past its half whose outcome is not final yet, by game id."""
        with transaction(self.engine) as connection:
            return [_stored(found) for found in connection.execute(_UNSETTLED)]

    def prune_ticks(self, before: datetime) -> int:
        """Delete snapshots seen before ``before``; how many. Forecasts keep their own patterns."""
        with transaction(self.engine) as connection:
            return connection.execute(text("DELETE FROM ticks WHERE seen_at < :before"), {"before": before}).rowcount


def expect_newest(connection: Connection, game_id: str, tick_id: int | None) -> None:
    """For a transaction that holds the game's row. Raises Overtaken unless the game's newest tick is ``tick_id``."""
    newest = _newest(connection, game_id)
    if newest != tick_id:
        raise Overtaken(f"game {game_id}: tick {newest} is the newest now, not {tick_id}; read it and judge anew")


def _newest(connection: Connection, game_id: str) -> int | None:
    found = connection.execute(_NEWEST, {"game_id": game_id}).scalar_one()
    return None if found is None else int(found)


def _stored(row: Row[Any]) -> StoredTick:
    return StoredTick(int(row.id), Snapshot.from_json(row.snapshot), row.polled_at)


def _values(tick: TickLike) -> dict[str, Any]:
    snapshot = tick.snapshot
    home, away = snapshot.score
    return {
        "game_id": snapshot.game_id,
        "digest": snapshot.digest,
        "event_at": snapshot.event_at,
        "polled_at": tick.polled_at,
        "status": snapshot.status.value,
        "period": snapshot.period,
        "elapsed_s": snapshot.t,
        "home_score": home,
        "away_score": away,
        "snapshot": snapshot.to_json(),
    }
