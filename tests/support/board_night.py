"""A made-up night for the board: events as the live path publishes them, and a store and a stream in memory."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from services.board_game import Game
from services.board_reads import SourceDownError
from services.board_state import Event, EventLike
from services.hub import id_key

TIP = datetime(2023, 2, 4, 0, 0, tzinfo=UTC)
PAIRS = (("BOS", "PHX"), ("IND", "SAC"), ("DET", "CHA"), ("HOU", "TOR"), ("MEM", "ORL"), ("SAS", "PHI"), ("UTA", "ATL"),
         ("DEN", "GSW"))  # fmt: skip


class MemoryStream:
    """An event source in memory; ``down`` makes it unreachable, ``unreadable`` ids are left out of its answers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.unreadable: set[str] = set()
        self.down = False

    def add(self, kind: Any, game_id: str, data: dict[str, Any], at: datetime | None = None) -> Event:
        """Appends an event with the next id; ``at`` is now unless given."""
        event = Event(f"{1001 + len(self.events)}-0", kind, game_id, at or datetime.now(UTC), data)
        self.events.append(event)
        return event

    async def read_after(self, last_id: str, *, block_ms: int, count: int) -> tuple[Sequence[EventLike], str]:
        """Events with a later id, and where to read on; waits a moment when there are none and ``block_ms`` allows."""
        if self.down:
            raise SourceDownError("the stream was taken down")
        found = [event for event in self.events if id_key(event.id) > id_key(last_id)][:count]
        if not found and block_ms:
            await asyncio.sleep(0.01)
        readable = [event for event in found if event.id not in self.unreadable]
        return readable, found[-1].id if found else last_id


class MemoryStore:
    """A night store in memory; ``down`` makes it unreachable."""

    def __init__(self) -> None:
        self.night: str | None = None
        self.by_date: dict[str, list[Game]] = {}
        self.kept_reports: dict[int, dict[str, Any]] = {}
        self.down = False

    def _check(self) -> None:
        if self.down:
            raise SourceDownError("the store was taken down")

    def ping(self) -> None:
        self._check()

    def newest_night(self) -> str | None:
        self._check()
        return self.night

    def nights(self, limit: int = 60) -> list[str]:
        self._check()
        return sorted(self.by_date, reverse=True)[:limit]

    def games(self, league_date: str) -> list[Game]:
        self._check()
        return self.by_date.get(league_date, [])

    def reports(self, limit: int = 100) -> list[dict[str, Any]]:
        self._check()
        return list(self.kept_reports.values())[:limit]

    def report(self, report_id: int) -> dict[str, Any] | None:
        self._check()
        return self.kept_reports.get(report_id)


def score(home: str = "BOS", away: str = "PHX", **changes: Any) -> dict[str, Any]:
    """Data of a score event: a live game in the second quarter unless changed."""
    return {
        "league_date": "2023-02-03", "home": home, "away": away, "status": "live", "status_text": "Q2 6:00",
        "period": 2, "clock": "PT06M00.00S", "home_score": 44, "away_score": 40, "elapsed_s": 1080.0,
        "source": "recorded",
    } | changes  # fmt: skip


def forecast(**changes: Any) -> dict[str, Any]:
    """Data of a forecast event."""
    return {
        "minute": 18, "revision": 0, "point": 5.2, "lower": -6.1, "upper": 16.4, "alpha": 0.05, "persistence": 4,
        "model_version": "3", "prediction_id": "7c0ffb8e-0000-4000-8000-000000000001", "similar": [],
        "components": {"dejavu": 4.8, "lstm": 5.6}, "weights": {"dejavu": 0.3, "lstm": 0.6, "persistence": 0.1},
    } | changes  # fmt: skip


def settlement(actual: int, **changes: Any) -> dict[str, Any]:
    """Data of a settlement event."""
    return {
        "state": "final", "revision": 0, "actual": actual, "home_24": 55 + actual, "away_24": 55, "error": 0.0,
        "covered": True, "point": 5.2, "lower": -6.1, "upper": 16.4,
    } | changes  # fmt: skip


def night(seed: int = 417, pairs: Sequence[tuple[str, str]] = PAIRS) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(type, game_id, data) of a whole night, cut off while some games are still on: for looking at the page."""
    chance = random.Random(seed)
    for number, (home, away) in enumerate(pairs):
        yield from _game(chance, f"00222007{60 + number}", home, away, stop=(48, 48, 30, 24, 21, 19, 11, 0)[number % 8])


def _game(chance: random.Random, game_id: str, home: str, away: str, stop: int) -> Iterator[tuple[str, str, Any]]:
    path, points = _path(chance, 25), 0
    for minute in range(1, min(stop, 24) + 1):
        yield "pattern", game_id, {"minute": minute, "margins": path[1 : minute + 1]}
    base = round(2.3 * stop)
    margin = path[min(stop, 24)] if stop < 48 else path[24] + chance.randint(-6, 6)
    points = max(0, base - margin // 2)
    yield (
        "score",
        game_id,
        score(home, away, home_score=points + margin, away_score=points, source="simulated", **_where(stop)),
    )
    if stop == 30:
        yield "disposition", game_id, {"disposition": "missed", "reason": "first seen after the half had ended"}
        return
    for minute in range(min(stop, 23) + 1 if stop else 0):
        now, half_width = path[minute], 2.3 * math.sqrt(25 - minute)
        middle = now * minute / 24 + chance.uniform(-1.0, 1.0)
        low, high = middle - half_width - 0.1, middle + half_width + 0.1
        made = forecast(
            minute=minute, point=middle, lower=low, upper=high, persistence=now,
            revision=int(home == "MEM" and minute == 18), similar=[_similar(chance, path, minute) for _ in range(5)],
            components={"dejavu": now + 0.8, "lstm": middle}, distribution=bell(middle, half_width / 1.96),
        )  # fmt: skip
        yield "forecast", game_id, made
        if minute == 18:
            official = made
    if stop >= 24:
        state = "provisional" if stop == 24 else "final"
        end, middle, low, high = path[24], official["point"], official["lower"], official["upper"]
        covered = low <= end <= high
        yield (
            "settlement",
            game_id,
            settlement(end, state=state, covered=covered, point=middle, lower=low, upper=high),
        )


def bell(mean: float, sd: float) -> dict[str, Any]:
    """A distribution as the forecaster gives it: 70 whole margins around the mean."""
    first = round(mean) - 35
    density = [math.exp(-(((first + place - mean) / sd) ** 2) / 2) for place in range(70)]
    intervals = [
        {"level": level, "lower": mean - z * sd, "upper": mean + z * sd}
        for level, z in ((0.5, 0.674), (0.8, 1.282), (0.9, 1.645), (0.95, 1.96))
    ]
    return {"first": first, "probabilities": [one / sum(density) for one in density], "intervals": intervals}


def _path(chance: random.Random, length: int) -> list[int]:
    path = [0]
    while len(path) < length:
        path.append(path[-1] + chance.choice((-4, -3, -2, -2, -1, 0, 0, 0, 1, 2, 2, 3, 4)))
    return path


def _similar(chance: random.Random, path: list[int], minute: int) -> dict[str, Any]:
    home, away = chance.sample(("LAL", "MIA", "NYK", "CHI", "DAL", "POR", "OKC", "MIL"), 2)
    past = [0, *(margin + chance.randint(-2, 2) for margin in path[1 : minute + 1])]
    tail = _path(chance, 25 - minute)
    past += [past[minute] + step for step in tail[1:]]
    year, month = chance.randint(2014, 2021), chance.choice((1, 2, 3, 11, 12))
    return {
        "game_id": "0021400001", "date": f"{year}-{month:02d}-{chance.randint(1, 28):02d}", "home": home, "away": away,
        "change": past[24] - past[minute], "margin_24": past[24], "path": past,
    }  # fmt: skip


def _where(stop: int) -> dict[str, Any]:
    if stop >= 48:
        return {"status": "final", "status_text": "Final", "period": 4, "elapsed_s": 2880.0}
    if stop == 24:
        return {"status_text": "Half", "period": 2, "elapsed_s": 1440.0}
    if stop == 0:
        return {"status": "scheduled", "status_text": "10:00 pm ET", "period": 0, "elapsed_s": 0.0}
    period = stop // 12 + 1
    return {"status_text": f"Q{period} {12 * period - stop}:00", "period": period, "elapsed_s": stop * 60.0}
