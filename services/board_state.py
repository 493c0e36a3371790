"""What the board shows, as a pure function of the events so far.

``reduce`` takes one game's state and one event and gives the next state; seeing an event twice changes nothing, and a
lower revision never replaces a higher one. ``merge`` joins what the database knows with what the stream said.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from services.board_game import (
    Disposition,
    Forecast,
    Game,
    Pattern,
    Score,
    Settlement,
    forecast_added,
    joined,
    later,
)
from services.trace import Ids

Part = TypeVar("Part")
EVENT_TYPES = ("score", "pattern", "forecast", "settlement", "disposition")


class BadEventError(ValueError):
    """An event whose data is not what its type promises."""


class EventLike(Protocol):
    """An event of the broadcast, as far as the board needs it."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def game_id(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def data(self) -> dict[str, Any]: ...
    @property
    def trace(self) -> Ids | None: ...


class Event(msgspec.Struct, frozen=True):
    """An event with its stream id; ``at`` is the wall time of its publication."""

    id: str
    type: Literal["score", "pattern", "forecast", "settlement", "disposition"]
    game_id: str
    at: datetime
    data: dict[str, Any]
    trace: Ids | None = None


def reduce(game: Game | None, event: EventLike) -> Game:
    """The game after ``event``. Raises BadEventError when its data cannot be read."""
    before = game or Game(event.game_id)
    if event.type == "score":
        return msgspec.structs.replace(before, score=_read(event, Score), updated_at=event.at)
    if event.type == "pattern":
        pattern = _read(event, Pattern)
        if len(pattern.margins) != pattern.minute:
            raise BadEventError(f"event {event.id}: minute {pattern.minute} but {len(pattern.margins)} margins")
        return msgspec.structs.replace(before, pattern=pattern, updated_at=event.at)
    if event.type == "forecast":
        forecast = _read(event, Forecast)
        if not forecast.lower <= forecast.point <= forecast.upper:
            raise BadEventError(
                f"event {event.id}: {forecast.lower} <= {forecast.point} <= {forecast.upper} does not hold"
            )
        return forecast_added(before, forecast, event.at)
    if event.type == "settlement":
        settlement = _read(event, Settlement)
        if before.settlement is not None and settlement.revision < before.settlement.revision:
            return before
        return msgspec.structs.replace(before, settlement=settlement, updated_at=event.at)
    if event.type == "disposition":
        return msgspec.structs.replace(before, disposition=_read(event, Disposition), updated_at=event.at)
    raise BadEventError(f"event {event.id}: unknown type {event.type[:32]!r}; known: {', '.join(EVENT_TYPES)}")


def told(game: Game, event: EventLike) -> Any:
    """What ``event`` changed in ``game``, as clients are told: a forecast itself, of any other part the whole."""
    return _read(event, Forecast) if event.type == "forecast" else getattr(game, event.type)


def merge(stored: Game, streamed: Game | None) -> Game:
    """``stored`` (the database) and ``streamed`` (the events) as one: higher revisions and later scores win."""
    if streamed is None:
        return stored
    newer = streamed.updated_at is None or (stored.updated_at is not None and stored.updated_at > streamed.updated_at)
    first, second = (stored, streamed) if newer else (streamed, stored)
    return Game(
        stored.game_id,
        score=first.score or second.score,
        pattern=first.pattern or second.pattern,
        forecast=later(streamed.forecast, stored.forecast),
        latest=later(streamed.latest, stored.latest),
        trajectory=joined(stored.trajectory, streamed.trajectory),
        settlement=_higher(streamed.settlement, stored.settlement),
        disposition=stored.disposition or streamed.disposition,
        updated_at=first.updated_at or second.updated_at,
    )


def _higher(one: Settlement | None, other: Settlement | None) -> Settlement | None:
    if one is None or other is None:
        return one or other
    return one if one.revision >= other.revision else other


def _read(event: EventLike, kind: type[Part]) -> Part:
    try:
        return msgspec.convert(event.data, kind)
    except msgspec.ValidationError as error:
        raise BadEventError(f"event {event.id} ({event.type} of {event.game_id}): {error}") from error
