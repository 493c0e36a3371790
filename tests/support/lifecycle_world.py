"""A champion, a challenger and nights of forecast and settled games, on a real database and a real registry."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from bentos.answering import ServedModel, answer
from bentos.contracts import PredictRequest, identify, prediction_row
from flows import wiring
from flows.champion import CHALLENGER, crown, deciding, keep_version
from flows.shadow import SHADOW_MINUTES
from models.bundle import write_bundle
from models.ensemble import Ensemble
from models.mixture import Games
from models.planting import leaning
from models.ratings import rate_history
from services.registry import Version
from services.settings import Settings
from services.store import ForecastRow, PredictionRow, Store
from tests.support.small_model import TEAMS, small_ensemble, small_history

MINUTES = SHADOW_MINUTES
FIRST_NIGHT = date(2022, 3, 1)


def lifecycle_settings(database_url: str, mlflow_url: str, home: Path, **changes: Any) -> Settings:
    """Settings of the simulated league on these servers, with a registered model of its own."""
    own: dict[str, Any] = {
        "database_url": database_url, "mlflow_tracking_uri": mlflow_url, "home": home, "source": "simulated",
        "registered_model": f"model-{uuid4().hex[:8]}",
    }  # fmt: skip
    return Settings(_env_file=None, **own | changes)


def lean(model: Ensemble, points: float) -> Ensemble:
    """``model`` with every point moved by ``points``."""
    history = small_history().take(slice(240, None))
    return leaning(model, points, Games(history, rate_history(history)[0]), model.minutes)


def honest(seed: int = 1) -> Ensemble:
    """A small model that says about what persistence says."""
    small = small_ensemble(seed=seed, minutes=MINUTES)
    still = replace(small.mixture.lstm, head_weights=small.mixture.lstm.head_weights * 1e-3)
    return lean(replace(small, mixture=replace(small.mixture, lstm=still)), 0.0)


def registered(settings: Settings, store: Store, model: Ensemble, **figures: float) -> Version:
    """Registers the model with these figures on games that fitted nothing."""
    registry = wiring.registry(settings)
    with tempfile.TemporaryDirectory() as folder:
        write_bundle(model, Path(folder) / "bundle", {"code_version": "test", "figures": figures})
        version = registry.register(Path(folder) / "bundle", tags={"kind": "trained"})
    keep_version(store, version, model, "trained", None)
    return version


def begin(settings: Settings, store: Store, champion: Ensemble, challenger: Ensemble | None = None) -> list[Version]:
    """Makes the models champion and challenger; their versions."""
    registry = wiring.registry(settings)
    versions = [registered(settings, store, champion, skill_squared=0.03, skill_squared_lower=0.01)]
    if challenger is not None:
        versions.append(registered(settings, store, challenger, skill_squared=0.03, skill_squared_lower=0.01))
        registry.set_alias(CHALLENGER, versions[1].version)
    with deciding(store):
        start = datetime.combine(FIRST_NIGHT, datetime.min.time(), UTC)
        crown(store, registry, versions[0], reason="the first", by="rule: test", at=start)
    return versions


def play(
    settings: Settings,
    store: Store,
    model: ServedModel,
    night: int,
    games: int = 6,
    state: str = "final",
    shift: int = 0,
) -> list[str]:
    """Forecasts and settles ``games`` games of the league date ``night`` days after the first; their ids. Outcomes are
    moved by ``shift`` points."""
    day, walks = FIRST_NIGHT + timedelta(days=night), small_history(games, seed=1000 + night)
    ids = []
    for place in range(games):
        game_id = f"00221{night:02d}{place:03d}"
        ids.append(game_id)
        home, away = TEAMS[place % 6], TEAMS[(place + 1) % 6]
        store.upsert_schedule(game_id=game_id, source="simulated", league_date=day, home=home, away=away)
        path = walks.margins[place].tolist()
        for minute in MINUTES:
            request = PredictRequest(
                pattern=[float(margin) for margin in path[1 : minute + 1]], alpha=settings.alpha, game_id=game_id,
                home=home, away=away, minute=minute, date=day, request_id=f"live:{game_id}:{minute}",
            )  # fmt: skip
            request_id, prediction_id = identify(request, None)
            now = datetime.now(UTC)
            given = answer(model, request, request_id=request_id, prediction_id=prediction_id, now=now)
            row = ForecastRow(game_id, minute, 0, f"{night:02x}{place:02x}" * 8, path[minute], now)
            store.record_forecast(PredictionRow.from_json(prediction_row(request, given)), row)
        store.record_actual(game_id, path[24] + shift, state=state, source="test")
        store.settle(game_id)
    return ids


def served(settings: Settings, store: Store) -> ServedModel:
    """The champion in force."""
    live = store.promotion_at(settings.model_name)
    assert live is not None
    ensemble = wiring.registry(settings).fetch_digest(live.model_digest)
    return ServedModel(live.model_version, live.model_digest, ensemble, "the registry")


def night_of(night: int) -> date:
    """The league date of a night."""
    return FIRST_NIGHT + timedelta(days=night)
