"""Nightly recalibration: the calibration sets roll on over the games settled since, and the ratings with them.

Not a refit: Dejavu, the network and the weights stay as they are, so it needs no trial. Of the champion's own line the
new version becomes champion by rule; a challenger in its shadow is kept as fresh, so that the two are compared fairly.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import structlog

from bentos.answering import code_version
from flows import wiring
from flows.champion import CHALLENGER, CHAMPION, crown, deciding, keep_version, pointed, reconcile
from flows.harvest import harvest
from flows.probation import games_on_probation, on_probation
from flows.promote import newest_of
from models.bundle import write_bundle
from models.card import model_card
from models.ensemble import Ensemble
from models.recalibration import LATE_DAYS, TooFewSettled, known_games
from models.recalibration import recalibrate as roll
from models.settlement import OutcomeState, SettledGame
from services.registry import LoadedBundle, Registry, RegistryUnavailable, Version
from services.settings import Settings
from services.store import NightGame, Store

log = structlog.get_logger("recalibrate")


@dataclass(frozen=True)
class RecalibrationResult:
    """``version`` is None when nothing was made: ``open_games`` of the night are not over, or of ``settled`` new games
    ``needed`` are asked for. ``challenger`` is the challenger's new version, if there is one; ``harvested`` games
    became history."""

    league_date: date | None
    settled: int
    needed: int
    version: str | None
    calibration_id: str
    open_games: int = 0
    challenger: str | None = None
    harvested: int = 0

    def line(self) -> str:
        """One sentence for a log."""
        if self.open_games:
            return f"{self.open_games} games of {self.league_date} are not over: recalibrated after the last of them"
        if self.version is None:
            return f"no new calibration: {self.settled} games settled since the champion's, {self.needed} needed"
        beside = f"; challenger: version {self.challenger}" if self.challenger else ""
        return f"version {self.version}, calibration {self.calibration_id}, {self.settled} newly settled games{beside}"

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "league_date": self.league_date.isoformat() if self.league_date else None,
            "settled": self.settled,
            "needed": self.needed,
            "version": self.version,
            "calibration_id": self.calibration_id,
            "open_games": self.open_games,
            "challenger": self.challenger,
            "harvested": self.harvested,
        }


def recalibrate(
    settings: Settings, *, league_date: date | None = None, patient: bool = True, at: datetime | None = None
) -> RecalibrationResult:
    """Registers the champion's next calibration when it differs, makes it champion, and does the same for a challenger.

    ``league_date`` is the newest night to learn from (unset: the newest there is); while games of it are not over
    nothing is done, unless not ``patient``. Finished games of the feed become history first. ``at`` is when it takes
    effect, now when unset. May be repeated: nothing new gives nothing new. Raises RegistryError, StoreError,
    LifecycleBusy.
    """
    with wiring.store(settings) as store:
        harvested = harvest(store, settings).games
        with deciding(store):
            return replace(_recalibrated(store, settings, league_date, patient, at), harvested=harvested)


def _recalibrated(
    store: Store, settings: Settings, league_date: date | None, patient: bool, at: datetime | None
) -> RecalibrationResult:
    registry = wiring.registry(settings)
    reconcile(store, registry)
    champion = _fresh(registry, CHAMPION)
    source = settings.feed_source
    night = league_date or store.newest_night(source)
    waiting = _open_games(store.night(night, source).games) if night is not None and patient else 0
    now = RecalibrationResult(
        night, 0, settings.recalibrate_min_games, None, champion.ensemble.calibration_id, open_games=waiting
    )
    if waiting:
        return now
    result = _next(store, registry, settings, champion, now)
    if result.version is not None:
        version, reason = registry.get(result.version), f"recalibrated on {result.settled} newly settled games"
        crown(store, registry, version, reason=reason, by="rule: recalibration", at=at)
    return _beside(store, registry, settings, result)


def _beside(store: Store, registry: Registry, settings: Settings, result: RecalibrationResult) -> RecalibrationResult:
    """Keeps those fresh that the champion is compared with: a challenger, and the champion before one on probation."""
    named, made = pointed(registry, CHALLENGER), None
    if named is not None:
        made = _next(store, registry, settings, _fresh(registry, CHALLENGER), replace(result, version=None)).version
        if made is not None:
            registry.set_alias(CHALLENGER, made)
    champion = store.model_version(registry.model_name, registry.get(CHAMPION).version)
    case = on_probation(store, registry.model_name, champion) if champion is not None else None
    if case is not None and games_on_probation(store, settings, case) < settings.rollback_games:
        before = newest_of(store, registry.model_name, case.before)
        _next(store, registry, settings, _fresh(registry, before), replace(result, version=None))
    return replace(result, challenger=made)


def _fresh(registry: Registry, alias: str) -> LoadedBundle:
    """The very model the registry names now: a kept copy of an older one must not be carried on."""
    loaded = registry.fetch(alias)
    if loaded.stale:
        raise RegistryUnavailable(f"the {alias} cannot be had from the registry now: {loaded.reason}; try again")
    return loaded


def _next(
    store: Store, registry: Registry, settings: Settings, model: LoadedBundle, now: RecalibrationResult
) -> RecalibrationResult:
    """The model's next version from what was settled since; ``now`` with what was found."""
    keep_version(store, model.version, model.ensemble, "found", None)
    games = _settled(store, settings, model.ensemble, now.league_date)
    newest = max((game.date for game in games), default=model.ensemble.trained_through)
    # Ratings may learn from every game that was over before the day after the newest settled one.
    results = store.results(settings.history_sources, model.ensemble.ratings_as_of, newest + timedelta(days=1))
    try:
        ensemble = roll(model.ensemble, games, results, minimum=now.needed).ensemble
    except TooFewSettled as few:
        return replace(now, settled=few.found)
    count = len({game.game_id for game in games})
    version = register(store, registry, ensemble, model.version, count)
    return replace(now, settled=count, version=version.version, calibration_id=ensemble.calibration_id)


def register(store: Store, registry: Registry, ensemble: Ensemble, parent: Version, games: int) -> Version:
    """Registers a recalibrated model; the same one again is the version it has."""
    with tempfile.TemporaryDirectory(prefix="halftime-bundle-") as folder:
        bundle = Path(folder) / "bundle"
        write_bundle(ensemble, bundle, {"recalibrated_from": parent.version, "code_version": code_version()})
        version = registry.register(
            bundle,
            params={"kind": "recalibrated", "recalibrated_from": parent.version, "games": str(games)},
            metrics={"games_settled": float(games)},
            artifacts={},
            tags={"code_version": code_version(), "kind": "recalibrated", "parent_version": parent.version},
            card=model_card(
                ensemble, kind="recalibrated", parent=parent.version, figures={}, code_version=code_version()
            ),
        )
    keep_version(store, version, ensemble, "recalibrated", parent.version)
    return version


def _settled(store: Store, settings: Settings, model: Ensemble, upto: date | None) -> list[SettledGame]:
    """Games settled for good that the model has not learned from. Minutes that it does not know, forecast by one before
    it, are left out."""
    found = store.calibration_games(
        model.trained_through - timedelta(days=LATE_DAYS), source=settings.feed_source, minutes=model.minutes,
        without=known_games(model), upto=upto,
    )  # fmt: skip
    return [one.game for one in found]


def _open_games(games: Sequence[NightGame]) -> int:
    """How many are not decided, or have an outcome that may still change."""
    over = (
        game.disposition in ("missed", "void") or (game.actual is not None and game.actual.state == OutcomeState.FINAL)
        for game in games
    )
    return sum(not done for done in over)
