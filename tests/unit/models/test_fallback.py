"""Without a model: persistence, with intervals that hold what they promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import fallback
from models.clock import HALFTIME_MINUTE
from models.history import History
from services.history import recorded_games, simulated_games

MODEL = fallback.fallback()


@pytest.mark.parametrize("minute", [0, 6, 18, 23])
@pytest.mark.parametrize("rating", [None, 9.0])
def test_the_point_is_the_margin_as_it_is_whoever_plays(minute: int, rating: float | None) -> None:
    pattern = [float(each % 4) for each in range(minute)]
    made = MODEL.forecast(pattern, minute, 0.05, rating)
    assert made.point == (pattern[-1] if pattern else 0.0)
    assert made.interval.covers(made.point)
    assert made.distribution.mean == pytest.approx(made.point, abs=0.1)
    assert made.distribution.sd == pytest.approx(fallback.SPREAD[minute] * fallback.WIDENED, rel=0.05)


def test_it_has_a_digest_of_its_own_and_is_the_same_every_time() -> None:
    assert len(fallback.digest()) == 64
    fallback.fallback.cache_clear()
    again = fallback.fallback()
    assert (again.lineage, again.calibration_id) == (MODEL.lineage, MODEL.calibration_id)


def held(history: History, alpha: float) -> float:
    """The lowest coverage of any season and minute."""
    lowest = 1.0
    for season in np.unique(history.season):
        margins = history.margins[history.season == season].astype(float)
        for minute in range(HALFTIME_MINUTE):
            width = MODEL.adaptive[MODEL.case(minute, False, 0)].half_width(alpha)
            covered = np.abs(margins[:, 24] - margins[:, minute]) <= width
            lowest = min(lowest, float(covered.mean()))
    return lowest


# With a minute to go whole margins are too coarse for 80%.
@pytest.mark.parametrize(("alpha", "least"), [(0.05, 0.95), (0.1, 0.9), (0.2, 0.785)])
def test_every_recorded_season_and_minute_holds_its_level(recorded: Path, alpha: float, least: float) -> None:
    assert held(History.from_frame(recorded_games(recorded), "recorded"), alpha) >= least


def test_the_simulated_league_holds_its_level_too() -> None:
    assert held(History.from_frame(simulated_games(15, [2021, 2022]), "simulated"), 0.05) >= 0.94
