"""Shadow forecasts: what another lineage would have said of the champion's games, computed when they are over.

A forecast is a function, so a shadow made in the night is the one that would have been made in the evening: from the
champion's patterns, by the newest version of its lineage that has seen nothing of that night. Stored and settled like
the champion's, told to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import structlog

from bentos.answering import ServedModel, answer
from bentos.contracts import PredictRequest, RequestRefused, identify, prediction_row
from models.promotion import WEIGHTS
from services.registry import Registry
from services.store import ForecastRow, ModelVersion, PredictionRow, Store, Unshadowed
from services.store_shadows import SHADOW_REQUEST

log = structlog.get_logger("shadow")

SHADOW_MINUTES = tuple(WEIGHTS)


class Models:
    """Versions loaded once, by digest; the registry verifies each."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.load = lru_cache(maxsize=8)(registry.fetch_digest)

    def served(self, version: ModelVersion) -> ServedModel:
        """The version as it would be served. Raises RegistryError, BundleError."""
        return ServedModel(version.version, version.digest, self.load(version.digest), "the registry")


def shadow(
    store: Store,
    models: Models,
    model_name: str,
    lineage: str,
    *,
    source: str,
    upto: date | None = None,
    minutes: Sequence[int] = SHADOW_MINUTES,
) -> int:
    """Stores and settles the lineage's missing shadows; how many there were. May be repeated.

    A night that every version of the lineage has seen gets none. Raises RegistryError, StoreError.
    """
    versions = store.model_history(model_name, lineage)
    if not versions:
        return 0
    after = min(version.has_seen for version in versions)
    missing = store.unshadowed(model_name, lineage, source=source, minutes=minutes, after=after, upto=upto)
    made = 0
    for one in missing:
        version = next((each for each in versions if each.has_seen < one.league_date), None)
        if version is not None:
            made += _made(store, models.served(version), one)
    for game_id in store.unsettled_shadows():
        store.settle(game_id)
    return made


def _made(store: Store, model: ServedModel, wanted: Unshadowed) -> bool:
    made, game = wanted.forecast, wanted.forecast.prediction
    asked: dict[str, Any] = {
        "pattern": list(game.pattern),
        "alpha": game.alpha,
        "game_id": made.game_id,
        "home": game.home,
        "away": game.away,
        "minute": made.minute,
        "date": wanted.league_date,
        "possession": game.context.get("possession"),
        "request_id": f"{SHADOW_REQUEST}{made.game_id}:{made.minute}:{made.revision}:{model.version}",
    }
    row = _answered(model, PredictRequest(**asked))
    if row is None:
        row = _answered(model, PredictRequest(**asked | {"home": None, "away": None}))
    if row is None:
        log.warning("no shadow: the model cannot answer", game_id=made.game_id, minute=made.minute)
        return False
    forecast = ForecastRow(
        game_id=made.game_id,
        minute=made.minute,
        revision=made.revision,
        tick_digest=made.tick_digest,
        persistence=made.persistence,
        forecast_at=datetime.now(UTC),
    )
    return store.record_shadow(row, forecast)


def _answered(model: ServedModel, request: PredictRequest) -> PredictionRow | None:
    """The prediction as a row, None when the model refuses: it may know fewer teams or minutes than the champion."""
    request_id, prediction_id = identify(request, None)
    try:
        given = answer(model, request, request_id=request_id, prediction_id=prediction_id, now=datetime.now(UTC))
    except RequestRefused as error:
        log.info("shadow refused", game_id=request.game_id, minute=request.minute, error=error.sentence)
        return None
    row = prediction_row(request, given)
    # Similar games explain a forecast to people; nobody is shown this one.
    row["components"] = {name: value for name, value in row["components"].items() if name != "similar"}
    return PredictionRow.from_json(row)
