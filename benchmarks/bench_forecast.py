"""One forecast with its explanation and its distribution beside the plain floor, and a whole half beside one forecast.

16,000 games are remembered, one core is used; patterns are of real games that calibrated the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.floor import Floor
from benchmarks.table import Row, say
from benchmarks.timing import Ratio, in_turns, part_timed
from benchmarks.worlds import ensemble
from models import dejavu, lstm, mixture
from models import ensemble as ensemble_module
from models.clock import HALFTIME_MINUTE, OFFICIAL_MINUTE
from models.ensemble import Ensemble
from models.forecast import Forecast
from models.mixture import Games

GAMES, ASKED, ALPHA = 16_000, 50, 0.05
REPETITIONS = 20
# In the order of the work; what is inside another part is listed after it and taken off it.
PARTS = {
    "distances to all games": (dejavu.Dejavu, "_squared"),
    "the nearest of them": (dejavu.Dejavu, "_near"),
    "similar games told": (dejavu.Dejavu, "_similar"),
    "network": (lstm.Lstm, "change"),
    "shape tilted to the point": (mixture.Mixture, "shape"),
    "shape calibrated": (ensemble_module, "corrected_cumulative"),
    "distribution": (ensemble_module, "_distribution"),
}


def asker(model: Ensemble, games: Games) -> Callable[[int], Forecast]:
    """The official forecast of a game by its place."""
    margins, held = games.history.margins.tolist(), games.history.possession.tolist()

    def ask(place: int) -> Forecast:
        pattern = margins[place][1 : OFFICIAL_MINUTE + 1]
        return model.forecast(
            pattern, OFFICIAL_MINUTE, ALPHA, float(games.ratings[place]), held[place][OFFICIAL_MINUTE]
        )

    return ask


def run() -> list[Row]:
    """The rows of this benchmark."""
    say(f"bench_forecast: a model of {GAMES:,} games")
    with threadpool_limits(1):
        model, late = ensemble(GAMES)
        games = late.take(np.linspace(0, len(late) - 1, ASKED).astype(int))
        return [*_beside_the_floor(model, games), *_profile(model, games), *_whole_half(model, games)]


def _beside_the_floor(model: Ensemble, games: Games) -> list[Row]:
    margins, ask = games.history.margins.tolist(), asker(model, games)
    floors = {
        name: Floor(model.mixture.dejavu, model.mixture.lstm, OFFICIAL_MINUTE, in_columns=in_columns)
        for name, in_columns in (("plain floor", False), ("floor, games in columns", True))
    }

    for floor in floors.values():
        _check(floor, model, margins[0], float(games.ratings[0]))

    def floored(floor: Floor) -> Callable[[int], object]:
        return lambda place: floor.answer(margins[place][1 : OFFICIAL_MINUTE + 1], float(games.ratings[place]))

    calls = {"forecast": ask, **{name: floored(floor) for name, floor in floors.items()}}
    times = in_turns(calls, REPETITIONS, ASKED)
    group = f"one forecast, {GAMES:,} games"
    rows = [Row(group, name, float(np.median(times[name])), "us") for name in floors]
    for name, target in (("plain floor", "<= 1.3"), ("floor, games in columns", "")):
        ratio = Ratio.of(times["forecast"], times[name])
        rows.append(
            Row(group, "forecast with explanation", float(np.median(times["forecast"])), "us", name, ratio, target)
        )
    return rows


def _check(floor: Floor, model: Ensemble, margins: list[int], rating: float) -> None:
    """The floor must say what the forecast says: Dejavu but for ties, the network to 1e-6 of its unit."""
    pattern, network = margins[1 : OFFICIAL_MINUTE + 1], model.mixture.lstm
    nearest, learned = floor.answer(pattern, rating)
    parts = model.forecast(pattern, OFFICIAL_MINUTE, ALPHA, rating).components
    # Its rule and the bias of its head are 0 here.
    wanted = (parts.lstm - parts.persistence) / network.scale[OFFICIAL_MINUTE]
    assert abs(learned - wanted) < 1e-6, f"the floor's network says {learned}, the forecast's {wanted}"
    assert abs(nearest - (parts.dejavu - parts.persistence)) < 0.5, f"the floor's nearest games say {nearest}"


def _profile(model: Ensemble, games: Games) -> list[Row]:
    ask = asker(model, games)

    def median(owner: Any, attribute: str) -> float:
        with part_timed(owner, attribute) as spent:
            for _ in range(REPETITIONS):
                for place in range(ASKED):
                    ask(place)
        return float(np.median(spent))

    parts = {name: median(*part) for name, part in PARTS.items()}
    parts["checks, mixing, everything else"] = median(Ensemble, "forecast") - sum(parts.values())
    return [Row("where it goes", name, spent, "us") for name, spent in parts.items()]


def _whole_half(model: Ensemble, games: Games) -> list[Row]:
    margins, held, ask = games.history.margins.tolist(), games.history.possession.tolist(), asker(model, games)

    def path(place: int) -> tuple[Forecast, ...]:
        return model.path(margins[place][1:HALFTIME_MINUTE], ALPHA, float(games.ratings[place]), held[place])

    def one_by_one(place: int) -> list[Forecast]:
        return [
            model.forecast(
                margins[place][1 : minute + 1], minute, ALPHA, float(games.ratings[place]), held[place][minute]
            )
            for minute in range(HALFTIME_MINUTE)
        ]

    def search(place: int) -> None:
        pattern = np.array(margins[place][1:HALFTIME_MINUTE], dtype=np.float64)
        for _ in model.mixture.dejavu.follow(pattern, float(games.ratings[place]), 0):
            pass

    assert path(0) == tuple(one_by_one(0)), "a path must have the bits of its forecasts"
    times = in_turns({"one": ask, "path": path, "one by one": one_by_one, "search": search}, REPETITIONS // 4, ASKED)
    group = f"the {HALFTIME_MINUTE} minutes of a half"
    named = (
        ("in one call", "path", "<= 3"),
        ("one by one", "one by one", ""),
        ("in one call, the search alone", "search", ""),
    )
    return [
        Row(group, what, float(np.median(times[key])), "us", "one forecast", Ratio.of(times[key], times["one"]), target)
        for what, key, target in named
    ]
