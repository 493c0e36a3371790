"""Has the champion's line of models drifted? Its official errors against those it had when it was trained.

Recalibration keeps intervals honest while points grow worse, so drift is looked for in the errors themselves, against
those of the line's first version on games that fitted nothing. The alarms move with each settlement
(services/store_alarms.py); here they are read.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.alarm_streams import ALL, DRIFT
from models.alarms import DRIFT_THRESHOLD
from services.settings import Settings
from services.store import ModelVersion, Store


@dataclass(frozen=True)
class DriftFound:
    """After ``games`` official forecasts of the line: evidence by stream as ln M, and which of them are ``alarms``."""

    lineage: str
    games: int
    log_evidence: dict[str, float]
    alarms: tuple[str, ...]

    def line(self) -> str:
        """One sentence for a log."""
        if not self.log_evidence:
            return "no drift: no official forecast of this line is settled yet"
        most, value = max(self.log_evidence.items(), key=lambda item: item[1])
        if self.alarms:
            return f"drift: {', '.join(self.alarms)} errors of {self.games} games (evidence {value:.1f})"
        return f"no drift in {self.games} games (most evidence: {most}, {value:.1f} of {DRIFT_THRESHOLD:.1f})"

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "lineage": self.lineage,
            "games": self.games,
            "log_evidence": {name: round(value, 3) for name, value in self.log_evidence.items()},
            "threshold": round(DRIFT_THRESHOLD, 3),
            "alarms": list(self.alarms),
        }


def drift_of(store: Store, settings: Settings, champion: ModelVersion) -> DriftFound:
    """How the line of ``champion`` stands. Raises StoreError."""
    streams = {
        state.stream.alarm: state.detector
        for state in store.alarms(settings.feed_source, champion.lineage)
        if state.stream.alarm in DRIFT and state.stream.kind == ALL and state.alpha == settings.alpha
    }
    found = {name: streams[name].log_evidence or 0.0 for name in DRIFT if name in streams}
    alarms = tuple(name for name, value in found.items() if value >= DRIFT_THRESHOLD)
    return DriftFound(champion.lineage, max((one.n for one in streams.values()), default=0), found, alarms)
