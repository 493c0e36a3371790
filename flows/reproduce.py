"""A stored prediction computed again, from its row and the model version it names."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from bentos.reproduce import Reproduced, reproduce
from flows import wiring
from services.settings import Settings
from services.store import PredictionRow


class NoSuchPrediction(LookupError):
    """There is no such prediction; the message says which id was asked for."""


@dataclass(frozen=True)
class Reproduction:
    """The stored row beside what was computed again."""

    row: PredictionRow
    again: Reproduced

    @property
    def equal(self) -> bool:
        """Whether every number has the same bits."""
        return self.again.equal

    def line(self) -> str:
        """One sentence."""
        stored = f"{self.row.point!r} [{self.row.lower!r}, {self.row.upper!r}]"
        if self.equal:
            return f"same bits: {stored} by version {self.row.model_version}"
        return f"DIFFERS: stored {stored}, computed {self.again.point!r} [{self.again.lower!r}, {self.again.upper!r}]"

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "prediction_id": str(self.row.id),
            "equal": self.equal,
            "model_version": self.row.model_version,
            "model_digest": self.row.model_digest,
            "stored": [self.row.point, self.row.lower, self.row.upper],
            "computed": [self.again.point, self.again.lower, self.again.upper],
        }


def reproduce_prediction(settings: Settings, prediction_id: str) -> Reproduction:
    """Raises NoSuchPrediction, and what fetching the model raises."""
    try:
        wanted = UUID(prediction_id)
    except ValueError as error:
        raise NoSuchPrediction(f"{prediction_id!r} is not a prediction id: it looks like {UUID(int=0)}") from error
    with wiring.store(settings) as store:
        row = store.prediction(wanted)
    if row is None:
        raise NoSuchPrediction(f"no prediction {wanted} in the database: take an id from /predict or the board")
    return Reproduction(row, reproduce(row, wiring.registry(settings).fetch(row.model_version).ensemble))
