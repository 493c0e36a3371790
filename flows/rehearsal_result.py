"""What a rehearsal showed: decisions by date, coverage and width by month beside a model that was never touched."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import pandas as pd

from services.store import PredictionRow

Plant = Literal["none", "drift", "better", "bad"]


@dataclass
class Rehearsal:
    """What happened: ``decisions`` in order, ``forecasts`` one row an official forecast of the platform and of the
    frozen model."""

    plant: Plant
    seed: int
    seasons: tuple[int, ...]
    decisions: list[dict[str, Any]] = field(default_factory=list)
    forecasts: list[dict[str, Any]] = field(default_factory=list)
    versions: int = 0

    def note(self, day: date, what: str, **figures: Any) -> None:
        """Adds a decision."""
        self.decisions.append({"date": day.isoformat(), "what": what, **figures})

    def score(self, day: date, row: PredictionRow, still: PredictionRow, actual: int) -> None:
        """Adds the official forecast of a game, ``row``, and what the frozen model said of it, ``still``."""
        self.forecasts.append(_scored(day, row, still, actual))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        frame = pd.DataFrame(self.forecasts)
        kinds = [one["what"] for one in self.decisions]
        return {
            "plant": self.plant,
            "seed": self.seed,
            "seasons": list(self.seasons),
            "games": len(frame),
            "whole": _figures(frame),
            "months": [{"month": month, **_figures(part)} for month, part in frame.groupby("month")],
            "versions": self.versions,
            "recalibrations": kinds.count("recalibrated"),
            "promotions": kinds.count("promote"),
            "rollbacks": kinds.count("roll-back"),
            "rejections": kinds.count("reject"),
            "decisions": self.decisions,
        }


def _scored(day: date, row: PredictionRow, still: PredictionRow, actual: int) -> dict[str, Any]:
    return {
        "month": f"{day:%Y-%m}",
        "covered": row.lower <= actual <= row.upper,
        "width": row.upper - row.lower,
        "error": actual - row.point,
        "frozen_covered": still.lower <= actual <= still.upper,
        "frozen_width": still.upper - still.lower,
        "frozen_error": actual - still.point,
    }


def _figures(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "n": len(frame),
        "coverage": float(frame["covered"].mean()),
        "mean_width": float(frame["width"].mean()),
        "mae": float(frame["error"].abs().mean()),
        "frozen_coverage": float(frame["frozen_covered"].mean()),
        "frozen_mean_width": float(frame["frozen_width"].mean()),
        "frozen_mae": float(frame["frozen_error"].abs().mean()),
    }
