"""Talking to a running replay: what it shows, starting its clock, asking it to misbehave."""

from __future__ import annotations

import time
from datetime import date, datetime
from typing import Final

import httpx
import msgspec

_RETRY_S: Final = 0.1


class ReplayError(RuntimeError):
    """The replay cannot be reached or refuses; the message says which."""


class GameState(msgspec.Struct, frozen=True):
    """One game's times on the feed's clock (aware UTC); ``tip_at`` is the first play, not the announced time."""

    game_id: str
    home: str
    away: str
    scheduled_at: datetime
    tip_at: datetime
    half_at: datetime
    final_at: datetime
    postponed: bool


class ReplayState(msgspec.Struct, frozen=True):
    """What ``/replay/state`` says; ``finished`` when nothing more will happen in any game, at ``ends_at``."""

    league_date: date
    source: str
    speed: float
    feed_now: datetime
    started: bool
    finished: bool
    ends_at: datetime
    games: tuple[GameState, ...]


class ReplayControl:
    """Client of the replay's own routes. ``root_url`` is without a path, such as http://127.0.0.1:8899."""

    def __init__(self, root_url: str, timeout_s: float = 5.0) -> None:
        self._session = httpx.Client(base_url=root_url, timeout=timeout_s)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def state(self) -> ReplayState:
        """Where the night is. Raises ReplayError."""
        return self._state("GET", "/replay/state")

    def start(self) -> ReplayState:
        """Let the clock run, if it does not yet. Raises ReplayError."""
        return self._state("POST", "/replay/start")

    def misbehave(self, rules: str) -> None:
        """Add rules in their short form or as JSON; an empty text ends faulty answers. Raises ReplayError."""
        self._ask("POST", "/replay/misbehave", rules)

    def wait_ready(self, timeout_s: float) -> ReplayState:
        """The state as soon as the replay answers. Raises ReplayError when it does not within ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.state()
            except ReplayError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_RETRY_S)

    def _state(self, method: str, path: str) -> ReplayState:
        answer = self._ask(method, path)
        try:
            return msgspec.json.decode(answer, type=ReplayState)
        except msgspec.DecodeError as error:
            raise ReplayError(f"{self._session.base_url}{path} is not a replay of this project: {error}") from error

    def _ask(self, method: str, path: str, body: str = "") -> bytes:
        try:
            answer = self._session.request(method, path, content=body)
        except httpx.TransportError as error:
            raise ReplayError(f"no replay answers at {self._session.base_url} ({error}): is it running?") from error
        if answer.status_code != 200:
            raise ReplayError(f"the replay refuses {method} {path} with {answer.status_code}: {answer.text.strip()}")
        return answer.content
