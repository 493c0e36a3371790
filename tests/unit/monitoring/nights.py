"""Small nights made by hand for the tests of the report."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from monitoring.rows import GameRow, HopRow, NightRows

TIP = datetime(2023, 2, 4, 0, 40, tzinfo=UTC)


def forecast_game(number: int = 1, **changes: Any) -> GameRow:
    """A settled game: forecast +4.5 in [-7, 16], persistence +4, outcome +6."""
    fields: dict[str, Any] = {
        "game_id": f"00222007{number:02d}",
        "home": "BOS",
        "away": "PHX",
        "disposition": "forecast",
        "reason": "issued at minute 18",
        "minute": 18,
        "revision": 0,
        "prediction_id": f"prediction-{number}",
        "point": 4.5,
        "lower": -7.0,
        "upper": 16.0,
        "alpha": 0.05,
        "persistence": 4.0,
        "model_version": "3",
        "model_digest": "ab" * 32,
        "actual": 6,
        "actual_revision": 0,
        "actual_state": "final",
        "covered": True,
        "settled_at": TIP + timedelta(hours=1),
        "path": tuple(range(-12, 12)),
    }
    return GameRow(**(fields | changes))


def missed_game(number: int = 90, **changes: Any) -> GameRow:
    """A game the platform did not forecast."""
    fields = {"game_id": f"00222007{number:02d}", "home": "DEN", "away": "UTA", "disposition": "missed"}
    return GameRow(**(fields | {"reason": "the predictor was down until the half"} | changes))


def hops(number: int = 1, revision: int = 0, spans_ms: tuple[float, ...] = (40.0, 25.0, 5.0)) -> HopRow:
    """Wall times of one forecast with these spans between them."""
    times = [TIP]
    for span in spans_ms:
        times.append(times[-1] + timedelta(milliseconds=span))
    return HopRow(f"00222007{number:02d}", revision, *times)


def night(
    *games: GameRow, hop_rows: tuple[HopRow, ...] = (), source: str = "recorded", duplicates: int = 0
) -> NightRows:
    """A slate of 2023-02-03."""
    return NightRows(date(2023, 2, 3), source, games, hop_rows, duplicates)
