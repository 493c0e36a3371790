"""Rows for store tests; every field has a plausible value that a test may replace."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from services.store import ForecastRow, GameRow, PredictionRow

GAME = "0022200781"
NIGHT = date(2023, 2, 3)
NOON = datetime(2023, 2, 3, 12, 0, tzinfo=UTC)
DIGEST = "ab" * 16


def game_row(game_id: str = GAME, **changes: Any) -> GameRow:
    """A scheduled game."""
    values: dict[str, Any] = {
        "game_id": game_id, "source": "recorded", "season": 2022, "season_type": "regular", "league_date": NIGHT,
        "home": "BOS", "away": "PHX",
    }  # fmt: skip
    return GameRow(**values | changes)


def history_row(game_id: str = GAME, **changes: Any) -> GameRow:
    """A finished game: away by 4 at the half, home by 10 in the end."""
    values: dict[str, Any] = {
        "status": "final", "margins": (*range(0, -25, -1), *[0] * 23, 10), "final_margin": 10, "home_24": 40,
        "away_24": 64, "home_final": 97, "away_final": 87, "n_periods": 4, "score_method": "score",
    }  # fmt: skip
    return game_row(game_id, **values | changes)


def prediction_row(game_id: str | None = GAME, **changes: Any) -> PredictionRow:
    """A forecast of 4.5 within -6.5 and 15.5 from a pattern that ends at 3."""
    identity = changes.pop("id", None) or uuid4()
    values: dict[str, Any] = {
        "id": identity, "request_id": f"request-{identity}", "game_id": game_id, "minute": 18,
        "pattern": (*(float(m % 4) for m in range(17)), 3.0), "home": "BOS", "away": "PHX",
        "context": {"rating_difference": 2.25, "home": "BOS"}, "alpha": 0.05, "point": 4.5, "lower": -6.5,
        "upper": 15.5, "components": {"dejavu": 4.0, "lstm": 4.75}, "model_version": "3", "model_digest": "cd" * 32,
        "calibration_id": "cal-1", "code_version": "abc123", "created_at": NOON,
    }  # fmt: skip
    return PredictionRow(**values | changes)


def forecast_row(game_id: str = GAME, **changes: Any) -> ForecastRow:
    """The official forecast at minute 18, persistence 3, unless changed."""
    values: dict[str, Any] = {
        "game_id": game_id, "minute": 18, "revision": 0, "tick_digest": DIGEST, "persistence": 3,
        "forecast_at": NOON, "polled_at": NOON, "queued_at": NOON,
    }  # fmt: skip
    return ForecastRow(**values | changes)


def at_minute(minute: int, game_id: str = GAME, revision: int = 0, **changes: Any) -> tuple[PredictionRow, ForecastRow]:
    """A forecast of another minute: every margin 3, as ``store.record_forecast`` takes it."""
    prediction = prediction_row(game_id, minute=minute, pattern=(3.0,) * minute, **changes)
    return prediction, forecast_row(game_id, minute=minute, revision=revision, persistence=3 if minute else 0)


def identity(number: int) -> UUID:
    """A fixed id."""
    return UUID(int=number)
