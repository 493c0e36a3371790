"""The seasons of a backtest taken together: every figure of the report, as plain values.

Skill over all seasons is paired game by game and has a range from league dates drawn again, as within one season. It is
given against persistence and, since a straight line is the next thing anyone would try, against the linear rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from models import metrics
from models.backtest import LINEAR, PERSISTENCE, SPLIT_CONFORMAL, SeasonResult
from models.backtest_scores import CHANCE_BINS, COVERAGE_LEVELS, Row, Scores, ranged, skills
from models.conditional import Answered, conditional_coverage

CONDITIONAL_ALPHA = 0.05


@dataclass(frozen=True)
class BacktestResult:
    """``rows`` one for each season, minute and forecaster; ``pooled`` one for each minute and forecaster over all
    seasons; ``calibration`` likewise, with the counts behind the plots; ``conditional`` the coverage of the ensemble's
    95% interval by kind of forecast. ``games`` how many games were forecast, ``dates`` on how many league dates. Skill
    that is not defined and ranges that too few dates cannot give are None."""

    source: str
    seasons: tuple[int, ...]
    minutes: tuple[int, ...]
    forecasters: tuple[str, ...]
    games: int
    dates: int
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
    different = len(np.unique(dates))
    keys = list(results[0].scores)
    seen = {key: _joined([result.scores[key] for result in results]) for key in keys}
    with threadpool_limits(1):  # the same bits with any number of cores
        beside = skills(list(seen.values()), [seen[minute, PERSISTENCE] for minute, _ in keys], dates)
        linear = skills(list(seen.values()), [seen[minute, LINEAR] for minute, _ in keys], dates)
        ratios = metrics.skills(
            np.stack([one.winkler for one in seen.values()], axis=1),
            np.stack([seen[minute, SPLIT_CONFORMAL].winkler for minute, _ in keys], axis=1),
            dates,
        )
    pooled, calibration = [], []
    for (minute, name), gain, over, skill in zip(keys, beside, linear, ratios, strict=True):
        one = seen[minute, name]
        named: Row = {"minute": minute, "forecaster": name, "n": len(dates)}
        value, low, high = ranged(skill, different)
        ratio = {"": value, "_lower": high, "_upper": low}
        compared = {
            f"interval_score_ratio_95{end}": None if value is None else 1.0 - value for end, value in ratio.items()
        }
        over_linear = {f"crps_over_linear{end}": over[f"crps_skill{end}"] for end in ratio}
        pooled.append(named | gain | one.row | compared | over_linear)
        calibration.append(named | _counts(one))
    return BacktestResult(
        source=source,
        seasons=tuple(result.season for result in results),
        minutes=tuple(dict.fromkeys(minute for minute, _ in keys)),
        forecasters=tuple(dict.fromkeys(name for _, name in keys)),
        games=len(dates),
        dates=different,
        rows=[scored.row for result in results for scored in result.scores.values()],
        pooled=pooled,
        calibration=calibration,
        conditional=_conditional(results),
        notes=tuple(sorted({note for result in results for note in result.notes})),
    )


def _joined(seen: Sequence[Scores]) -> Scores:
    """One forecaster at one minute over all seasons; its row has the figures that are means over games."""
    games = [one.row["n"] for one in seen]
    figures = ("coverage_80", "coverage_90", "coverage_95", "width_95", "interval_score_95")
    return Scores(
        row={name: float(np.average([one.row[name] for one in seen], weights=games)) for name in figures},
        squared=np.concatenate([one.squared for one in seen]),
        crps=np.concatenate([one.crps for one in seen]),
        winkler=np.concatenate([one.winkler for one in seen]),
        pit=np.sum([one.pit for one in seen], axis=0),
        covered=np.sum([one.covered for one in seen], axis=0),
        chances=np.sum([one.chances for one in seen], axis=0),
    )


def _counts(one: Scores) -> Row:
    """The PIT histogram, the share of outcomes inside each central interval, and how often the home team led when it
    was said to with about that probability."""
    return {
        "pit": one.pit.tolist(),
        "levels": list(COVERAGE_LEVELS),
        "observed": (one.covered / len(one.squared)).tolist(),
        "home_leads": [
            {"n": int(n), "said": float(said / n), "happened": float(happened / n)}
            for n, said, happened in (one.chances[place] for place in range(CHANCE_BINS))
            if n
        ],
    }


def _conditional(results: Sequence[SeasonResult]) -> list[Row]:
    parts = [part for result in results for part in result.answered]
    whole = Answered(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})
    return [asdict(kind) for kind in conditional_coverage(whole, CONDITIONAL_ALPHA)]
