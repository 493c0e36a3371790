"""Compute a stored prediction again, from its row and the model it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from models.forecast import Forecaster


class WrongModelError(ValueError):
    """The model at hand is not the one that made the prediction."""


class Reproduced(NamedTuple):
    """The numbers computed again, and whether each has the same bits as the stored one."""

    point: float
    lower: float
    upper: float
    equal: bool


def reproduce(row: Mapping[str, Any], ensemble: Forecaster) -> Reproduced:
    """``row`` of table ``predictions``, ``ensemble`` the model with its ``model_digest``.

    Raises WrongModelError when the ensemble's calibration is not the row's; ForecastError when it cannot answer.
    """
    calibration_id = getattr(ensemble, "calibration_id", row["calibration_id"])
    if calibration_id != row["calibration_id"]:
        raise WrongModelError(
            f"prediction {row['id']} was calibrated by {row['calibration_id']}, this model by {calibration_id}: fetch"
            f" version {row['model_version']} with digest {row['model_digest']}"
        )
    again = ensemble.forecast(
        [float(margin) for margin in row["pattern"]],
        int(row["minute"]),
        float(row["alpha"]),
        row["context"].get("rating_difference"),
    )
    numbers = (again.point, again.interval.lower, again.interval.upper)
    stored = (float(row["point"]), float(row["lower"]), float(row["upper"]))
    return Reproduced(*numbers, equal=numbers == stored)
