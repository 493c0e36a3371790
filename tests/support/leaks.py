"""Does a forecast know what it cannot know? A check for any walk-forward forecaster.

Everything that happens after the minute of a forecast on a date is changed, in the games of that date and of all later
ones. A forecast for that date, or one before it, that is not the same bits as before has seen the future.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from models.backtest_walk import Predictions
from models.history import History

Walk = Callable[[History], Mapping[str, Predictions]]
"""What each forecaster says of one season's games, in date order, at one minute."""


def altered(history: History, day: np.datetime64, minute: int, seed: int = 5) -> History:
    """``history`` with other outcomes from ``day`` on: games of that day after ``minute``, later games altogether."""
    generator = np.random.default_rng(seed)
    margins, possession, final = history.margins.copy(), history.possession.copy(), history.final_margin.copy()
    other = np.cumsum(generator.integers(-9, 10, margins.shape), axis=1).astype(np.int16)
    same, later = history.date == day, history.date > day
    margins[same, minute + 1 :] = other[same, minute + 1 :]
    margins[later, 1:] = other[later, 1:]
    possession[same, minute + 1 :] *= -1
    possession[later] *= -1
    final[same | later] = generator.integers(20, 60, int((same | later).sum()))
    return replace(history, margins=margins, possession=possession, final_margin=final)


def leaking(walk: Walk, history: History, season: int, day: np.datetime64, minute: int) -> set[str]:
    """Forecasters whose forecasts for ``day`` or before change when the future does."""
    early = history.seasons(season).date <= day
    assert early.any()
    before, after = walk(history), walk(altered(history, day, minute))
    return {name for name, said in before.items() if not _same(said, after[name], early)}


def _same(one: Predictions, other: Predictions, rows: np.ndarray) -> bool:
    parts = (
        np.array_equal(getattr(one, part)[rows], getattr(other, part)[rows])
        for part in ("points", "lower", "upper", "first")
    )
    # One walk's rows may be longer than the other's.
    return all(parts) and all(
        np.array_equal(np.trim_zeros(one.pmf[row], "b"), np.trim_zeros(other.pmf[row], "b"))
        for row in np.flatnonzero(rows).tolist()
    )
