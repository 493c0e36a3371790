"""Which online calibration: the backtest behind docs/calibration.md, on the recorded games of HALFTIME_DATA.

Points come from a forecaster that takes seconds, a linear change on lead and rating fitted on all earlier seasons, so
that what is compared is the calibration alone. Every method forecasts a league date before it learns from it.

    python -m benchmarks.calibration_choice [first season] [last season] [shuffles]

With shuffles the dates of each season are also put into random orders, which keeps the scores and removes the order:
it tells how often a method leaves 94.5..95.5% by chance.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.adaptive import WINDOW, Adaptive, Settled, by_date, replay
from models.adaptive_rules import Aci, Floats, Integrator, Rolling, Rule
from models.conformal import CalibrationSet, nonconformity
from models.history import History
from models.ratings import rate_history

MINUTES = (0, 6, 12, 18, 23)
LEVELS = (0.8, 0.9, 0.95)
ALPHAS = (0.2, 0.1, 0.05)
WARM_UP = 2014
"""The first season with residuals: it only calibrates."""


@dataclass(frozen=True, eq=False)
class Residuals:
    """Errors float64[n] of one minute, one a game, with league ``dates``, ``seasons`` and ``game_ids`` [n]."""

    dates: NDArray[np.datetime64]
    seasons: NDArray[np.int16]
    game_ids: NDArray[np.str_]
    residuals: Floats

    def __len__(self) -> int:
        return len(self.dates)

    def take(self, rows: NDArray[Any]) -> Residuals:
        """The games at ``rows``."""
        return Residuals(self.dates[rows], self.seasons[rows], self.game_ids[rows], self.residuals[rows])

    def of(self, season: int) -> Residuals:
        """The games of one season."""
        return self.take(self.seasons == season)

    def after(self, season: int) -> Residuals:
        """The games of later seasons."""
        return self.take(self.seasons > season)

    def days(self) -> list[Settled]:
        """League date by league date."""
        return by_date(self.dates, self.seasons, self.game_ids.tolist(), self.residuals)

    def calibration(self) -> CalibrationSet:
        """All of them as a calibration set."""
        return CalibrationSet(tuple(self.game_ids.tolist()), self.residuals)

    def shuffled(self, chance: np.random.Generator) -> Residuals:
        """The whole dates of each season in a random order."""
        order = chance.permutation(np.unique(self.dates))
        place = np.argsort(order)[np.searchsorted(np.unique(self.dates), self.dates)]
        mixed = self.take(np.lexsort((place, self.seasons)))
        new_day = np.concatenate([[0], np.cumsum(mixed.dates[1:] != mixed.dates[:-1])])
        return replace(mixed, dates=np.datetime64("2000-01-01") + new_day)


def residuals_of(history: History, ratings: Floats, minute: int) -> Residuals:
    """Walk-forward errors of change ~ 1 + lead + rating, from ``WARM_UP`` on; each season fitted on those before it."""
    lead, change = history.margins[:, minute].astype(np.float64), history.change(minute).astype(np.float64)
    features = np.column_stack([np.ones(len(history)), lead, ratings])
    errors = np.zeros(len(history))
    for season in range(WARM_UP, int(history.season.max()) + 1):
        past, now = history.season < season, history.season == season
        gram = features[past].T @ features[past] + 1e-6 * np.eye(3)
        errors[now] = change[now] - features[now] @ np.linalg.solve(gram, features[past].T @ change[past])
    rows = history.season >= WARM_UP
    return Residuals(history.date[rows], history.season[rows], history.game_id[rows], errors[rows])


@dataclass(frozen=True, eq=False)
class QuantileTracker:
    """Each level's quantile moved by ``step`` * (misses - promised), the P-control of Angelopoulos, Candes and
    Tibshirani (2023). ``step`` is in units of the score."""

    quantiles: dict[float, float]
    step: float

    def half_width(self, alpha: float) -> float:
        """The tracked quantile."""
        return self.quantiles[alpha]

    def update(self, day: Settled) -> QuantileTracker:
        """Up for misses, down for the lack of them."""
        scores = nonconformity(day.residuals)
        return replace(
            self,
            quantiles={
                alpha: max(0.0, now + self.step * (np.count_nonzero(scores > now) - alpha * len(scores)))
                for alpha, now in self.quantiles.items()
            },
        )


Method = Callable[[Residuals], Floats]
"""Half-widths float64[games after WARM_UP, ALPHAS]."""


def last_season(games: Residuals) -> Floats:
    """Plain split conformal: each season is calibrated on the one before."""
    widths: list[list[float]] = []
    for season in range(WARM_UP + 1, int(games.seasons.max()) + 1):
        before = games.of(season - 1).calibration()
        widths += [[before.quantile(alpha) for alpha in ALPHAS]] * len(games.of(season))
    return np.array(widths)


def tracker(step: float) -> Method:
    """The tracker with ``step`` in units of the first season's root mean square error."""

    def run(games: Residuals) -> Floats:
        first = games.of(WARM_UP).calibration()
        start = QuantileTracker({alpha: first.quantile(alpha) for alpha in ALPHAS}, step * first.sd)
        return replay(start, games.after(WARM_UP).days(), ALPHAS)[0]

    return run


def rolling(rule: Rule, window: int = WINDOW, endless: bool = False) -> Method:
    """A rule over a rolling set; with one ledger for all seasons when ``endless``."""

    def run(games: Residuals) -> Floats:
        start = Adaptive(games.of(WARM_UP).calibration(), rule=rule, window=window)
        days = games.after(WARM_UP).days()
        return replay(start, [replace(day, season=0) for day in days] if endless else days, ALPHAS)[0]

    return run


def within_night(games: Residuals) -> Floats:
    """The chosen method, each game calibrated also on half of those before it on its date: early games of an evening
    are settled when late ones tip off."""
    state = Adaptive(games.of(WARM_UP).calibration())
    widths: list[list[float]] = []
    for day in games.after(WARM_UP).days():
        for place in range(len(day.game_ids)):
            over = slice(0, place // 2)
            now = state.update(replace(day, game_ids=day.game_ids[over], residuals=day.residuals[over]))
            widths.append([(now if place > 1 else state).half_width(alpha) for alpha in ALPHAS])
        state = state.update(day)
    return np.array(widths)


METHODS: dict[str, Method] = {
    "last season": last_season,
    **{f"rolling {window}": rolling(Rolling(), window) for window in (600, 1300, 2600)},
    **{f"ACI {gamma}": rolling(Aci(gamma), endless=True) for gamma in (0.002, 0.005, 0.01, 0.02)},
    **{f"ACI {gamma}, by season": rolling(Aci(gamma)) for gamma in (0.0025, 0.005, 0.01)},
    **{f"tracker {step}": tracker(step) for step in (0.01, 0.02, 0.04, 0.08)},
    **{f"integrator {bound}": rolling(Integrator(bound)) for bound in (4.5, 5.5, 6.5, 8.0)},
    "integrator 5.5, 2600": rolling(Integrator(), 2600),
    "integrator 5.5, night": within_night,
}
CHOSEN = "integrator 5.5"
ROW = "{:22} {:>11} {:>11} {:>8} {:>7} {:>9} {:>7} {:>7} {:>7}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A method over seasons and minutes: ``coverage`` float64[minutes, seasons, levels] in percent, ``thirds``
    float64[minutes, seasons, 3] that of 95% in each third of a season, ``score`` float64[minutes, levels] the mean
    interval score."""

    coverage: Floats
    thirds: Floats
    score: Floats

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Whether a season at 95% left 94.5..95.5%, bool[minutes, seasons]."""
        return np.abs(self.coverage[..., -1] - 95.0) > 0.5


def judge(by_minute: Mapping[int, Residuals], method: Method, seasons: Sequence[int]) -> Verdict:
    """``method`` on ``seasons``."""
    coverage, thirds, score = [], [], []
    for games in by_minute.values():
        widths, later = method(games), games.after(WARM_UP)
        sizes = np.abs(later.residuals)[:, None]
        inside = 100.0 * (sizes <= widths)
        chosen = [inside[later.seasons == season] for season in seasons]
        coverage.append([held.mean(axis=0) for held in chosen])
        thirds.append([[part[:, -1].mean() for part in np.array_split(held, 3)] for held in chosen])
        rows = np.isin(later.seasons, seasons)
        loss = 2.0 * widths + 2.0 / np.array(ALPHAS) * np.maximum(sizes - widths, 0.0)
        score.append(loss[rows].mean(axis=0))
    return Verdict(np.array(coverage), np.array(thirds), np.array(score))


def main() -> None:
    """Print one row a method."""
    first, last, shuffles = (int(value) for value in (*sys.argv[1:], *("2015", "2021", "0")[len(sys.argv) - 1 :]))
    frame = pd.read_parquet(Path(os.environ["HALFTIME_DATA"]) / "games.parquet")
    history = History.from_frame(frame, "recorded")
    ratings, _ = rate_history(history)
    by_minute = {minute: residuals_of(history, ratings, minute) for minute in MINUTES}
    seasons = range(first, last + 1)
    print(ROW.format("", "80%", "95%", "outside", "thirds", "by chance", *(f"IS {level:.0%}" for level in LEVELS)))
    chance = np.random.default_rng(1)
    shuffled = [{at: games.shuffled(chance) for at, games in by_minute.items()} for _ in range(shuffles)]
    base = judge(by_minute, last_season, seasons).score
    for name, method in METHODS.items():
        seen = judge(by_minute, method, seasons)
        outside = [judge(games, method, seasons).outside for games in shuffled]
        low, high = seen.coverage.min(axis=(0, 1)), seen.coverage.max(axis=(0, 1))
        print(
            ROW.format(
                name,
                f"{low[0]:.1f}..{high[0]:.1f}",
                f"{low[-1]:.1f}..{high[-1]:.1f}",
                f"{seen.outside.sum()} of {seen.outside.size}",
                f"{seen.thirds.std():.2f}",
                f"{100 * np.mean(outside):.1f}%" if outside else "",
                *(f"{ratio:.4f}" for ratio in (seen.score / base).mean(axis=0)),
            )
        )


if __name__ == "__main__":
    main()
