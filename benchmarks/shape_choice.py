"""A smoother shape: what smoothing it and trusting the neighbours less would change, on the recorded games.

    HALFTIME_DATA=... python -m benchmarks.shape_choice

The ensemble is trained before each season and walked through it by date, as the backtest does; only the shape differs.
Every row is against the shape as it is served. "CRPS" in millionths of it, below 0 is better, with its standard error
over league dates; "rough" the mean absolute second difference of the distribution within its inner 99%, as a ratio.
Variants are compared on 2016-17 to 2021-22; of 2022-23 only the best of them is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from models.backtest import BacktestSpec, fit_before, masked, rated_season
from models.backtest_walk import dates_of
from models.batch import Batch
from models.calibration import Case
from models.history import History
from models.mixture import Games
from models.shape import CHANGES, corrected, correction, pit_ends, tilted_rows
from services.history import recorded_games
from services.settings import get_settings

MINUTES, CHOSEN_ON, LOOKED_AT = (0, 6, 12, 18, 23), range(2016, 2022), (2022,)
# From here on odd and even changes differ for real: smoothing would mix them.
PARITY_MINUTE = 22
BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
SERVED, BEST = "as served", "all games smoothed, no neighbours"

Floats = NDArray[np.float64]
Parts = Callable[[Floats, Floats, int], tuple[Floats, Floats]]
"""What of all games float64[161] and of the neighbours float64[n, 161] is tilted at a minute."""


def smoothed(shapes: Floats, minute: int) -> Floats:
    """Shapes float64[..., 161] under the binomial kernel, before the minutes in which parity counts."""
    if minute >= PARITY_MINUTE:
        return shapes
    padded = np.pad(shapes, [(0, 0)] * (shapes.ndim - 1) + [(2, 2)])
    return np.asarray(sum(weight * padded[..., at : at + len(CHANGES)] for at, weight in enumerate(BINOMIAL)))


VARIANTS: Mapping[str, Parts] = {
    SERVED: lambda every, near, _: (every, near),
    "neighbours smoothed": lambda every, near, minute: (every, smoothed(near, minute)),
    "both smoothed": lambda every, near, minute: (smoothed(every, minute), smoothed(near, minute)),
    "neighbours a quarter": lambda every, near, _: (1.5 * every, 0.5 * near),
    "both smoothed, a quarter": lambda every, near, minute: (
        1.5 * smoothed(every, minute),
        0.5 * smoothed(near, minute),
    ),
    "no neighbours": lambda every, near, _: (2.0 * every, 0.0 * near),
    BEST: lambda every, near, minute: (2.0 * smoothed(every, minute), 0.0 * near),
}


@dataclass(frozen=True, eq=False)
class Asked:
    """Games at a minute: neighbours' shares, who is known to have the ball, what happened, and the change forecast
    without and with the ball."""

    shares: Floats
    ball: NDArray[np.bool_]
    happened: NDArray[np.int16]
    means: tuple[Floats, Floats]
    dates: NDArray[np.datetime64]

    @classmethod
    def of(cls, batch: Batch, games: Games, happened: NDArray[np.int16], minute: int) -> Asked:
        means = batch.changes(minute, possession=False), batch.changes(minute, possession=True)
        ball = games.history.possession[:, minute] != 0
        return cls(batch._looked(minute)[1], ball, happened, means, games.history.date)


def walked(every: Floats, before: Asked, now: Asked, held: bool, parts: Parts, minute: int, window: int) -> Floats:
    """The season's distributions of the change, float64[n, 161]; ``held`` when the ball is calibrated."""
    out = np.empty_like(now.shares)
    for ball in (False, True) if held else (False,):
        shapes = [tilted_rows(*parts(every, some.shares, minute), some.means[ball]) for some in (before, now)]
        ends = [np.array(pit_ends(*both)) for both in zip(shapes, (before.happened, now.happened), strict=True)]
        past = ends[0][:, before.ball] if ball else ends[0]
        for day in dates_of(now.dates):
            rows = np.arange(day.start, day.stop)
            asked, settled = rows[(now.ball[rows] & held) == ball], rows[now.ball[rows]] if ball else rows
            out[asked] = corrected(shapes[1][asked], correction(*past))
            past = np.concatenate([past, ends[1][:, settled]], axis=1)[:, -window:]
    return out


def scored(pmf: Floats, happened: NDArray[np.int16]) -> tuple[Floats, float]:
    """CRPS float64[n] and the roughness, which is one number."""
    cumulative = pmf.cumsum(axis=1)
    inner = ((cumulative > 0.005) & (cumulative < 0.995))[:, 1:-1]
    return ((cumulative - (happened[:, None] <= CHANGES)) ** 2).sum(axis=1), float(
        np.abs(np.diff(pmf, 2, axis=1))[inner].mean()
    )


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    folder = get_settings().data
    if folder is None:
        raise SystemExit("set HALFTIME_DATA to a folder of recorded games: this is about real seasons")
    history, spec = History.from_frame(recorded_games(folder), "recorded"), BacktestSpec(minutes=MINUTES)
    found: dict[tuple[str, int, int], tuple[Floats, float]] = {}
    dates: dict[int, NDArray[np.datetime64]] = {}
    with threadpool_limits(1):
        for season in (*CHOSEN_ON, *LOOKED_AT):
            fitted, games = fit_before(history, season, spec), rated_season(history, season, spec)
            dates[season] = games.history.date
            for minute in MINUTES:
                every, asked = fitted.ensemble.mixture.dejavu.prior(minute), []
                for whole in (fitted.calibration, games):
                    seen, happened = masked(whole, minute), whole.history.change(minute)
                    batch = Batch(fitted.ensemble.mixture, seen, rated=True)
                    asked.append(Asked.of(batch, seen, happened, minute))
                held = Case(minute, True, True) in fitted.ensemble.calibration
                for name in VARIANTS if season in CHOSEN_ON else (SERVED, BEST):
                    pmf = walked(every, *asked, held, VARIANTS[name], minute, spec.window)
                    found[name, season, minute] = scored(pmf, asked[1].happened)
    table = Table("", "seasons", *(f"minute {minute}" for minute in MINUTES), title="CRPS, millionths (rough, ratio)")
    for seasons in (CHOSEN_ON, LOOKED_AT):
        for name in VARIANTS:
            if (name, seasons[0], 0) in found and name != SERVED:
                cells = [_cell(found, dates, name, tuple(seasons), minute) for minute in MINUTES]
                table.add_row(name, f"{seasons[0]}-{seasons[-1]}", *cells)
    Console(width=160).print(table)


def _cell(
    found: Mapping[tuple[str, int, int], tuple[Floats, float]],
    dates: Mapping[int, NDArray[np.datetime64]],
    name: str,
    seasons: tuple[int, ...],
    minute: int,
) -> str:
    ours, served = (np.concatenate([found[one, season, minute][0] for season in seasons]) for one in (name, SERVED))
    rough = [np.mean([found[one, season, minute][1] for season in seasons]) for one in (name, SERVED)]
    _, day = np.unique(np.concatenate([dates[season] for season in seasons]), return_inverse=True)
    gap, total = ours - served, served.sum()
    error = np.sqrt((np.bincount(day, gap - gap.mean()) ** 2).sum())
    return f"{1e6 * gap.sum() / total:+.0f} +- {1e6 * error / total:.0f} ({rough[0] / rough[1]:.2f})"


if __name__ == "__main__":
    main()
