"""Dejavu: the past games whose first minutes looked most like this one, and what happened next.

Nearest neighbours on the raw margins (Garnier 2021 matched z-scored ones, which deletes the lead) under the Euclidean
distance; the answer is the mean change margin(24) - margin(minute) of the neighbours, not the mean of their outcomes.
Every game as near as the k-th counts, so a tie is never cut by the order of the rows, and after 0 minutes, when all
games are equally near, the answer is the mean of all.

Margins are whole numbers, so squared distances are whole numbers below 2**24: float32 holds them exactly, and the
answer has the same bits under any BLAS, thread count and order of the history.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.clock import HALFTIME_MINUTE
from models.forecast import SimilarGame
from models.history import History, as_date

_BATCH_ROWS = 256


class HistoryTooSmall(ValueError):
    """Fewer games than neighbours asked for."""


@dataclass(frozen=True, eq=False)
class Dejavu:
    """``game_id`` U10[n], ``date`` datetime64[D][n], ``home``/``away`` U3[n], ``margins`` int16[n, 25]
    margin(0)..margin(24), in (date, game_id) order; ``neighbours`` is k. Raises HistoryTooSmall when n < k."""

    game_id: NDArray[np.str_]
    date: NDArray[np.datetime64]
    home: NDArray[np.str_]
    away: NDArray[np.str_]
    margins: NDArray[np.int16]
    neighbours: int

    def __post_init__(self) -> None:
        n = len(self.game_id)
        if not 1 <= self.neighbours <= n:
            raise HistoryTooSmall(
                f"{self.neighbours} neighbours asked of a history of {n} games: load more or ask fewer"
            )
        if self.margins.shape != (n, HALFTIME_MINUTE + 1):
            raise ValueError(f"margins has shape {self.margins.shape}, not ({n}, {HALFTIME_MINUTE + 1})")

    @classmethod
    def from_history(cls, history: History, neighbours: int) -> Dejavu:
        """Remember every game of ``history``."""
        margins = np.ascontiguousarray(history.margins[:, : HALFTIME_MINUTE + 1])
        return cls(history.game_id, history.date, history.home, history.away, margins, neighbours)

    @cached_property
    def _columns(self) -> NDArray[np.float32]:
        """margin(1)..margin(24) as float32[24, n]: the first ``minute`` rows are what a pattern is compared with."""
        return np.ascontiguousarray(self.margins[:, 1:].T.astype(np.float32))

    @cached_property
    def _norms(self) -> NDArray[np.float32]:
        """float32[25, n]: row m is the sum of the squares of margin(1)..margin(m)."""
        none = np.zeros((1, len(self.game_id)), dtype=np.float32)
        return np.concatenate([none, np.cumsum(self._columns**2, axis=0, dtype=np.float32)])

    @cached_property
    def _changes(self) -> NDArray[np.int32]:
        """int32[24, n]: row m is margin(24) - margin(m)."""
        wide = self.margins.astype(np.int32)
        return np.ascontiguousarray((wide[:, HALFTIME_MINUTE, None] - wide[:, :HALFTIME_MINUTE]).T)

    def warm(self) -> None:
        """Compute now what the first forecast would otherwise wait for."""
        _ = self._columns, self._norms, self._changes

    def look(self, pattern: NDArray[np.float64], similar: int) -> tuple[float, tuple[SimilarGame, ...]]:
        """The mean change of the nearest games, in points, and the ``similar`` most similar of them.

        ``pattern`` float64[minute]. Equally similar games come newest first.
        """
        minute = len(pattern)
        squared = self._squared(pattern.astype(np.float32)[None, :], minute)[0]
        kth = np.partition(squared, self.neighbours - 1)[self.neighbours - 1]
        near = np.flatnonzero(squared <= kth)
        change = int(self._changes[minute][near].sum()) / len(near)
        return change, self._most_similar(squared, near, similar, float((pattern**2).sum()), minute)

    def changes(self, patterns: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean change for each row of ``patterns`` float64[q, minute]; float64[q], the same numbers as ``look``."""
        minute = patterns.shape[1]
        change = self._changes[minute].astype(np.float64)
        out = np.empty(len(patterns), dtype=np.float64)
        for start in range(0, len(patterns), _BATCH_ROWS):
            squared = self._squared(patterns[start : start + _BATCH_ROWS].astype(np.float32), minute)
            kth = np.partition(squared, self.neighbours - 1, axis=1)[:, self.neighbours - 1, None]
            near = (squared <= kth).astype(np.float64)
            out[start : start + _BATCH_ROWS] = (near @ change) / near.sum(axis=1)
        return out

    def _squared(self, patterns: NDArray[np.float32], minute: int) -> NDArray[np.float32]:
        """Squared distances less the pattern's own norm, which changes no order: float32[q, n]."""
        products: NDArray[np.float32] = patterns @ self._columns[:minute]
        products *= np.float32(-2.0)
        products += self._norms[minute]
        return products

    def _most_similar(
        self, squared: NDArray[np.float32], near: NDArray[np.intp], count: int, own_norm: float, minute: int
    ) -> tuple[SimilarGame, ...]:
        distance = squared[near]
        last = np.partition(distance, min(count, len(near)) - 1)[min(count, len(near)) - 1]
        shortlist = near[distance <= last]
        best = shortlist[np.lexsort((-shortlist, squared[shortlist]))[:count]]
        return tuple(self._similar(int(row), float(squared[row]) + own_norm, minute) for row in best)

    def _similar(self, row: int, squared: float, minute: int) -> SimilarGame:
        path: list[int] = self.margins[row].tolist()
        return SimilarGame(
            game_id=str(self.game_id[row]),
            date=as_date(self.date[row]),
            home=str(self.home[row]),
            away=str(self.away[row]),
            similarity_distance=(max(squared, 0.0) / max(minute, 1)) ** 0.5,
            pattern=path[1 : minute + 1],
            change=path[HALFTIME_MINUTE] - path[minute],
            margin_24=path[HALFTIME_MINUTE],
            path=path,
        )
