"""What anybody may ask about models afterwards: which versions there are, who was champion when, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from flows import wiring
from flows.champion import CHALLENGER, CHAMPION, pointed
from services.registry import RegistryUnavailable
from services.settings import Settings
from services.store import Evaluation, ModelVersion, Promotion


@dataclass(frozen=True)
class ModelReport:
    """``live`` is the decision in force at ``at`` (now when unset); ``aliases`` say where the registry points, None
    when it does not answer. Versions, decisions and evaluations are newest first."""

    model_name: str
    at: datetime | None
    live: Promotion | None
    aliases: dict[str, str] | None
    versions: tuple[ModelVersion, ...]
    promotions: tuple[Promotion, ...]
    evaluations: tuple[Evaluation, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "model_name": self.model_name,
            "at": self.at.isoformat() if self.at else None,
            "live": asdict(self.live) if self.live else None,
            "aliases": self.aliases,
            "versions": [asdict(one) for one in self.versions],
            "promotions": [asdict(one) for one in self.promotions],
            "evaluations": [asdict(one) for one in self.evaluations],
        }


def model_report(settings: Settings, *, at: datetime | None = None, limit: int = 100) -> ModelReport:
    """Reads PostgreSQL, which has the history, and asks MLflow where its aliases point. Raises StoreError."""
    registry = wiring.registry(settings)
    try:
        found = {alias: pointed(registry, alias) for alias in (CHAMPION, CHALLENGER)}
        aliases = {alias: version.version for alias, version in found.items() if version is not None}
    except RegistryUnavailable:
        aliases = None
    with wiring.store(settings) as store:
        name = settings.model_name
        return ModelReport(
            name,
            at,
            store.promotion_at(name, at),
            aliases,
            tuple(store.model_history(name)[:limit]),
            tuple(store.promotion_history(name, limit=limit)),
            tuple(store.evaluation_history(name, limit=limit)),
        )
