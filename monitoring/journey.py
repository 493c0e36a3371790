"""One forecast's whole way, put together from what the platform keeps anyway: rows of the tables and lines of logs.

No collector of traces is asked. A step that left no record is named as missing and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

StepName = Literal[
    "played", "polled", "queued", "taken", "asked", "made", "answered", "committed", "told", "broadcast", "received",
    "settled",
]  # fmt: skip

# In the order of the way: what happened, for a person, and where it is written down.
STEPS: Final[dict[StepName, tuple[str, str]]] = {
    "played": ("newest play (feed's clock)", "ticks"),
    "polled": ("the feed is asked", "forecasts"),
    "queued": ("onto the tick stream", "forecasts"),
    "taken": ("the predictor takes it", "log of the predictor"),
    "asked": ("the forecaster is asked", "predictions"),
    "made": ("forecast made and on disk", "log of predictions"),
    "answered": ("the predictor has it", "forecasts"),
    "committed": ("committed to PostgreSQL", "forecasts"),
    "told": ("onto the event stream", "log of the predictor"),
    "broadcast": ("the board hands it out", "log of the board"),
    "received": ("a client has it", "report client_times"),
    "settled": ("it meets its outcome", "settlements"),
}


@dataclass(frozen=True, slots=True)
class JourneyRow:
    """A forecast as the tables have it; times are aware UTC, None where a step was not seen.

    ``played_at`` is the wall time of the newest play in the snapshot by the feed's own clock, ``elapsed_s`` its game
    seconds; ``source`` is recorded, archive, simulated or live; points are home minus away.
    """

    game_id: str
    home: str
    away: str
    source: str
    league_date: date
    minute: int
    revision: int
    trace_id: str | None
    request_id: str
    model_version: str
    point: float
    elapsed_s: float | None
    played_at: datetime | None
    polled_at: datetime | None
    queued_at: datetime | None
    asked_at: datetime
    answered_at: datetime
    committed_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Heard:
    """What logs and a listening client know of a forecast beside its rows; aware UTC, None where nothing was kept."""

    taken_at: datetime | None = None
    made_at: datetime | None = None
    told_at: datetime | None = None
    broadcast_at: datetime | None = None
    received_at: datetime | None = None


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Step(_Model):
    """One step; ``gap_ms`` is wall time since the step before, None for the first and across two clocks.

    ``clock`` is whose time ``at`` is: a replay's feed has its own, at which the game was once played.
    """

    name: StepName
    at: datetime
    gap_ms: float | None
    clock: Literal["wall", "feed"]
    known_from: str

    @property
    def words(self) -> str:
        """What happened."""
        return STEPS[self.name][0]


class Journey(_Model):
    """One forecast's way. ``total_ms`` runs from the poll to the last step before the settlement; ``missing`` are the
    steps that left no record."""

    game_id: str
    home: str
    away: str
    minute: int
    revision: int
    trace_id: str | None
    request_id: str
    model_version: str
    point: float
    elapsed_s: float | None
    steps: tuple[Step, ...]
    missing: tuple[StepName, ...]
    total_ms: float | None

    @property
    def quick(self) -> tuple[Step, ...]:
        """The steps in wall time from the poll on, without the settlement, for which the game itself is waited for."""
        return tuple(step for step in self.steps if step.name not in ("played", "settled"))


def build_journey(row: JourneyRow, heard: Heard | None = None) -> Journey:
    """The way of one forecast. The same rows and lines give the same journey.

    A gap below zero stays as it is: two machines' clocks disagree, or the forecaster gave an answer it had kept.
    """
    times = _times(row, heard or Heard())
    steps = tuple(_steps(times, live=row.source == "live"))
    ways = [at for name, at in times.items() if at is not None and name not in ("played", "settled")]
    # Without the poll, nothing says when the way began.
    total = None if row.polled_at is None else _ms(row.polled_at, max(ways))
    same = ("game_id", "home", "away", "minute", "revision", "trace_id", "request_id", "model_version", "point")
    return Journey(
        **{name: getattr(row, name) for name in (*same, "elapsed_s")},
        steps=steps,
        missing=tuple(name for name, at in times.items() if at is None),
        total_ms=total,
    )


def _times(row: JourneyRow, heard: Heard) -> dict[StepName, datetime | None]:
    return {
        "played": row.played_at,
        "polled": row.polled_at,
        "queued": row.queued_at,
        "taken": heard.taken_at,
        "asked": row.asked_at,
        "made": heard.made_at,
        "answered": row.answered_at,
        "committed": row.committed_at,
        "told": heard.told_at,
        "broadcast": heard.broadcast_at,
        "received": heard.received_at,
        "settled": row.settled_at,
    }


def _steps(times: dict[StepName, datetime | None], *, live: bool) -> Iterator[Step]:
    before: datetime | None = None
    for name, at in times.items():
        if at is None:
            continue
        feed = name == "played" and not live
        gap = None if before is None else _ms(before, at)
        yield Step(name=name, at=at, gap_ms=gap, clock="feed" if feed else "wall", known_from=STEPS[name][1])
        before = None if feed else at


def _ms(start: datetime, end: datetime) -> float:
    """Microseconds are kept: more digits would only be noise of the subtraction."""
    return round((end - start).total_seconds() * 1000.0, 3)
