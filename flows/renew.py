"""Making challengers: the week's games into the memory, or everything fitted anew. Trials decide the rest."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import structlog

from bentos.answering import code_version
from flows import wiring
from flows.champion import CHALLENGER, CHAMPION, deciding, keep_version, pointed, reconcile
from flows.drift import drift_of
from flows.train import history, register
from models.adaptive import Ledger
from models.bundle import write_bundle
from models.card import model_card
from models.ensemble import Ensemble
from models.refresh import NothingNew, refresh
from models.training import Progress, TrainingSpec, train
from services.registry import Registry
from services.settings import Settings
from services.store import Store

log = structlog.get_logger("renew")


@dataclass(frozen=True)
class Renewed:
    """The new challenger's ``version``, or None and ``why`` there is none; ``games`` are new to it."""

    version: str | None
    games: int
    why: str

    def line(self) -> str:
        """One sentence for a log."""
        return f"challenger: version {self.version}, {self.games} new games" if self.version else self.why

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {"version": self.version, "games": self.games, "why": self.why}


def refresh_dejavu(settings: Settings, *, as_of: date) -> Renewed:
    """The champion with a larger memory, as challenger; nothing while another is on trial.

    Raises NoHistory, RegistryError, StoreError, TrainingError, LifecycleBusy.
    """
    registry = wiring.registry(settings)
    with wiring.store(settings) as store, deciding(store):
        reconcile(store, registry)
        if (busy := _on_trial(registry)) is not None:
            return busy
        champion = registry.fetch(CHAMPION)
        try:
            made = refresh(champion.ensemble, history(store, settings, as_of), as_of)
        except NothingNew as nothing:
            return Renewed(None, 0, str(nothing))
        parent = champion.version.version
        with tempfile.TemporaryDirectory(prefix="halftime-bundle-") as folder:
            bundle = Path(folder) / "bundle"
            facts = {"refreshed_from": parent, "code_version": code_version()}
            write_bundle(made.ensemble, bundle, facts | {"figures": champion.manifest.extra.get("figures", {})})
            version = registry.register(
                bundle,
                params={"kind": "refreshed", "refreshed_from": parent, "games": str(made.games_added)},
                tags={"code_version": code_version(), "kind": "refreshed", "parent_version": parent},
                card=model_card(
                    made.ensemble, kind="refreshed", parent=parent, figures={}, code_version=code_version()
                ),
            )
        keep_version(store, version, made.ensemble, "refreshed", parent)
        registry.set_alias(CHALLENGER, version.version)
    return Renewed(version.version, made.games_added, "")


def retrain(settings: Settings, *, as_of: date, on_drift: bool = False, progress: Progress | None = None) -> Renewed:
    """Everything fitted anew on the games before ``as_of``, as challenger; nothing while another is on trial or while
    fewer than ``retrain_min_games`` games are new since the last training. ``on_drift``: only when the champion's
    errors have drifted.

    Raises NoHistory, RegistryError, StoreError, TrainingError, LifecycleBusy.
    """
    registry = wiring.registry(settings)
    with wiring.store(settings) as store:
        with deciding(store):
            reconcile(store, registry)
            if (busy := _on_trial(registry)) is not None:
                return busy
            champion = registry.fetch(CHAMPION)
            known = keep_version(store, champion.version, champion.ensemble, "found", None)
            found = drift_of(store, settings, known) if on_drift else None
            if found is not None and not found.alarms:
                return Renewed(None, 0, found.line())
            games = history(store, settings, as_of)
            since = _last_training(store, registry)
            fresh = len(games) - len(games.before(since + timedelta(days=1)))
            needed = settings.retrain_min_games
            if fresh < needed:
                why = f"{fresh} games are new since {since}, {needed} needed to train again"
                return Renewed(None, fresh, f"{found.line()}; {why}" if found is not None else why)
        # Minutes of work, and nothing is decided meanwhile: others may.
        result = train(games, TrainingSpec(as_of=as_of), progress)
        ensemble = replace(result.ensemble, ledgers=_carried(champion.ensemble, result.ensemble))
        with deciding(store):
            if (busy := _on_trial(registry)) is not None:
                return busy
            asked = {"asked_by": found.line() if found is not None else "schedule"}
            version = register(registry, replace(result, ensemble=ensemble), settings, data=games, tags=asked)
            keep_version(store, version, ensemble, "trained", champion.version.version)
            registry.set_alias(CHALLENGER, version.version)
    return Renewed(version.version, fresh, "")


def _on_trial(registry: Registry) -> Renewed | None:
    challenger = pointed(registry, CHALLENGER)
    if challenger is None:
        return None
    return Renewed(None, 0, f"challenger {challenger.version} is on trial: one at a time")


def _last_training(store: Store, registry: Registry) -> date:
    """The newest date that any training has fitted or calibrated on, whatever became of its model."""
    versions = store.model_history(registry.model_name)
    trained = [one.trained_through for one in versions if one.kind == "trained"]
    return max(trained) if trained else min(one.trained_through for one in versions)


def _carried(champion: Ensemble, fresh: Ensemble) -> dict[int, Ledger]:
    """What the season has missed so far is owed by whoever forecasts the rest of it."""
    return {minute: ledger for minute, ledger in champion.ledgers.items() if minute in fresh.minutes}
