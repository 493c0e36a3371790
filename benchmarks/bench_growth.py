"""How a forecast grows with the history, beside a flat faiss index asked for as many neighbours in the same space."""

from __future__ import annotations

from collections.abc import Callable

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.bench_forecast import asker
from benchmarks.table import Row, say
from benchmarks.timing import Floats, Ratio, in_turns
from benchmarks.worlds import ensemble
from models.clock import OFFICIAL_MINUTE
from models.dejavu import RATING_WEIGHT, Dejavu
from models.mixture import Games

SIZES = (16_000, 100_000, 1_000_000)
ASKED, REPETITIONS, CALIBRATION_GAMES = 20, 10, 100


def run() -> list[Row]:
    """The rows of this benchmark."""
    times: dict[int, dict[str, Floats]] = {}
    with threadpool_limits(1):
        for size in SIZES:
            say(f"bench_growth: a model of {size:,} games")
            model, late = ensemble(size, minutes=(OFFICIAL_MINUTE,), calibration_games=CALIBRATION_GAMES)
            games = late.take(np.linspace(0, len(late) - 1, ASKED).astype(int))
            calls = {"forecast": asker(model, games), "faiss": flat_index(model.mixture.dejavu, games)}
            times[size] = in_turns(calls, REPETITIONS, ASKED)
    rows = []
    for size in SIZES:
        for name in ("faiss", "forecast"):
            ratio = Ratio.of(times[size][name], times[SIZES[0]][name])
            target = (
                f"<= {np.median(times[size]['faiss'] / times[SIZES[0]]['faiss']):.1f}" if name == "forecast" else ""
            )
            grown = (f"{SIZES[0]:,} games", ratio, target) if size != SIZES[0] else ("", None, "")
            rows.append(Row("growth", f"{name}, {size:,} games", float(np.median(times[size][name])), "us", *grown))
    return rows


def flat_index(dejavu: Dejavu, games: Games) -> Callable[[int], object]:
    """The nearest games by faiss, asked for the game at a place."""
    pattern = slice(1, OFFICIAL_MINUTE + 1)

    def coordinates(margins: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        return np.concatenate([RATING_WEIGHT * np.rint(ratings)[:, None], margins[:, pattern]], axis=1).astype(
            np.float32
        )

    index = faiss.IndexFlatL2(OFFICIAL_MINUTE + 1)
    index.add(coordinates(dejavu.margins, dejavu.ratings))
    asked = coordinates(games.history.margins, games.ratings)
    return lambda place: index.search(asked[place : place + 1], dejavu.neighbours)
