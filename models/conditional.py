"""Conditional coverage: does the promise hold for each kind of game, or only on average?

A conformal interval is right over all games together. Kinds can still be badly served, one too wide and another too
narrow, and no finite sample can promise otherwise (Barber, Candes, Ramdas and Tibshirani 2021, "The limits of
distribution-free conditional predictive inference"). So it is measured and shown with what chance alone would do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.metrics import coverage, interval_score

Floats = NDArray[np.float64]

LEAD_BINS = (0, 3, 6, 10, 15)
"""Where the bins of lead sizes begin, in points."""

# A rating this close to 0, in points of final margin, makes nobody the favourite.
EVEN_RATING = 1.0
_Z = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Answered:
    """n answered forecasts, several a game if several minutes were forecast. Arrays [n].

    ``game_id``; ``season`` int; ``season_type`` regular or playoffs; ``date`` datetime64[D]; ``minute`` int 0..23;
    ``lead`` margin at that minute, points; ``rating`` expected final margin, NaN when unknown; ``lower``, ``upper``
    closed interval and ``actual`` margin at the half, points. Raises ValueError unless all have n > 0 entries.
    """

    game_id: NDArray[np.str_]
    season: NDArray[np.integer]
    season_type: NDArray[np.str_]
    date: NDArray[np.datetime64]
    minute: NDArray[np.integer]
    lead: Floats
    rating: Floats
    lower: Floats
    upper: Floats
    actual: Floats

    def __post_init__(self) -> None:
        sizes = {name: len(values) for name, values in vars(self).items()}
        if len(set(sizes.values())) != 1 or not sizes["actual"]:
            raise ValueError(f"answered forecasts of unequal length, or none: {sizes}")


@dataclass(frozen=True, slots=True)
class Kind:
    """Coverage of one kind of forecast: ``by`` says what kinds are told apart by, ``kind`` which one this is.

    ``coverage_lower``..``coverage_upper`` is the 95% Wilson range (1927) as if each game counted once, because the
    forecasts of one game miss together. ``mean_width`` and ``interval_score`` (mean, Winkler 1972) are in points.
    """

    by: str
    kind: str
    n: int
    games: int
    coverage: float
    coverage_lower: float
    coverage_upper: float
    mean_width: float
    interval_score: float


def conditional_coverage(seen: Answered, alpha: float) -> list[Kind]:
    """All forecasts together, then by minute, lead size, phase of the season and favourite; empty kinds are left out.

    The phases are thirds of each season's regular games, by date, and the playoffs.
    """
    return [_measured(seen, by, kind, rows, alpha) for by, kind, rows in _kinds(seen) if rows.any()]


def lead_size(begin: int) -> str:
    """The name of the bin of lead sizes that begins at ``begin``, one of ``LEAD_BINS``."""
    end = min((edge for edge in LEAD_BINS if edge > begin), default=None)
    return f"{begin}+" if end is None else f"{begin}-{end - 1}"


def wilson(rate: float, n: int) -> tuple[float, float]:
    """95% range of a share ``rate`` seen in n > 0 cases."""
    centre = rate + _Z**2 / (2 * n)
    half = _Z * math.sqrt(rate * (1.0 - rate) / n + _Z**2 / (4 * n**2))
    return max(0.0, (centre - half) / (1 + _Z**2 / n)), min(1.0, (centre + half) / (1 + _Z**2 / n))


def _kinds(seen: Answered) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    yield "all", "all", np.ones(len(seen.actual), dtype=bool)
    for minute in np.unique(seen.minute).tolist():
        yield "minute", str(minute), seen.minute == minute
    size = np.abs(seen.lead)
    for begin, end in zip(LEAD_BINS, (*LEAD_BINS[1:], math.inf), strict=True):
        yield "lead size", lead_size(begin), (begin <= size) & (size < end)
    phase = _phases(seen)
    for name in ("first third", "second third", "last third", "playoffs"):
        yield "season phase", name, phase == name
    yield "favourite", "home", seen.rating > EVEN_RATING
    yield "favourite", "away", seen.rating < -EVEN_RATING
    yield "favourite", "nobody", np.abs(seen.rating) <= EVEN_RATING
    yield "favourite", "not rated", np.isnan(seen.rating)


def _phases(seen: Answered) -> NDArray[np.str_]:
    phase = np.where(seen.season_type == "playoffs", "playoffs", "first third").astype("U12")
    for season in np.unique(seen.season):
        rows = (seen.season == season) & (seen.season_type != "playoffs")
        if rows.any():
            dates = np.sort(seen.date[rows])
            second, last = dates[len(dates) // 3], dates[2 * len(dates) // 3]
            phase[rows & (seen.date >= second)] = "second third"
            phase[rows & (seen.date >= last)] = "last third"
    return phase


def _measured(seen: Answered, by: str, kind: str, rows: NDArray[np.bool_], alpha: float) -> Kind:
    lower, upper, actual = seen.lower[rows], seen.upper[rows], seen.actual[rows]
    found = coverage(lower, upper, actual)
    games = len(np.unique(seen.game_id[rows]))
    low, high = wilson(found.rate, games)
    score = float(np.mean(interval_score(lower, upper, actual, alpha)))
    return Kind(by, kind, found.n, games, found.rate, low, high, found.mean_width, score)
