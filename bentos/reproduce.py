"""Compute a stored prediction again, from its row and the model it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from models.distribution import MarginDistribution
from models.ensemble import Ensemble
from services.answer import possession_sign
from services.store_rows import PredictionRow


class WrongModelError(ValueError):
    """The model at hand is not the one that made the prediction."""


class Reproduced(NamedTuple):
    """What was computed again, and whether it has the same bits as what is stored.

    ``numbers_equal`` is about point, lower and upper; ``distribution_equal`` about each probability, None when the row
    is older than distributions.
    """

    point: float
    lower: float
    upper: float
    distribution: MarginDistribution
    numbers_equal: bool
    distribution_equal: bool | None

    @property
    def equal(self) -> bool:
        """Whether everything that is stored has the same bits."""
        return self.numbers_equal and self.distribution_equal is not False


def reproduce(row: PredictionRow, ensemble: Ensemble) -> Reproduced:
    """``ensemble`` must be the model whose digest is the row's ``model_digest``.

    Raises WrongModelError when its calibration is not the row's; ForecastError when it cannot answer.
    """
    if ensemble.calibration_id != row.calibration_id:
        raise WrongModelError(
            f"prediction {row.id} was calibrated by {row.calibration_id}, this model by {ensemble.calibration_id}:"
            f" fetch version {row.model_version} with digest {row.model_digest}"
        )
    has_ball = possession_sign(row.context.get("possession"))
    again = ensemble.forecast(row.pattern, row.minute, row.alpha, row.context.get("rating_difference"), has_ball)
    numbers = (again.point, again.interval.lower, again.interval.upper)
    stored = row.components.get("distribution")
    return Reproduced(
        *numbers,
        distribution=again.distribution,
        numbers_equal=numbers == (row.point, row.lower, row.upper),
        distribution_equal=None if stored is None else _same(stored, again.distribution),
    )


def _same(stored: Mapping[str, Any], again: MarginDistribution) -> bool:
    return all(stored.get(name) == value for name, value in again.as_dict().items())
