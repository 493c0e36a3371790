"""Builders of feed files as the live feed writes them, one field at a time changeable."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec

from models.game import Status
from services.wire import ScoreboardGame

GAME_ID = "0022200001"


def board_line(**changes: Any) -> dict[str, Any]:
    """One live game of the scoreboard; ``home`` and ``away`` update the teams, every other name replaces a field."""
    home = {"teamId": 1610612738, "teamTricode": "BOS", "score": 41, "periods": []} | changes.pop("home", {})
    away = {"teamId": 1610612755, "teamTricode": "PHI", "score": 36, "periods": []} | changes.pop("away", {})
    return {
        "gameId": GAME_ID,
        "gameCode": "20221018/PHIBOS",
        "gameStatus": 2,
        "gameStatusText": "Q2 7:06",
        "period": 2,
        "gameClock": "PT07M06.00S",
        "gameTimeUTC": "2022-10-18T23:30:00Z",
        "gameEt": "2022-10-18T19:30:00-04:00",
        "homeTeam": home,
        "awayTeam": away,
    } | changes


def board_file(*lines: object) -> bytes:
    """A scoreboard file with these games."""
    return msgspec.json.encode({"meta": {"code": 200}, "scoreboard": {"gameDate": "2022-10-18", "games": list(lines)}})


def action(order: int, period: int, clock: str, home: int, away: int, **changes: Any) -> dict[str, Any]:
    """One action; the clock as "7:06" or as the feed writes it, scores as numbers become the feed's strings."""
    if ":" in clock:
        minutes, seconds = clock.split(":")
        clock = f"PT{int(minutes):02d}M{float(seconds):05.2f}S"
    return {
        "actionNumber": order,
        "orderNumber": order * 10_000,
        "period": period,
        "clock": clock,
        "actionType": "2pt",
        "subType": "Layup",
        "scoreHome": str(home),
        "scoreAway": str(away),
        "timeActual": "2022-10-18T23:50:00.1Z",
        "edited": "2022-10-18T23:50:03Z",
    } | changes


def end(order: int, period: int, home: int, away: int, kind: str = "period") -> dict[str, Any]:
    """The end of a period or of the game."""
    return action(order, period, "0:00", home, away, actionType=kind, subType="end")


def plays_file(*actions: object, game_id: str = GAME_ID) -> bytes:
    """A play-by-play file with these actions."""
    return msgspec.json.encode({"meta": {"code": 200}, "game": {"gameId": game_id, "actions": list(actions)}})


def board_game(**changes: Any) -> ScoreboardGame:
    """The parsed line of ``board_line``, with fields replaced."""
    fields: dict[str, Any] = {
        "game_id": GAME_ID,
        "status": Status.LIVE,
        "status_text": "Q2 7:06",
        "period": 2,
        "clock_s": 426.0,
        "home": "BOS",
        "away": "PHI",
        "home_score": 41,
        "away_score": 36,
        "tip_at": datetime(2022, 10, 18, 23, 30, tzinfo=UTC),
        "league_date": date(2022, 10, 18),
        "postponed": False,
    }
    return ScoreboardGame(**(fields | changes))
