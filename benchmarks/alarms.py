"""How often the alarms are false, and how soon they see a change: the simulation behind docs/alarms.md.

    python -m benchmarks.alarms [--seasons N] [--json]

A season has 1,230 games. The change comes at game 300; a delay is counted in games after it, over the seasons in which
the alarm came after the change and not before. Beside the e-detector stand a rolling window of 100 games, as the
original plan had it (alarm below 85%, from the first game), and the same with 13 misses or more of 100 full ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import Row, say, show
from models.alarms import (
    DRIFT_THRESHOLD,
    NOTE_RUN_LENGTH,
    SEASON,
    TICKET_THRESHOLD,
    Detector,
    Reference,
    coverage_detector,
)

CHANGE, SEED, WINDOW = 300, 5, 100
RATES = (0.08, 0.10, 0.15, 0.20, 0.30)
SEASONS = 3_000
REFERENCES, SPREAD = 30, 6.0
Bools = NDArray[np.bool_]
Rule = Callable[[Bools], NDArray[np.intp]]
"""First alarms by season, counted from 1; 0 where there is none. From ``bool[seasons, games]``."""


def run(seasons: int = SEASONS) -> list[Row]:
    """The rows of this benchmark."""
    return [*_coverage(seasons), *_drift(seasons)]


def first_alarms(start: Detector, threshold: float, happened: Bools) -> NDArray[np.intp]:
    """``models.alarms.Detector`` over many seasons at once, bool[seasons, games]: first alarms, 0 where none."""
    rates = np.array(start.rates)
    on_yes, on_no = np.log(rates / start.null), np.log((1.0 - rates) / (1.0 - start.null))
    logs = np.full((len(happened), len(rates)), -np.inf)
    first = np.zeros(len(happened), dtype=np.intp)
    for place in range(happened.shape[1]):
        logs = np.logaddexp(0.0, logs) + np.where(happened[:, place, None], on_yes, on_no)
        evidence = np.logaddexp.reduce(logs, axis=1) - np.log(len(rates))
        first[(first == 0) & (evidence >= threshold)] = place + 1
    return first


def rolling(misses_wanted: float, *, from_start: bool) -> Rule:
    """Alarm when the share of misses of the newest 100 games (or, ``from_start``, of fewer) exceeds a share."""

    def rule(happened: Bools) -> NDArray[np.intp]:
        counts = np.cumsum(happened, axis=1)
        counts[:, WINDOW:] -= counts[:, :-WINDOW].copy()
        games = np.minimum(np.arange(1, happened.shape[1] + 1), WINDOW)
        over = counts / games > misses_wanted + 1e-12
        if not from_start:
            over[:, : WINDOW - 1] = False
        return np.where(over.any(axis=1), over.argmax(axis=1) + 1, 0)

    return rule


def coverage_rules() -> dict[str, Rule]:
    """The rules that are compared on misses of 95% intervals."""
    start = coverage_detector(0.05, 0.05)
    return {
        "window of 100 below 85%, from game 1": rolling(0.15, from_start=True),
        "window of 100, 13 misses or more": rolling(0.12, from_start=False),
        "e-detector, ticket (ten seasons)": lambda seen: first_alarms(start, TICKET_THRESHOLD, seen),
        "e-detector, note (two seasons)": lambda seen: first_alarms(start, float(np.log(NOTE_RUN_LENGTH)), seen),
    }


def _coverage(seasons: int) -> list[Row]:
    rows = []
    for name, rule in coverage_rules().items():
        say(f"coverage: {name}")
        for rate in (0.05, 0.06):
            calm = rule(np.random.default_rng(SEED).random((seasons, SEASON)) < rate)
            rows.append(Row(name, f"false alarms a season at {rate:.0%} misses", 100.0 * float((calm > 0).mean()), "%"))
        for rate in RATES:
            chance = np.random.default_rng(SEED + 1)
            rates = np.where(np.arange(SEASON) < CHANGE, 0.05, rate)
            rows += _delays(name, f"{rate:.0%} misses", rule(chance.random((seasons, SEASON)) < rates))
    return rows


def _delays(group: str, what: str, first: NDArray[np.intp]) -> list[Row]:
    told = first[(first == 0) | (first > CHANGE)]
    seen = told[told > CHANGE] - CHANGE
    rows = [Row(group, f"{what}: seen", 100.0 * len(seen) / len(told), "%")]
    if len(seen):
        rows.append(Row(group, f"{what}: median delay", float(np.median(seen)), "games"))
        rows.append(Row(group, f"{what}: delay in 90%", float(np.quantile(seen, 0.9)), "games"))
    return rows


def _drift(seasons: int) -> list[Row]:
    """Errors normal with a spread of 6 points; each reference of 1,300 games serves as many seasons as the others."""
    rows = []
    cases = {"nothing": (1.0, 0.0), "spread x1.2": (1.2, 0.0), "spread x1.5": (1.5, 0.0)}
    cases |= {f"lean of {lean:g} points": (1.0, lean) for lean in (1.0, 1.5, 2.0)}
    for what, (scale, lean) in cases.items():
        say(f"drift: {what}")
        first = drift_seasons(seasons, scale, lean)
        if what == "nothing":
            rows.append(Row("drift of errors", "false alarms a season", 100.0 * float((first > 0).mean()), "%"))
        else:
            rows += _delays("drift of errors", what, first)
    return rows


def drift_seasons(seasons: int, scale: float, lean: float) -> NDArray[np.intp]:
    """First alarms of seasons whose errors are wider and lean from the change on."""
    chance = np.random.default_rng(SEED + 2)
    found = []
    for _ in range(REFERENCES):
        reference = Reference.of(chance.normal(0.0, SPREAD, 1300))
        errors = chance.normal(0.0, SPREAD, (seasons // REFERENCES, SEASON))
        errors[:, CHANGE:] = errors[:, CHANGE:] * scale + lean
        found.append(drift_alarms(reference, errors))
    return np.concatenate(found)


def drift_alarms(reference: Reference, errors: NDArray[np.float64]) -> NDArray[np.intp]:
    """First alarms of the four streams together on errors float64[seasons, games], 0 where none."""
    said = {
        "large": abs(errors) > reference.large,
        "typical": abs(errors) > reference.typical,
        "high": errors > 0.0,
        "low": errors < 0.0,
    }
    found = [first_alarms(start, DRIFT_THRESHOLD, said[name]) for name, start in reference.detectors().items()]
    never = errors.shape[1] + 1
    first = np.min([np.where(alarms == 0, never, alarms) for alarms in found], axis=0)
    return np.where(first == never, 0, first)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alarms", description=__doc__)
    parser.add_argument("--seasons", type=int, default=SEASONS, help="how many seasons of each kind")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    asked = parser.parse_args()
    show(run(asked.seasons), asked.json)


if __name__ == "__main__":
    main()
