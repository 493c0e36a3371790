"""Games forecast and settled through a load balancer: what callers were told, and what the tables say of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import httpx
from sqlalchemy import text

from services.store import Store
from tests.support.load import Answer, Ask
from tests.support.rows import forecast_row, game_row
from tests.support.running_forecaster import PATTERN
from tests.support.waiting import until

Counted = Counter[tuple[str, str, int]]
"""(method, path, status) -> how many requests."""


@dataclass(frozen=True)
class Settled:
    """A game's official forecast and its outcome."""

    game_id: str
    point: float
    lower: float
    upper: float
    persistence: float
    actual: int


class Callers:
    """Asks one thing after the other, and keeps what was answered."""

    def __init__(self, url: str) -> None:
        self.answers: list[Answer] = []
        self._http = httpx.Client(base_url=url, timeout=20)

    def ask(self, ask: Ask) -> httpx.Response:
        """The answer, of any status."""
        got = self._http.request(ask.method, ask.path, json=ask.body)
        self.answers.append(Answer(ask, got.status_code, got.elapsed.total_seconds(), got.text))
        return got

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()


def counted(answers: Iterable[Answer]) -> Counted:
    """What callers got."""
    return Counter((one.ask.method, one.ask.path, one.status) for one in answers)


def forecast_games(callers: Callers, store: Store, numbers: range) -> list[Settled]:
    """An official forecast for each game, asked of the balancer, with the outcome that the game will have: at some
    distance to the point, and every sixth time outside the interval."""
    games = []
    for number in numbers:
        game_id = f"0022290{number:03d}"
        store.upsert_games([game_row(game_id, source="simulated", away="NYK")])
        pattern = [margin + number % 7 for margin in PATTERN]
        body = {"pattern": pattern, "game_id": game_id, "home": "BOS", "away": "NYK", "request_id": f"game-{number}"}
        told = callers.ask(Ask("POST", "/predict", body)).json()
        until(lambda identity=told["prediction_id"]: store.prediction(identity) is not None)
        row = store.prediction(told["prediction_id"])
        assert row is not None
        store.record_forecast(row, forecast_row(game_id, persistence=pattern[-1]))
        actual = (
            math.ceil(told["interval_upper"]) + 2 if number % 6 == 0 else round(told["point_forecast"]) + number % 5
        )
        interval = told["interval_lower"], told["interval_upper"]
        games.append(Settled(game_id, told["point_forecast"], *interval, pattern[-1], actual))
    return games


def outcome(game: Settled, *, off: int = 0) -> Ask:
    """The outcome told, ``off`` by so many points."""
    return Ask("POST", "/record_actual", {"game_id": game.game_id, "actual_differential": game.actual + off})


_SETTLED = text(
    """
    SELECT f.game_id, p.point, p.lower, p.upper, f.persistence::float, a.margin
    FROM forecasts f JOIN predictions p ON p.id = f.prediction_id JOIN actuals a ON a.game_id = f.game_id
    ORDER BY f.game_id
    """
)


def settled_in(store: Store) -> list[Settled]:
    """What the tables hold, without the views and sums that summary and exporter read."""
    with store.engine.connect() as connection:
        return [Settled(*row) for row in connection.execute(_SETTLED)]


def rows_in(store: Store) -> list[str]:
    """Request ids of the predictions, one for each row."""
    with store.engine.connect() as connection:
        return list(connection.execute(text("SELECT request_id FROM predictions")).scalars())


def figures(games: Sequence[Settled]) -> dict[str, float]:
    """Games, coverage, mean width and errors, by hand."""
    n = len(games)
    errors = [game.actual - game.point for game in games]
    return {
        "games": n,
        "coverage": sum(game.lower <= game.actual <= game.upper for game in games) / n,
        "mean_width": sum(game.upper - game.lower for game in games) / n,
        "mae": sum(map(abs, errors)) / n,
        "rmse": math.sqrt(sum(error**2 for error in errors) / n),
        "mae_persistence": sum(abs(game.actual - game.persistence) for game in games) / n,
    }
