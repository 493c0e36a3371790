"""Compute a stored prediction again, from its row and the model it names."""

from __future__ import annotations

from typing import NamedTuple

from models.ensemble import Ensemble
from services.store_rows import PredictionRow


class WrongModelError(ValueError):
    """The model at hand is not the one that made the prediction."""


class Reproduced(NamedTuple):
    """The numbers computed again, and whether each has the same bits as the stored one."""

    point: float
    lower: float
    upper: float
    equal: bool


def reproduce(row: PredictionRow, ensemble: Ensemble) -> Reproduced:
    """``ensemble`` must be the model whose digest is the row's ``model_digest``.

    Raises WrongModelError when its calibration is not the row's; ForecastError when it cannot answer.
    """
    if ensemble.calibration_id != row.calibration_id:
        raise WrongModelError(
            f"prediction {row.id} was calibrated by {row.calibration_id}, this model by {ensemble.calibration_id}:"
            f" fetch version {row.model_version} with digest {row.model_digest}"
        )
    again = ensemble.forecast(row.pattern, row.minute, row.alpha, row.context.get("rating_difference"))
    numbers = (again.point, again.interval.lower, again.interval.upper)
    return Reproduced(*numbers, equal=numbers == (row.point, row.lower, row.upper))
