"""A simulated league whose games were forecast and settled, written through the store itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import uuid4

import pandas as pd

from models.history import MARGIN_COLUMNS, History
from models.ratings import rate_history
from services.store import ForecastRow, ModelVersion, PredictionRow, Store, game_rows

SEASON = 2022
HALF_WIDTH = 14.0
LINEAGE = "ab" * 8


@cache
def league(seasons: int = 2) -> pd.DataFrame:
    """The newest simulated seasons in order of play, with ``rating``, home minus away before tip-off."""
    from services.history import simulated_games

    games = simulated_games(1, range(SEASON - seasons + 1, SEASON + 1)).sort_values(["date", "game_id"])
    return games.assign(rating=rate_history(History.from_frame(games, "simulated"))[0]).reset_index(drop=True)


def load(store: Store, games: pd.DataFrame) -> None:
    """Puts games into the history."""
    rows = list(game_rows(games.drop(columns="rating"), "simulated"))
    for start in range(0, len(rows), 500):
        store.upsert_games(rows[start : start + 500])


def digest(version: str) -> str:
    """The digest of a version."""
    return version.zfill(2) * 32


def play(
    store: Store, games: pd.DataFrame, *, model_name: str, version: str = "3", lineage: str = LINEAGE,
    half_width: float = HALF_WIDTH, lean: float = 0.0, minutes: tuple[int, ...] = (6, 18),
) -> None:  # fmt: skip
    """Forecasts the games as persistence, ``lean`` points too high, and settles them."""
    trained_through = games["date"].min() - timedelta(days=1)
    store.record_version(
        ModelVersion(
            model_name,
            version,
            digest(version),
            lineage,
            None,
            "recalibrated",
            trained_through,
            trained_through,
            f"c{version}",
        )
    )
    for game in games.to_dict("records"):
        game_id, now = game["game_id"], datetime.now(UTC)
        path = [int(game[column]) for column in MARGIN_COLUMNS]
        store.upsert_schedule(
            game_id=game_id, source="simulated", league_date=game["date"], home=game["home"], away=game["away"]
        )
        for minute in minutes:
            point = path[minute] + lean
            prediction = PredictionRow(
                id=uuid4(), request_id=f"test:{game_id}:{minute}", game_id=game_id, minute=minute,
                pattern=tuple(map(float, path[1 : minute + 1])), home=game["home"], away=game["away"],
                context={"rating_difference": float(game["rating"])}, alpha=0.05, point=point,
                lower=point - half_width, upper=point + half_width, components={}, model_version=version,
                model_digest=digest(version), calibration_id=f"c{version}", code_version="test", created_at=now,
            )  # fmt: skip
            store.record_forecast(
                prediction, ForecastRow(game_id, minute, 0, "0123456789abcdef" * 2, path[minute], now)
            )
        store.record_actual(
            game_id, path[24], int(game["home_score_24"]), int(game["away_score_24"]), state="final", source="test"
        )
        store.settle(game_id)
