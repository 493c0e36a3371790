"""The nights the board remembers, which of them it shows, and what goes over the wire.

A night is the games of one league date. A league date not seen before takes the board; one that is known takes it back
only after the shown night has been silent for a while, so that a late settlement of yesterday does not turn the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import msgspec

from services.board_game import Game
from services.board_state import EventLike, merge, reduce, told

SILENCE = timedelta(minutes=10)
NIGHTS_KEPT = 3


class Change(Enum):
    """What an event means to a client of the board."""

    EVENT = "event"
    """Send the event itself."""
    NIGHT = "night"
    """Another night is shown now: send the whole state."""
    HIDDEN = "hidden"
    """Nothing that is shown changed."""


class Totals(msgspec.Struct, frozen=True):
    """Counts and figures of one night; means are None until something is settled. Points, home minus away."""

    games: int
    live: int
    final: int
    forecast: int
    missed: int
    void: int
    settled: int
    covered: int
    coverage: float | None
    mae: float | None
    mae_persistence: float | None


class Nights:
    """The board's memory. ``apply`` follows the stream; ``load`` adds what the database knows."""

    def __init__(self) -> None:
        self._games: dict[str, Game] = {}
        # League dates in the order in which they first took the board.
        self._dates: list[str] = []
        self._shown: str | None = None
        self._heard_at: datetime | None = None

    @property
    def league_date(self) -> str | None:
        """The league date shown, as YYYY-MM-DD; None before the first game."""
        return self._shown

    def load(self, league_date: str, games: Iterable[Game]) -> None:
        """Shows ``league_date``, with ``games`` as the database has them merged into what the stream said."""
        self._meet(league_date)
        self._shown = league_date
        for game in games:
            self._games[game.game_id] = merge(game, self._games.get(game.game_id))
        self._forget()

    def apply(self, event: EventLike) -> Change:
        """Takes one event. Raises BadEventError, and then nothing has changed."""
        game = reduce(self._games.get(event.game_id), event)
        known = self._games.get(event.game_id)
        if game is known:
            return Change.HIDDEN
        self._games[event.game_id] = game
        if game.score is None:
            return Change.HIDDEN
        league_date = game.score.league_date
        turned = False
        if event.type == "score" and league_date != self._shown:
            silent = self._heard_at is None or event.at - self._heard_at > SILENCE
            if league_date not in self._dates or silent:
                self._meet(league_date)
                self._shown = league_date
                self._forget()
                turned = True
        if league_date != self._shown:
            return Change.HIDDEN
        self._heard_at = event.at
        # A game that was hidden until its first score brings along what came before it.
        complete = known is not None and known.score is None
        return Change.NIGHT if turned or complete else Change.EVENT

    def game(self, game_id: str) -> Game:
        """One game as it stands. Raises KeyError for a game no event has named."""
        return self._games[game_id]

    def games(self, league_date: str | None = None) -> list[Game]:
        """The games of ``league_date`` (default: the one shown), by game id."""
        wanted = league_date or self._shown
        return sorted(
            (game for game in self._games.values() if game.score is not None and game.score.league_date == wanted),
            key=lambda game: game.game_id,
        )

    def _meet(self, league_date: str) -> None:
        if league_date not in self._dates:
            self._dates.append(league_date)

    def _forget(self) -> None:
        while len(self._dates) > NIGHTS_KEPT:
            oldest = next(one for one in self._dates if one != self._shown)
            self._dates.remove(oldest)
        self._games = {
            game_id: game
            for game_id, game in self._games.items()
            if game.score is None or game.score.league_date in self._dates
        }


def totals(games: Iterable[Game]) -> Totals:
    """Counts and mean errors of ``games``, of their official forecasts; one settlement a game, its newest."""
    seen = list(games)
    errors: list[float] = []
    persistence: list[float] = []
    covered = 0
    for game in seen:
        if game.forecast is None or game.settlement is None:
            continue
        actual, forecast = game.settlement.actual, game.forecast
        errors.append(abs(forecast.point - actual))
        persistence.append(abs(forecast.persistence - actual))
        inside = game.settlement.covered
        covered += forecast.lower <= actual <= forecast.upper if inside is None else inside
    settled = len(errors)
    statuses = [game.score.status for game in seen if game.score is not None]
    ends = [game.disposition.disposition for game in seen if game.disposition is not None]
    return Totals(
        games=len(seen),
        live=statuses.count("live"),
        final=statuses.count("final"),
        forecast=sum(game.forecast is not None for game in seen),
        missed=ends.count("missed"),
        void=ends.count("void"),
        settled=settled,
        covered=covered,
        coverage=covered / settled if settled else None,
        mae=sum(errors) / settled if settled else None,
        mae_persistence=sum(persistence) / settled if settled else None,
    )


def night_body(league_date: str | None, games: Iterable[Game]) -> dict[str, Any]:
    """One night as JSON values: {league_date, source, totals, games}."""
    seen = list(games)
    sources = sorted({game.score.source for game in seen if game.score is not None})
    return {
        "league_date": league_date,
        "source": sources[0] if len(sources) == 1 else ("mixed" if sources else None),
        "totals": msgspec.to_builtins(totals(seen)),
        "games": [msgspec.to_builtins(game) for game in seen],
    }


def state_text(nights: Nights, last_id: str) -> str:
    """The present state as one message; ``last_id`` is the newest event it holds."""
    body = {"type": "state", "last_id": last_id, **night_body(nights.league_date, nights.games())}
    return msgspec.json.encode(body).decode()


def event_text(event: EventLike, game: Game) -> str:
    """One event as one message, with what it changed in ``game``."""
    data = told(game, event)
    body = {"id": event.id, "type": event.type, "game_id": event.game_id, "at": event.at, "data": data}
    return msgspec.json.encode(body).decode()
