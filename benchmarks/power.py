"""How many games a trial needs, how often it is wrong when there is nothing to find, and how soon probation tells.

    python -m benchmarks.power [--json]

Errors are normal with a spread of 6 points; two forecasters' points differ with a spread of 1 or 2 points, and the
second errs a given number of points less on average. Beside it the games a paired t-test of a fixed size needs for 80%.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from benchmarks.table import Row, say, show
from benchmarks.timing import Floats
from models.paired import gains_of, log_mean, log_wealths
from models.probation import MOST_A_GAME
from models.promotion import Rules

SIGMA, SEED, RUNS = 6.0, 11, 400
ENOUGH = 2.0 / Rules().promote_alpha
GAINS, SPREADS = (0.05, 0.1, 0.3, 0.5), (1.0, 2.0)
SEASONS, SEASON = 1000, 1230
LEANS, MINUTES, EVIDENCE = (1.0, 1.5, 2.0), (6.0, 4.3, 2.7), 100.0
MEAN_OF_NORMAL = math.sqrt(2.0 / math.pi)


def run() -> list[Row]:
    """The rows of this benchmark."""
    return [*_power(), *_null(), *_probation()]


def _pair(chance: np.random.Generator, shape: tuple[int, int], gain: float, spread: float) -> tuple[Floats, Floats]:
    """Gains and bounds of forecasters whose points differ by ``spread``; the second gains ``gain`` points."""
    worse = SIGMA + gain / MEAN_OF_NORMAL
    shared = (worse**2 - SIGMA**2 - spread**2) / (2.0 * SIGMA * spread)
    error, own = chance.standard_normal(shape), chance.standard_normal(shape)
    apart = spread * (shared * error + math.sqrt(1.0 - shared**2) * own)
    nothing = np.zeros(shape)
    return gains_of(-apart, nothing, SIGMA * error)


def _power() -> list[Row]:
    rows = []
    for spread in SPREADS:
        for gain in GAINS:
            say(f"power: {gain} points, spread {spread}")
            chance = np.random.default_rng(SEED)
            sample, _ = _pair(chance, (20, 20_000), gain, spread)
            fixed = (1.645 + 0.842) ** 2 * float(sample.var()) / gain**2
            horizon = int(5.0 * fixed + 100)
            found = []
            for start in range(0, RUNS, 50):
                gains, bounds = _pair(chance, (min(50, RUNS - start), horizon), gain, spread)
                over = log_mean(log_wealths(gains, bounds)) >= math.log(ENOUGH)
                found += np.where(over.any(axis=-1), over.argmax(axis=-1) + 1, horizon).tolist()
            group = f"games needed, points {spread:g} apart"
            rows.append(Row(group, f"{gain} points of MAE: median", float(np.median(found)), "games"))
            rows.append(Row(group, f"{gain} points of MAE: in 80%", float(np.quantile(found, 0.8)), "games"))
            rows.append(Row(group, f"{gain} points of MAE: t-test of fixed size, 80%", fixed, "games"))
    return rows


def _null() -> list[Row]:
    rows = []
    for name, heavy in (("normal errors", False), ("heavy tails (t with 3)", True)):
        say(f"null: {name}")
        chance = np.random.default_rng(SEED + 1)
        shape = (SEASONS, SEASON)
        actual = chance.standard_t(3, shape) * 3.5 if heavy else chance.normal(0.0, SIGMA, shape)
        points = [chance.normal(0.0, 1.0, shape) for _ in range(2)]
        wrong = log_mean(log_wealths(*gains_of(points[0], points[1], actual))).max(axis=-1) >= math.log(ENOUGH)
        rows.append(
            Row("equal challengers, looked at after every game", name, 100.0 * float(wrong.mean()), "% promoted")
        )
    return rows


def _probation() -> list[Row]:
    rows = []
    for lean in LEANS:
        say(f"probation: {lean} points")
        found = _alarms(np.random.default_rng(SEED + 2), lean, 0.0, 2000)
        group = "probation, new champion leans"
        rows.append(Row(group, f"{lean} points: median", float(np.median(found)), "games"))
        rows.append(Row(group, f"{lean} points: 90%", float(np.quantile(found, 0.9)), "games"))
        rows.append(Row(group, f"{lean} points: within 60", 100.0 * float((found <= 60).mean()), "%"))
    wrong = _alarms(np.random.default_rng(SEED + 3), 0.0, 1.0, 5000) <= 100
    rows.append(Row("probation, new champion is right", "rolled back in 100 games", 100.0 * float(wrong.mean()), "%"))
    return rows


def _alarms(chance: np.random.Generator, lean_new: float, lean_before: float, runs: int, games: int = 400) -> Floats:
    """After how many games the evidence against the new champion is reached; ``games`` + 1 when never."""
    logs = []
    for sd in MINUTES:
        actual = chance.normal(0.0, sd, (runs, games))
        ratio = ((actual - lean_new) ** 2 - (actual - lean_before) ** 2) / (2.0 * sd**2)
        logs.append(np.cumsum(np.minimum(ratio, math.log(MOST_A_GAME)), axis=1))
    over = log_mean(np.array(logs)) >= math.log(EVIDENCE)
    return np.where(over.any(axis=1), over.argmax(axis=1) + 1, games + 1).astype(np.float64)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.power", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    show(run(), parser.parse_args().json)


if __name__ == "__main__":
    main()
