"""Faults that lie in what is stored: games, reports and entries planted in tables and streams of a running stack."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import redis
from sqlalchemy import text

from models.alarm_streams import references
from services.store import BackupRow, ModelVersion, Store
from tests.support.lifecycle_world import honest
from tests.support.settled_night import NIGHT, add_forecast, add_game, add_outcome, add_tick

DRIFT_DIGEST = "ab" * 32
WAITING_GAME, PLAYING_GAME, UNSAVED_GAME = 99, 98, 97


def misses(store: Store) -> None:
    """Ten games in a row whose outcome lies far outside the interval."""
    for number in range(10):
        settle(store, number, 40)


def covered(store: Store) -> None:
    """Thirty games inside."""
    for number in range(10, 40):
        settle(store, number, 6)


def settle(store: Store, number: int, margin: int) -> None:
    """An official forecast of 4.5 points, give or take 11.5, and what the game came to."""
    add_game(store, number)
    add_forecast(store, number)
    add_outcome(store, number, margin)


def drifted(store: Store) -> None:
    """A dozen games of a line whose errors are known, all of them far too high and still inside their intervals."""
    known = references(honest())
    version = ModelVersion(
        "halftime", "7", DRIFT_DIGEST, "f" * 16, None, "trained", NIGHT, NIGHT, "c1", reference=known
    )
    store.record_version(version)
    for number in range(40, 52):
        _of_line(store, number, 22)


def as_before(store: Store) -> None:
    """Forty games of that line with small errors to both sides."""
    for number in range(52, 92):
        _of_line(store, number, 4 + (-1) ** number)


def _of_line(store: Store, number: int, margin: int) -> None:
    add_game(store, number)
    add_forecast(store, number, point=4.0, half_width=30.0, model_version="7", model_digest=DRIFT_DIGEST)
    add_outcome(store, number, margin)


def forgotten_half(store: Store) -> None:
    """A forecast whose half was over half an hour ago, and no outcome."""
    add_game(store, WAITING_GAME)
    add_forecast(store, WAITING_GAME)
    seen_at = datetime.now(UTC) - timedelta(minutes=31)
    add_tick(store, WAITING_GAME, period=2, t=1440.0, ended=True, seen_at=seen_at)


def old_report(store: Store) -> None:
    """The newest report of a night is older than a day and two hours."""
    store.record_report("night", NIGHT, {"planted": "old"})
    rewrite(store, "UPDATE reports SET created_at = now() - interval '27 hours' WHERE kind = 'night'")


def new_report(store: Store) -> None:
    """A report of a night, made now."""
    store.record_report("night", NIGHT, {"planted": "new"})


def old_backups(store: Store) -> None:
    """The newest backup is older than a day and two hours, and no backup was restored for more than eight days."""
    # Something that no backup has.
    add_game(store, UNSAVED_GAME)
    add_forecast(store, UNSAVED_GAME)
    _backup(store, "backup", timedelta(days=10))
    _backup(store, "restore_test", timedelta(days=9))
    _backup(store, "backup", timedelta(days=8, hours=12))


def new_backups(store: Store) -> None:
    """A backup that was made and restored just now."""
    _backup(store, "backup", timedelta(0))
    _backup(store, "restore_test", timedelta(0))


def _backup(store: Store, kind: Literal["backup", "restore_test"], ago: timedelta) -> None:
    made_at = datetime.now(UTC) - ago
    store.record_backup(
        BackupRow(kind, made_at, f"halftime-{made_at:%Y%m%dT%H%M%SZ}.dump", 1, "0" * 64, 1, 1, 1.0, True)
    )


def settled_at_last(store: Store) -> None:
    """The outcome that ``forgotten_half`` waits for."""
    add_outcome(store, WAITING_GAME, 6)


def playing(store: Store) -> None:
    """A game in its first quarter, seen just now."""
    add_game(store, PLAYING_GAME)
    add_tick(store, PLAYING_GAME, period=1, t=300.0)


def dead_letter(client: redis.Redis) -> None:
    """An entry that was put aside."""
    client.xadd("halftime:ticks:dead", {"why": "planted"})


def poison(client: redis.Redis) -> None:
    """An entry of the tick stream that nobody can read, put aside."""
    client.xadd("halftime:ticks", {"snapshot": "not a snapshot"})


def no_dead_letters(client: redis.Redis) -> None:
    """What was put aside is gone."""
    client.delete("halftime:ticks:dead")


def rewrite(store: Store, statement: str, **values: Any) -> None:
    """As the owner of the tables, past the triggers that keep them append-only: for planting a past."""
    with store.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(statement), values)
