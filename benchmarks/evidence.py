"""What was tried to forecast better, and what each thing gained: walk-forward on recorded seasons.

    HALFTIME_DATA=... python -m benchmarks.evidence

Every figure is out of sample: a season is forecast by a rule fitted on all earlier ones. Choices were made on the
seasons up to 2021-22; 2022-23 stands beside them to be looked at. "gain" is squared-error skill against persistence in
percent; "spread" is the mean 95% interval score against the same interval without the feature (below 1 is better).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.conformal import conformal_quantile
from models.history import History
from models.lstm import apply_rule, fit_rule
from models.metrics import interval_score
from models.mixture import fit_possession
from models.ratings import RatingParams, rate_history
from services.history import recorded_games
from services.settings import get_settings

MINUTES = (0, 6, 12, 18, 23)
CHOSEN_ON, LOOKED_AT = range(2015, 2022), (2022,)
PLAIN = RatingParams(0.035, 0.6, 99.0, 2.3, 0.0, 0.0, 0.0, 0.0, 0.0)

Floats = NDArray[np.float64]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    as_json = parser.parse_args().json
    folder = get_settings().data
    if folder is None:
        raise SystemExit("set HALFTIME_DATA to a folder of recorded games: this is about real seasons")
    history = History.from_frame(recorded_games(folder), "recorded")
    rows = [*rating_rows(history), *possession_rows(history), *spread_rows(history)]
    if as_json:
        print(json.dumps({"rows": rows}))
        return
    table = Table("what", "minute", "2015-21", "2022", title="gain in % (spread: ratio)")
    for row in rows:
        table.add_row(row["what"], str(row["minute"]), f"{row['chosen_on']:.3f}", f"{row['looked_at']:.3f}")
    Console().print(table)


def rating_rows(history: History) -> Iterator[dict[str, Any]]:
    """A linear rule on lead and rating, the rating growing by one idea at a time."""
    best = RatingParams()
    steps = {
        "rating: Elo on the final margin": PLAIN,
        "+ second evening in a row": replace(PLAIN, tired_home=best.tired_home, tired_away=best.tired_away),
    }
    steps["+ playoffs"] = replace(steps["+ second evening in a row"], playoffs=best.playoffs)
    steps["+ own court"] = replace(steps["+ playoffs"], court_gain=best.court_gain, court_carry=best.court_carry)
    steps["+ cap on routs, tuned"] = best
    steps["gain 0.025 instead"] = replace(best, gain=0.025)
    steps["gain 0.045 instead"] = replace(best, gain=0.045)
    for what, params in steps.items():
        ratings, _ = rate_history(history, params)
        errors = _walk(history, ratings)
        for minute in MINUTES:
            yield _skills(what, minute, history, errors)


def possession_rows(history: History) -> Iterator[dict[str, Any]]:
    """The ball, its worth fitted on the errors of earlier seasons that know who had it."""
    errors = _walk(history, rate_history(history)[0])
    known = np.unique(history.season[(history.possession != 0).any(axis=1)])
    held = errors.copy()
    for season in known[1:]:
        earlier = (history.season < season) & np.isin(history.season, known)
        worth = fit_possession(errors[earlier], history.possession[earlier], errors[earlier].std(axis=0))
        now = history.season == season
        held[now] = errors[now] - worth * history.possession[now]
    for what, kind in (("without the ball (2021 / 2022)", errors), ("with the ball (2021 / 2022)", held)):
        for minute in MINUTES:
            yield _skills(what, minute, history, kind, chosen_on=(2021,))


def spread_rows(history: History) -> Iterator[dict[str, Any]]:
    """Does anything known tell a wild game from a tame one? Log-variance regressed on it, the interval scaled by it."""
    ratings, _ = rate_history(history)
    errors = _walk(history, ratings)
    totals = history.margins.astype(np.float64)
    for minute in (12, 18):
        lead = np.abs(totals[:, minute])
        features = {
            "spread by lead": np.column_stack([np.minimum(lead, 10.0), np.maximum(lead - 10.0, 0.0)]),
            "spread by rating": np.abs(ratings)[:, None],
            "spread by how the margin moved": (np.diff(totals[:, : minute + 1]) ** 2).mean(axis=1)[:, None],
            "spread by playoffs": (history.season_type == "playoffs").astype(np.float64)[:, None],
        }
        features["spread by all of these"] = np.column_stack(list(features.values()))
        for what, known in features.items():
            ratios = {season: _scaled(history, errors[:, minute], known, season) for season in range(2016, 2023)}
            yield {
                "what": what,
                "minute": minute,
                "chosen_on": float(np.mean([ratios[season] for season in range(2016, 2022)])),
                "looked_at": ratios[2022],
            }


def _walk(history: History, ratings: Floats) -> Floats:
    """Errors float64[n, 24] of the linear rule, each season by the rule of all earlier ones; NaN in the first."""
    margins = history.margins[:, :24].astype(np.float64)
    changes = history.margins[:, 24:25] - margins
    errors = np.full(changes.shape, np.nan)
    for season in np.unique(history.season)[1:]:
        earlier, now = history.season < season, history.season == season
        rule = fit_rule(margins[earlier], changes[earlier], ratings[earlier])
        errors[now] = changes[now] - apply_rule(rule, margins[now], ratings[now])
    return errors


def _skills(
    what: str, minute: int, history: History, errors: Floats, chosen_on: Sequence[int] = CHOSEN_ON
) -> dict[str, Any]:
    def gain(seasons: Sequence[int]) -> float:
        rows = np.isin(history.season, seasons)
        persistence = history.change(minute)[rows].astype(np.float64)
        return 100.0 * float(1.0 - (errors[rows, minute] ** 2).sum() / (persistence**2).sum())

    return {"what": what, "minute": minute, "chosen_on": gain(chosen_on), "looked_at": gain(LOOKED_AT)}


def _scaled(history: History, errors: Floats, known: Floats, season: int) -> float:
    """Interval score of scaled intervals over that of plain ones, both calibrated on the season before."""
    fitted, before = (history.season < season - 1) & (history.season > 2013), history.season == season - 1
    fitted = fitted if fitted.any() else before
    standard = (known - known[fitted].mean(axis=0)) / (known[fitted].std(axis=0) + 1e-9)
    columns = np.column_stack([np.ones(len(known)), standard])
    scale = np.exp(columns @ _log_variance(columns[fitted], errors[fitted]) / 2.0)
    now, score = history.season == season, {}
    for name, scales in (("plain", np.ones_like(scale)), ("scaled", scale)):
        width = scales[now] * conformal_quantile(np.sort(np.abs(errors[before]) / scales[before]), 0.05)
        score[name] = float(np.mean(interval_score(-width, width, errors[now], 0.05)))
    return score["scaled"] / score["plain"]


def _log_variance(columns: Floats, errors: Floats) -> Floats:
    """Gamma regression of squared errors with a logarithmic link, by iterated least squares."""
    factors = np.zeros(columns.shape[1])
    factors[0] = np.log((errors**2).mean())
    ridge = np.diag([0.0] + [20.0] * (columns.shape[1] - 1))
    for _ in range(25):
        expected = np.exp(columns @ factors)
        working = columns @ factors + (errors**2 - expected) / expected
        factors = np.linalg.solve(columns.T @ columns + ridge, columns.T @ working)
    return factors


if __name__ == "__main__":
    main()
