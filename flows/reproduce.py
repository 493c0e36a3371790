"""A stored prediction computed again, from its row and the model version it names."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from bentos.answering import code_version
from bentos.reproduce import Reproduced, reproduce
from flows import wiring
from models import fallback
from models.bundle import load_bundle, read_manifest
from models.ensemble import Ensemble
from models.recalibration import recalibrate
from services.registry_http import NoSuchVersion
from services.settings import Settings
from services.store import PredictionRow, Store


class NoSuchPrediction(LookupError):
    """There is no such prediction, or its model is gone; the message says which was looked for."""


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
        if self.equal and self.row.code_version != code_version():
            stored += f" (code {self.row.code_version} then, {code_version()} now)"
        if self.equal:
            kept = "" if self.again.distribution_equal is None else " and its distribution"
            return f"same bits: {stored}{kept} by version {self.row.model_version}"
        if self.again.numbers_equal:
            return f"DIFFERS: {stored} is the same, the probabilities of its distribution are not; {self._code()}"
        computed = f"{self.again.point!r} [{self.again.lower!r}, {self.again.upper!r}]"
        return f"DIFFERS: {self._code()}; stored {stored}, computed {computed}"

    def _code(self) -> str:
        """Whether other code may be why."""
        if self.row.code_version == code_version():
            return "the code is the same"
        return f"it was computed by code {self.row.code_version}, this is {code_version()}"

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "prediction_id": str(self.row.id),
            "equal": self.equal,
            "model_version": self.row.model_version,
            "model_digest": self.row.model_digest,
            "stored": [self.row.point, self.row.lower, self.row.upper],
            "computed": [self.again.point, self.again.lower, self.again.upper],
            "code_version": self.row.code_version,
            "code_version_now": code_version(),
            "distribution_equal": self.again.distribution_equal,
        }


def reproduce_prediction(settings: Settings, prediction_id: str) -> Reproduction:
    """Raises NoSuchPrediction, RegistryUnavailable, BundleError."""
    try:
        wanted = UUID(prediction_id)
    except ValueError as error:
        raise NoSuchPrediction(f"{prediction_id!r} is not a prediction id: it looks like {UUID(int=0)}") from error
    with wiring.store(settings) as store:
        row = store.prediction(wanted)
        if row is None:
            raise NoSuchPrediction(f"no prediction {wanted} in the database: take an id from /predict or the board")
        model = _model(settings, row)
        if model.calibration_id != row.calibration_id:
            model = _moved(store, row, model)
    return Reproduction(row, reproduce(row, model))


def _moved(store: Store, row: PredictionRow, model: Ensemble) -> Ensemble:
    """The model with its calibration moved over the games that were settled when the row was made, where that is what
    the row says."""
    settlements = store.calibration(row.model_digest, row.calibration_id)
    if settlements is None:
        return model
    return recalibrate(model, store.games_of_settlements(settlements), minimum=1).ensemble


def _model(settings: Settings, row: PredictionRow) -> Ensemble:
    """The very model that answered: a version number may mean another one in another registry, a digest cannot."""
    if row.model_version == fallback.VERSION and row.model_digest == fallback.digest():
        return fallback.fallback()
    if settings.bundle is not None and read_manifest(settings.bundle).digest == row.model_digest:
        return load_bundle(settings.bundle, row.model_digest)
    try:
        return wiring.registry(settings).fetch_digest(row.model_digest)
    except NoSuchVersion as error:
        raise NoSuchPrediction(
            f"the model of prediction {row.id}, version {row.model_version}, is not here ({error}): for a bundle"
            " folder set HALFTIME_BUNDLE, for another history HALFTIME_SOURCE, as when the prediction was made"
        ) from error
