"""What the board shows, as a pure function of the events so far.

``reduce`` takes one game's state and one event and gives the next state; seeing an event twice changes nothing, and a
lower revision never replaces a higher one. ``merge`` joins what the database knows with what the stream said.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

import msgspec

Part = TypeVar("Part")
Revised = TypeVar("Revised", "Forecast", "Settlement")
StatusName = Literal["scheduled", "live", "final", "postponed"]
EVENT_TYPES = ("score", "pattern", "forecast", "settlement", "disposition")


class BadEventError(ValueError):
    """An event whose data is not what its type promises."""


class Score(msgspec.Struct, frozen=True):
    """The scoreboard's line of a game; ``elapsed_s`` in game seconds, ``period`` 0 before tip-off."""

    league_date: str
    home: str
    away: str
    status: StatusName
    status_text: str
    period: int
    clock: str | None
    home_score: int
    away_score: int
    elapsed_s: float
    source: str


class Pattern(msgspec.Struct, frozen=True):
    """margin(1)..margin(minute) in points, home minus away."""

    minute: int
    margins: tuple[float, ...]


class SimilarGame(msgspec.Struct, frozen=True):
    """A past game; ``change`` from the pattern's last minute to 24, ``path`` margin at minutes 0..24."""

    date: str
    home: str
    away: str
    change: float
    margin_24: float
    path: tuple[float, ...] = ()


class Forecast(msgspec.Struct, frozen=True):
    """The official forecast of margin(24), made at ``minute``; ``persistence`` is the margin at that minute."""

    minute: int
    revision: int
    point: float
    lower: float
    upper: float
    alpha: float
    persistence: float
    model_version: str
    prediction_id: str
    similar: tuple[SimilarGame, ...] = ()
    components: dict[str, float | None] = {}
    weights: dict[str, float | None] = {}
    committed_at: str | None = None


class Settlement(msgspec.Struct, frozen=True):
    """The outcome beside the forecast; ``actual`` is margin(24)."""

    state: Literal["provisional", "final"]
    revision: int
    actual: float
    home_24: int | None
    away_24: int | None
    error: float | None = None
    covered: bool | None = None
    point: float | None = None
    lower: float | None = None
    upper: float | None = None


class Disposition(msgspec.Struct, frozen=True):
    """How the night ended for this game."""

    disposition: Literal["forecast", "missed", "void"]
    reason: str | None = None


class Game(msgspec.Struct, frozen=True):
    """Everything the board knows of one game; a part is None until its first event."""

    game_id: str
    score: Score | None = None
    pattern: Pattern | None = None
    forecast: Forecast | None = None
    settlement: Settlement | None = None
    disposition: Disposition | None = None
    updated_at: datetime | None = None


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


class Event(msgspec.Struct, frozen=True):
    """An event with its stream id; ``at`` is the wall time of its publication."""

    id: str
    type: Literal["score", "pattern", "forecast", "settlement", "disposition"]
    game_id: str
    at: datetime
    data: dict[str, Any]


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
        if before.forecast is not None and forecast.revision < before.forecast.revision:
            return before
        return msgspec.structs.replace(before, forecast=forecast, updated_at=event.at)
    if event.type == "settlement":
        settlement = _read(event, Settlement)
        if before.settlement is not None and settlement.revision < before.settlement.revision:
            return before
        return msgspec.structs.replace(before, settlement=settlement, updated_at=event.at)
    if event.type == "disposition":
        return msgspec.structs.replace(before, disposition=_read(event, Disposition), updated_at=event.at)
    raise BadEventError(f"event {event.id}: unknown type {event.type[:32]!r}; known: {', '.join(EVENT_TYPES)}")


def merge(stored: Game, streamed: Game | None) -> Game:
    """``stored`` (the database) and ``streamed`` (the events) as one: higher revisions and later scores win."""
    if streamed is None:
        return stored
    later = streamed.updated_at is None or (stored.updated_at is not None and stored.updated_at > streamed.updated_at)
    first, second = (stored, streamed) if later else (streamed, stored)
    return Game(
        stored.game_id,
        score=first.score or second.score,
        pattern=first.pattern or second.pattern,
        forecast=_higher(streamed.forecast, stored.forecast),
        settlement=_higher(streamed.settlement, stored.settlement),
        disposition=stored.disposition or streamed.disposition,
        updated_at=first.updated_at or second.updated_at,
    )


def _higher(one: Revised | None, other: Revised | None) -> Revised | None:
    if one is None or other is None:
        return one or other
    return one if one.revision >= other.revision else other


def _read(event: EventLike, kind: type[Part]) -> Part:
    try:
        return msgspec.convert(event.data, kind)
    except msgspec.ValidationError as error:
        raise BadEventError(f"event {event.id} ({event.type} of {event.game_id}): {error}") from error
