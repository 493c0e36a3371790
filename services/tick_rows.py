"""A tick as it travels: a snapshot with what the poll knew about it, and what comes out of the stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from models.game import Snapshot, SnapshotError
from services.trace import Ids, known_ids


class TickError(ValueError):
    """Fields that are not a tick."""


class TicksUnavailable(ConnectionError):
    """The tick stream cannot be reached; nothing was published or acknowledged. Try again."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A new state of a game. ``polled_at`` is when the feed was asked, ``queued_at`` when the tick was published.

    ``source`` is recorded, simulated, archive or live; times are aware UTC, the league date is US/Eastern. ``trace`` is
    that of the poll, None for a tick that nobody traces. ``taken_at`` is when a consumer took it, and stays with it.
    """

    game_id: str
    snapshot: Snapshot
    league_date: date
    source: str
    polled_at: datetime
    tip_at: datetime | None = None
    status_text: str = ""
    queued_at: datetime | None = None
    trace: Ids | None = None
    taken_at: datetime | None = None

    @property
    def digest(self) -> str:
        """The snapshot's digest."""
        return self.snapshot.digest


@dataclass(frozen=True, slots=True)
class Delivery:
    """A tick handed to a consumer for the ``deliveries``-th time; acknowledge it once its effects are committed."""

    entry_id: str
    tick: Tick
    deliveries: int = 1


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that was given up: its fields as they were, and why."""

    entry_id: str
    reason: str
    deliveries: int
    fields: dict[str, str]


def encode(tick: Tick, queued_at: datetime) -> dict[str, str]:
    """A tick as the stream's fields. Raises TickError for a time without zone or a snapshot of another game."""
    if tick.snapshot.game_id != tick.game_id:
        raise TickError(f"tick of {tick.game_id} holds a snapshot of {tick.snapshot.game_id}")
    for name, moment in (("polled_at", tick.polled_at), ("tip_at", tick.tip_at), ("queued_at", queued_at)):
        if moment is not None and moment.tzinfo is None:
            raise TickError(f"tick of {tick.game_id}: {name} {moment} has no time zone")
    return {
        "game_id": tick.game_id,
        "snapshot": tick.snapshot.to_json(),
        "digest": tick.digest,
        "league_date": tick.league_date.isoformat(),
        "source": tick.source,
        "polled_at": tick.polled_at.isoformat(),
        "tip_at": tick.tip_at.isoformat() if tick.tip_at else "",
        "status_text": tick.status_text,
        "queued_at": queued_at.isoformat(),
        "trace_id": (tick.trace and tick.trace.trace_id) or "",
        "span_id": (tick.trace and tick.trace.span_id) or "",
    }


def decode(fields: Mapping[str, str]) -> Tick:
    """The tick in the stream's fields. Raises TickError, also when the snapshot's digest is not the one sent."""
    try:
        snapshot = Snapshot.from_json(fields["snapshot"])
        tick = Tick(
            game_id=fields["game_id"],
            snapshot=snapshot,
            league_date=date.fromisoformat(fields["league_date"]),
            source=fields["source"],
            polled_at=datetime.fromisoformat(fields["polled_at"]),
            tip_at=datetime.fromisoformat(fields["tip_at"]) if fields["tip_at"] else None,
            status_text=fields["status_text"],
            queued_at=datetime.fromisoformat(fields["queued_at"]),
            # Entries of an older release have none, or no span.
            trace=known_ids(fields.get("trace_id"), fields.get("span_id")),
        )
    except KeyError as error:
        raise TickError(f"field {error} is missing") from error
    except (SnapshotError, ValueError) as error:
        raise TickError(str(error)) from error
    if snapshot.game_id != tick.game_id or snapshot.digest != fields.get("digest"):
        raise TickError(f"tick of {tick.game_id}: the snapshot is not the one that was sent (digest or game differs)")
    return tick
