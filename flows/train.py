"""Training: the games before a date become a registered version of the ensemble."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import structlog

from bentos.answering import code_version
from flows import wiring
from flows.champion import CHAMPION, crown, deciding, keep_version, pointed, reconcile
from flows.plots import render_plots
from models.bundle import write_bundle
from models.card import model_card
from models.history import History
from models.training import Progress, TrainingResult, TrainingSpec
from models.training import train as train_ensemble
from services.registry import Registry, Version
from services.settings import Settings
from services.store import ModelVersion, Store
from services.store_lifecycle import Decider

log = structlog.get_logger("train")


class NotBetter(RuntimeError):
    """A model that does not beat persistence is never promoted."""


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
    """The settled games of the league in force before a date, live ones with those before them. Raises NoHistory with
    what to run."""
    frame = store.history_frame(*settings.history_sources, before=before)
    if frame.empty:
        raise NoHistory(
            f"no {settings.league_source} games before {before} in the table games: run `./halftime backfill`"
        )
    return History.from_frame(frame.drop(columns="source"), settings.league_source)


def train(
    settings: Settings,
    *,
    as_of: date,
    promote: bool = False,
    progress: Progress | None = None,
    rule: str | None = None,
) -> TrainSummary:
    """Trains on the games before ``as_of`` and registers the version; the first one ever becomes champion.

    With ``promote`` any does, by a person's decision unless ``rule`` names the one that asks for it.

    Raises NoHistory, NotBetter, models.training.TrainingError, services.registry errors.
    """
    with wiring.store(settings) as store:
        games = history(store, settings, as_of)
        result = train_ensemble(games, TrainingSpec(as_of=as_of), progress)
        registry = wiring.registry(settings)
        version = register(registry, result, settings, data=games)
        keep_version(store, version, result.ensemble, "trained", None)
        with deciding(store):
            first = reconcile(store, registry) is None
            promoted = (promote or first) and beats_persistence(result.figures)
            if promoted:
                reason = f"{'the first model' if first else 'asked for'}: trained on the games before {as_of}"
                named = rule or (None if promote else "first model")
                who: Decider = "person" if named is None else "rule"
                by = None if named is None else f"rule: {named}"
                crown(store, registry, version, reason=reason, kind=who, by=by, evidence=result.figures)
        if promote and not promoted:
            raise NotBetter(
                f"version {version.version} is registered but not promoted: on {result.figures['games_test']:.0f} games"
                f" that fitted nothing its squared error is {-result.figures['skill_squared']:.1%} above persistence's;"
                " load more history"
            )
    return TrainSummary(
        version.version, version.digest, settings.league_source, as_of, len(games), promoted, result.figures
    )


def beats_persistence(figures: Mapping[str, float]) -> bool:
    """Whether the squared error on games that fitted nothing is below that of "the margin stays as it is"."""
    return figures["skill_squared"] > 0.0


def register(
    registry: Registry,
    result: TrainingResult,
    settings: Settings,
    *,
    data: History | None = None,
    tags: Mapping[str, str] | None = None,
) -> Version:
    """Writes the bundle and logs parameters, metrics, plots, card and the version with ``tags`` to MLflow; ``data`` are
    the games."""
    digest = data.digest if data is not None else None
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
            tags={"code_version": code_version(), "kind": "trained"}
            | ({"data_digest": digest} if digest else {})
            | dict(tags or {}),
            card=model_card(
                result.ensemble,
                kind="trained",
                parent=None,
                figures=result.figures,
                code_version=code_version(),
                data_digest=digest,
            ),
        )


def ensure_champion(
    settings: Settings, *, as_of: date, progress: Progress | None = None
) -> tuple[Version, TrainSummary | None]:
    """The champion for a night on ``as_of``. One that has seen that night gives way to the newest champion before it
    that has not; when there is none, one is trained now.

    A model that learned from the games it is about to forecast would show figures nobody could ever reach again.
    """
    registry = wiring.registry(settings)
    with wiring.store(settings) as store, deciding(store):
        reconcile(store, registry)
        champion = pointed(registry)
        if champion is not None:
            ensemble = registry.fetch(CHAMPION).ensemble
            keep_version(store, champion, ensemble, "found", None)
            if max(ensemble.trained_through, ensemble.ratings_as_of or ensemble.trained_through) < as_of:
                return champion, None
            earlier = _unseeing(store, registry.model_name, as_of)
            if earlier is not None:
                version = registry.get(earlier.version)
                reason = f"the night of {as_of} is played again: version {champion.version} has seen it"
                crown(store, registry, version, reason=reason, by="rule: replay")
                return version, None
            log.info("champion has seen the night; training one that has not", night=str(as_of))
    summary = train(settings, as_of=as_of, promote=True, progress=progress, rule="no champion for the night")
    return registry.get(CHAMPION), summary


def _unseeing(store: Store, model_name: str, night: date) -> ModelVersion | None:
    """The newest former champion that has seen nothing of ``night``."""
    crowned = {promotion.model_version for promotion in store.promotion_history(model_name, limit=10_000)}
    return next(
        (one for one in store.model_history(model_name) if one.version in crowned and one.has_seen < night), None
    )


def _flat(spec: dict[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in spec.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat
