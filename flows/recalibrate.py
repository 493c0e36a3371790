"""Nightly recalibration: the calibration set rolls on over the games settled since, and the ratings with it.

Not a refit: Dejavu, the network and the weights stay as they are. The new version becomes the challenger; who is
champion is decided elsewhere, with evidence.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import structlog

from bentos.answering import code_version
from flows import wiring
from flows.train import CHAMPION, history
from models.bundle import write_bundle
from models.ensemble import Ensemble
from models.recalibration import SettledGame, TooFewSettled
from models.recalibration import recalibrate as roll
from services.answer import possession_sign
from services.settings import Settings
from services.store import Store

log = structlog.get_logger("recalibrate")
CHALLENGER = "challenger"


@dataclass(frozen=True)
class RecalibrationResult:
    """``version`` is None when too few games have settled; ``settled`` says how many, ``needed`` how many it takes."""

    league_date: date | None
    settled: int
    needed: int
    version: str | None
    calibration_id: str

    def line(self) -> str:
        """One sentence for a log."""
        if self.version is None:
            return f"no new calibration: {self.settled} games settled since the champion's, {self.needed} needed"
        return f"version {self.version}, calibration {self.calibration_id}, from {self.settled} newly settled games"

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "league_date": self.league_date.isoformat() if self.league_date else None,
            "settled": self.settled,
            "needed": self.needed,
            "version": self.version,
            "calibration_id": self.calibration_id,
        }


def recalibrate(settings: Settings, *, league_date: date | None = None) -> RecalibrationResult:
    """Registers a recalibrated version when ``recalibrate_min_games`` have settled since the champion's calibration."""
    registry = wiring.registry(settings)
    champion = registry.fetch(CHAMPION)
    with wiring.store(settings) as store:
        games = settled_games(store, settings, champion.ensemble, league_date)
        count = len({game.game_id for game in games})
        newest = max((game.date for game in games), default=champion.ensemble.trained_through)
        # Ratings may learn from every game that was over before the day after the newest settled one.
        results = history(store, settings, newest + timedelta(days=1)).results()
    needed = settings.recalibrate_min_games
    try:
        ensemble = roll(champion.ensemble, games, list(results), minimum=needed).ensemble
    except TooFewSettled as few:
        return RecalibrationResult(league_date, few.found, needed, None, champion.ensemble.calibration_id)
    with tempfile.TemporaryDirectory(prefix="halftime-bundle-") as folder:
        bundle = Path(folder) / "bundle"
        write_bundle(ensemble, bundle, {"recalibrated_from": champion.version.version, "code_version": code_version()})
        version = registry.register(
            bundle,
            params={"kind": "recalibrated", "recalibrated_from": champion.version.version, "games": str(count)},
            metrics={"games_settled": float(count)},
            artifacts={},
            tags={"code_version": code_version(), "kind": "recalibrated"},
        )
    registry.set_alias(CHALLENGER, version.version)
    return RecalibrationResult(league_date, count, needed, version.version, ensemble.calibration_id)


def settled_games(store: Store, settings: Settings, champion: Ensemble, upto: date | None) -> list[SettledGame]:
    """Games settled for good after the champion's calibration ended, with what the forecaster was given at each minute.

    Minutes that the champion does not know, forecast by one before it, are left out.
    """
    since = champion.trained_through + timedelta(days=1)
    frame = store.settled_since(since, source=wiring.feed_source(settings), minute=None)
    return [
        SettledGame(
            game_id=str(row["game_id"]),
            date=row["league_date"],
            minute=int(row["minute"]),
            pattern=tuple(row["pattern"]),
            rating=row["context"].get("rating_difference"),
            actual=float(row["actual"]),
            possession=possession_sign(row["context"].get("possession")),
        )
        for row in frame.to_dict("records")
        if row["minute"] in champion.minutes and (upto is None or row["league_date"] <= upto)
    ]
