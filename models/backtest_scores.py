"""From a season's forecasts to its figures: one row for each minute and forecaster, persistence beside every one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import metrics, scoring
from models.backtest_walk import LEVELS, Floats, Predictions

PIT_BINS = 20
COVERAGE_LEVELS = (*(round(0.05 * step, 2) for step in range(1, 20)), 0.98)
CHANCE_BINS = 10
# League dates drawn again say what chance could do only when there are more than a handful.
RANGE_DATES = 20

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Scores:
    """What one forecaster's forecasts at one minute of one season cost, float64[n] each: squared error, CRPS and the
    interval score at 95%. ``row`` are the figures; ``pit`` counts [20] of the randomised PIT; ``covered`` counts of
    outcomes inside the central interval at COVERAGE_LEVELS; ``chances`` rows of (games, sum of P(home leads), home
    led) [10, 3]."""

    row: Row
    squared: Floats
    crps: Floats
    winkler: Floats
    pit: NDArray[np.int64]
    covered: NDArray[np.int64]
    chances: Floats


def score(name: str, minute: int, season: int, said: Predictions, actual: Floats) -> Scores:
    """Everything that needs no other forecaster; ``skills`` gives the rest."""
    whole = actual.astype(np.int64)
    errors = actual - said.points
    crps = scoring.crps_discrete(said.first, said.pmf, whole)
    leads = scoring.who_leads(said.first, said.pmf)
    row: Row = {
        "season": season,
        "minute": minute,
        "forecaster": name,
        "n": len(actual),
        "mae": metrics.mae(errors),
        "rmse": metrics.rmse(errors),
        "crps": float(crps.mean()),
        "brier": float(scoring.brier_home_leads(leads[:, 0], whole).mean()),
        "mse_skill": 0.0,
        "crps_skill": 0.0,
    }
    inside = [metrics.coverage(said.lower[:, i], said.upper[:, i], actual) for i in range(len(LEVELS))]
    winkler = [
        metrics.interval_score(said.lower[:, i], said.upper[:, i], actual, 1.0 - level)
        for i, level in enumerate(LEVELS)
    ]
    row |= {f"coverage_{_percent(level)}": found.rate for level, found in zip(LEVELS, inside, strict=True)}
    row |= {"width_95": inside[-1].mean_width, "interval_score_95": float(winkler[-1].mean())}
    row |= {
        "log_score": float(scoring.log_score_who_leads(leads, whole).mean()),
        "width_80": inside[0].mean_width,
        "width_90": inside[1].mean_width,
        "interval_score_80": float(winkler[0].mean()),
        "interval_score_90": float(winkler[1].mean()),
        "bias": float(errors.mean()),
    }
    pit = scoring.pit_randomised(said.first, said.pmf, whole, seed=season * 100 + minute)
    spread = np.abs(2.0 * pit - 1.0)
    place = np.minimum((leads[:, 0] * CHANCE_BINS).astype(np.int64), CHANCE_BINS - 1)
    chances = [
        np.bincount(place, weights=w, minlength=CHANCE_BINS) for w in (np.ones(len(whole)), leads[:, 0], whole > 0)
    ]
    return Scores(
        row=row,
        squared=errors**2,
        crps=crps,
        winkler=winkler[-1],
        pit=np.bincount(np.minimum((pit * PIT_BINS).astype(np.int64), PIT_BINS - 1), minlength=PIT_BINS),
        covered=np.array([int((spread <= level).sum()) for level in COVERAGE_LEVELS]),
        chances=np.stack(chances, axis=1),
    )


def skills(found: Sequence[Scores], baseline: Sequence[Scores], dates: NDArray[np.datetime64]) -> list[Row]:
    """Skill of each of ``found`` against its ``baseline`` on the same n games, with 95% bootstrap ranges over the
    league ``dates`` [n]; None as ``ranged`` says."""
    rows: list[Row] = [{} for _ in found]
    different = len(np.unique(dates))
    for name, losses in (("mse_skill", "squared"), ("crps_skill", "crps")):
        ours, theirs = (np.stack([getattr(one, losses) for one in some], axis=1) for some in (found, baseline))
        for row, skill in zip(rows, metrics.skills(ours, theirs, dates), strict=True):
            row |= dict(zip((name, f"{name}_lower", f"{name}_upper"), ranged(skill, different), strict=True))
    return rows


def ranged(skill: metrics.Skill | None, dates: int) -> tuple[float | None, float | None, float | None]:
    """Value, lower and upper end: all None where skill is not defined; no range from fewer than ``RANGE_DATES`` league
    dates, or where its ends are not finite."""
    if skill is None:
        return None, None, None
    if dates < RANGE_DATES or not math.isfinite(skill.upper - skill.lower):
        return skill.value, None, None
    return skill.value, skill.lower, skill.upper


def _percent(level: float) -> int:
    return round(100 * level)
