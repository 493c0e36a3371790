"""The seasons of a backtest taken together: every figure of the report, as plain values.

Skill over all seasons is paired game by game and has a range from league dates drawn again, as within one season.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models import metrics
from models.backtest import PERSISTENCE, SPLIT_CONFORMAL, SeasonResult
from models.backtest_scores import CHANCE_BINS, COVERAGE_LEVELS, Row, Scores
from models.conditional import Answered, conditional_coverage

CONDITIONAL_ALPHA = 0.05


@dataclass(frozen=True)
class BacktestResult:
    """``rows`` one for each season, minute and forecaster; ``pooled`` one for each minute and forecaster over all
    seasons; ``calibration`` likewise, with the counts behind the plots; ``conditional`` the coverage of the ensemble's
    95% interval by kind of forecast. ``games`` how many games were forecast."""

    source: str
    seasons: tuple[int, ...]
    minutes: tuple[int, ...]
    forecasters: tuple[str, ...]
    games: int
    rows: list[Row]
    pooled: list[Row]
    calibration: list[Row]
    conditional: list[Row]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values fit for JSON."""
        return asdict(self)


def combine(source: str, results: Sequence[SeasonResult]) -> BacktestResult:
    """The seasons, all forecast at the same minutes by the same forecasters. Raises ValueError for none or others."""
    if not results or len({tuple(result.scores) for result in results}) != 1:
        raise ValueError(f"{len(results)} seasons: they must be one or more, of the same minutes and forecasters")
    dates = np.concatenate([result.dates for result in results])
    keys = list(results[0].scores)
    pooled, calibration = [], []
    for minute, name in keys:
        seen = [result.scores[minute, name] for result in results]
        persistence = [result.scores[minute, PERSISTENCE] for result in results]
        plain = [result.scores[minute, SPLIT_CONFORMAL] for result in results]
        row: Row = {"minute": minute, "forecaster": name, "n": len(dates)}
        for figure, losses, beside in (("mse_skill", "squared", persistence), ("crps_skill", "crps", persistence)):
            found = metrics.skill(_all(seen, losses), _all(beside, losses), dates)
            row |= {figure: found.value, f"{figure}_lower": found.lower, f"{figure}_upper": found.upper}
        for figure in ("coverage_80", "coverage_90", "coverage_95", "width_95", "interval_score_95"):
            row[figure] = float(np.average([one.row[figure] for one in seen], weights=[one.row["n"] for one in seen]))
        found = metrics.skill(_all(seen, "winkler"), _all(plain, "winkler"), dates)
        ratio = {"": found.value, "_lower": found.upper, "_upper": found.lower}
        pooled.append(row | {f"interval_score_ratio_95{end}": 1.0 - value for end, value in ratio.items()})
        calibration.append({"minute": minute, "forecaster": name, "n": len(dates)} | _counts(seen))
    return BacktestResult(
        source=source,
        seasons=tuple(result.season for result in results),
        minutes=tuple(dict.fromkeys(minute for minute, _ in keys)),
        forecasters=tuple(dict.fromkeys(name for _, name in keys)),
        games=len(dates),
        rows=[scored.row for result in results for scored in result.scores.values()],
        pooled=pooled,
        calibration=calibration,
        conditional=_conditional(results),
        notes=tuple(sorted({note for result in results for note in result.notes})),
    )


def _all(seen: Sequence[Scores], losses: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.concatenate([getattr(one, losses) for one in seen])


def _counts(seen: Sequence[Scores]) -> Row:
    """Over all seasons: the PIT histogram, the share of outcomes inside each central interval, and how often the home
    team led when it was said to with about that probability."""
    games = sum(len(one.squared) for one in seen)
    covered = sum(one.covered for one in seen)
    chances = np.sum([one.chances for one in seen], axis=0)
    return {
        "pit": np.sum([one.pit for one in seen], axis=0).tolist(),
        "levels": list(COVERAGE_LEVELS),
        "observed": (np.asarray(covered) / games).tolist(),
        "home_leads": [
            {"n": int(n), "said": float(said / n), "happened": float(happened / n)}
            for n, said, happened in (chances[place] for place in range(CHANCE_BINS))
            if n
        ],
    }


def _conditional(results: Sequence[SeasonResult]) -> list[Row]:
    parts = [part for result in results for part in result.answered]
    whole = Answered(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})
    return [asdict(kind) for kind in conditional_coverage(whole, CONDITIONAL_ALPHA)]
