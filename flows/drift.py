"""Has the champion's line of models drifted? Its official errors against those it had when it was trained.

Recalibration keeps intervals honest while points grow worse, so drift is looked for in the errors themselves: against
the first version of the line, whose calibration games fitted nothing (models/alarms.py). Computed from the tables each
time, so nothing is lost and any restart says the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache

from models.alarms import Drift, Reference
from models.calibration import Case
from models.clock import OFFICIAL_MINUTE
from models.ensemble import Ensemble
from services.answer import possession_sign
from services.registry import Registry
from services.settings import Settings
from services.store import ModelVersion, Store


@dataclass(frozen=True)
class DriftFound:
    """After ``games`` official forecasts of the line: evidence by stream as ln M, and which of them are ``alarms``."""

    lineage: str
    games: int
    log_evidence: dict[str, float]
    threshold: float
    alarms: tuple[str, ...]

    def line(self) -> str:
        """One sentence for a log."""
        most = max(self.log_evidence.items(), key=lambda item: item[1], default=("none", 0.0))
        if self.alarms:
            return f"drift: {', '.join(self.alarms)} errors of {self.games} games (evidence {most[1]:.1f})"
        return f"no drift in {self.games} games (most evidence: {most[0]}, {most[1]:.1f} of {self.threshold:.1f})"

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "lineage": self.lineage,
            "games": self.games,
            "log_evidence": {name: round(value, 3) for name, value in self.log_evidence.items()},
            "threshold": round(self.threshold, 3),
            "alarms": list(self.alarms),
        }


def drift_of(
    store: Store, registry: Registry, settings: Settings, champion: ModelVersion, *, upto: date | None = None
) -> DriftFound:
    """The line of ``champion`` on the official forecasts settled up to ``upto`` (unset: all).

    Raises RegistryError, BundleError, StoreError, CalibrationTooSmall for a first version without enough games.
    """
    line = store.model_history(registry.model_name, champion.lineage)
    first = registry.fetch_digest(line[-1].digest)
    frame = store.settled_since(None, source=settings.feed_source, minute=OFFICIAL_MINUTE)
    frame = frame[frame["model_digest"].isin([one.digest for one in line])]
    if upto is not None:
        frame = frame[frame["league_date"] <= upto]
    reference = _references(first)
    drift = Drift.begin(reference(True, 1))
    for row in frame.to_dict("records"):
        context = row["context"]
        known = reference(context.get("rating_difference") is not None, possession_sign(context.get("possession")))
        drift = drift.after(known, row["actual"] - row["point"])
    found = drift.log_evidence
    alarms = tuple(name for name, value in found.items() if value >= drift.threshold)
    return DriftFound(champion.lineage, len(frame), found, drift.threshold, alarms)


def _references(model: Ensemble) -> Callable[[bool, int], Reference]:
    """By whether there is a rating, and who has the ball."""

    @cache
    def of(case: Case) -> Reference:
        return Reference.of(model.calibration[case].errors.residuals)

    return lambda rated, ball: of(model.case(OFFICIAL_MINUTE, rated, ball))
