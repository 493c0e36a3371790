"""Training: the games before a date become a registered version of the ensemble."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import structlog

from bentos.answering import code_version
from flows import wiring
from flows.lease import holder_name
from flows.plots import render_plots
from models.bundle import write_bundle
from models.history import History
from models.training import Progress, TrainingResult, TrainingSpec
from models.training import train as train_ensemble
from services.registry import NoSuchVersion, Registry, Version
from services.settings import Settings
from services.store import Store

log = structlog.get_logger("train")
CHAMPION = "champion"


class NoHistory(LookupError):
    """There are no games to learn from."""


@dataclass(frozen=True)
class TrainSummary:
    """What a training registered, and how it does on games it has not seen."""

    version: str
    digest: str
    source: str
    as_of: date
    games: int
    promoted: bool
    figures: dict[str, float]

    def line(self) -> str:
        """One sentence for a log."""
        f = self.figures
        return (
            f"version {self.version} from {self.games} {self.source} games before {self.as_of}"
            f"{', now champion' if self.promoted else ''}: RMSE {f['rmse']:.3f}"
            f" (persistence {f['rmse_persistence']:.3f}), coverage {f['coverage']:.1%} at width {f['mean_width']:.1f}"
        )

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "version": self.version,
            "digest": self.digest,
            "source": self.source,
            "as_of": self.as_of.isoformat(),
            "games": self.games,
            "promoted": self.promoted,
            "figures": self.figures,
        }


def history(store: Store, settings: Settings, before: date) -> History:
    """The settled games of the league in force before a date. Raises NoHistory with what to run."""
    frame = store.history_frame(settings.league_source, before=before)
    if frame.empty:
        raise NoHistory(
            f"no {settings.league_source} games before {before} in the table games: run `./halftime backfill`"
        )
    return History.from_frame(frame)


def train(settings: Settings, *, as_of: date, promote: bool = False, progress: Progress | None = None) -> TrainSummary:
    """Trains on the games before ``as_of`` and registers the version; the first one ever becomes champion.

    Raises NoHistory, models.training.TrainingError, services.registry errors.
    """
    with wiring.store(settings) as store:
        games = history(store, settings, as_of)
        result = train_ensemble(games, TrainingSpec(as_of=as_of), progress)
        registry = wiring.registry(settings)
        version = register(registry, result, settings)
        promoted = promote or _champion(registry) is None
        if promoted:
            make_champion(store, registry, version, reason=f"trained as of {as_of}")
    return TrainSummary(
        version.version, version.digest, settings.league_source, as_of, len(games), promoted, result.figures
    )


def register(registry: Registry, result: TrainingResult, settings: Settings) -> Version:
    """Writes the bundle and logs parameters, metrics, plots and the version to MLflow."""
    source = settings.league_source
    with tempfile.TemporaryDirectory(prefix="halftime-bundle-") as folder:
        bundle = Path(folder) / "bundle"
        write_bundle(
            result.ensemble,
            bundle,
            {"spec": result.spec.as_dict(), "figures": result.figures, "code_version": code_version()},
        )
        return registry.register(
            bundle,
            params=_flat(result.spec.as_dict()),
            metrics=result.figures,
            artifacts=render_plots(result.plots, f"{source} games before {result.spec.as_of}"),
            tags={"code_version": code_version(), "kind": "trained"},
        )


def make_champion(store: Store, registry: Registry, version: Version, *, reason: str) -> None:
    """Moves the alias and appends who was champion when, and why, to ``promotions``."""
    before = _champion(registry)
    registry.set_alias(CHAMPION, version.version)
    store.record_promotion(
        model_name=registry.model_name,
        alias=CHAMPION,
        model_version=version.version,
        model_digest=version.digest,
        previous_version=before.version if before else None,
        reason=reason,
        evidence={},
        decided_by=holder_name(),
    )
    log.info("champion", model=registry.model_name, version=version.version, reason=reason)


def ensure_champion(
    settings: Settings, *, as_of: date, progress: Progress | None = None
) -> tuple[Version, TrainSummary | None]:
    """The champion for a night on ``as_of``, trained now when there is none or when it has seen that night.

    A model that learned from the games it is about to forecast would show figures nobody could ever reach again.
    """
    registry = wiring.registry(settings)
    champion = _champion(registry)
    if champion is not None:
        ensemble = registry.fetch(CHAMPION).ensemble
        seen = max(ensemble.trained_through, ensemble.ratings_as_of or ensemble.trained_through)
        if seen < as_of:
            return champion, None
        log.info("champion has seen the night; training one that has not", seen=str(seen), night=str(as_of))
    summary = train(settings, as_of=as_of, promote=True, progress=progress)
    return registry.get(CHAMPION), summary


def _champion(registry: Registry) -> Version | None:
    try:
        return registry.get(CHAMPION)
    except NoSuchVersion:
        return None


def _flat(spec: dict[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in spec.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat
