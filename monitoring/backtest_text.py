"""What a backtest says, in sentences: what beats persistence, how surely, and where it does not."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.backtest import ENSEMBLE, PERSISTENCE, SPLIT_CONFORMAL
from models.backtest_result import BacktestResult
from models.backtest_scores import RANGE_DATES, Row
from models.clock import OFFICIAL_MINUTE

COVERAGE_PROMISED = 0.95
COVERAGE_BAND = (0.945, 0.955)


def official_minute(result: BacktestResult) -> int:
    """Minute 18, or the minute of the backtest nearest to it."""
    return min(result.minutes, key=lambda minute: (abs(minute - OFFICIAL_MINUTE), minute))


def pooled(result: BacktestResult, minute: int, forecaster: str) -> Row:
    """The row over all seasons. Raises KeyError when it was not forecast."""
    for row in result.pooled:
        if row["minute"] == minute and row["forecaster"] == forecaster:
            return row
    raise KeyError(f"{forecaster} at minute {minute}")


def summary(result: BacktestResult) -> list[str]:
    """Plain sentences, the most important first."""
    minute = official_minute(result)
    main = pooled(result, minute, ENSEMBLE)
    paired = f"{result.games:,} games" + (", paired over league dates" if result.dates >= RANGE_DATES else "")
    return [
        f"At minute {minute} the ensemble's squared error is {_less(main, 'mse_skill')}, and its CRPS is"
        f" {_less(main, 'crps_skill')} ({_seasons(result)}, {paired}).",
        _where_it_wins(result),
        _against_the_others(result, minute),
        f"Its CRPS at minute {minute} is {_less(main, 'crps_over_linear', 'the linear rule')}.",
        *_losers(result),
        _coverage(result),
        _ratio(main, minute),
    ]


def _less(row: Row, figure: str, whose: str = "persistence") -> str:
    value, low, high = row[figure], row[f"{figure}_lower"], row[f"{figure}_upper"]
    if value is None:
        return f"not compared with {whose}'s, which is 0"
    less = f"{abs(value):.1%} {'lower' if value >= 0 else 'higher'} than {whose}'s"
    if low is None:
        return less
    sure = "" if low > 0 or high < 0 else ", which chance alone could do"
    return f"{less} (95% range {low:.1%} to {high:.1%}{sure})"


def _where_it_wins(result: BacktestResult) -> str:
    if result.dates < RANGE_DATES:
        return (
            f"{result.dates} league dates are too few for ranges and verdicts, which need at least {RANGE_DATES}:"
            " chance alone could do all of it."
        )
    rows = [pooled(result, minute, ENSEMBLE) for minute in result.minutes]
    unsure = [row["minute"] for row in rows if not _above_0(row["mse_skill_lower"], row["crps_skill_lower"])]
    sure = len(rows) - len(unsure)
    if not unsure:
        where = f"every one of the {len(rows)} minutes" if len(rows) > 1 else f"minute {result.minutes[0]}"
        return f"It beats persistence at {where}, in both scores and beyond chance."
    return (
        f"It beats persistence in both scores and beyond chance at {sure} of {len(rows)} minutes; not at"
        f" {_listed(unsure)}."
    )


def _above_0(*ends: float | None) -> bool:
    return all(end is not None and end > 0 for end in ends)


def _against_the_others(result: BacktestResult, minute: int) -> str:
    rows = [row for row in result.pooled if row["minute"] == minute and row["forecaster"] != SPLIT_CONFORMAL]
    by_crps = sorted(rows, key=lambda row: math.inf if row["crps_skill"] is None else -float(row["crps_skill"]))
    names = ", ".join(
        f"{row['forecaster']} " + ("not defined" if row["crps_skill"] is None else f"{row['crps_skill']:.1%}")
        for row in by_crps
    )
    return f"CRPS skill at minute {minute}, best first: {names}."


def _losers(result: BacktestResult) -> list[str]:
    """Forecasters that are worse than persistence, beyond chance, at some minute."""
    out = []
    for name in result.forecasters:
        if name in (PERSISTENCE, SPLIT_CONFORMAL):
            continue
        highest = {minute: pooled(result, minute, name)["mse_skill_upper"] for minute in result.minutes}
        worse = [minute for minute, end in highest.items() if end is not None and end < 0]
        if worse:
            where = "every minute" if len(worse) == len(result.minutes) else f"minute {_listed(worse)}"
            out.append(f"{name} has a larger squared error than persistence at {where}.")
    return out


def _coverage(result: BacktestResult) -> str:
    cells = [row for row in result.rows if row["forecaster"] == ENSEMBLE]
    inside = [row for row in cells if COVERAGE_BAND[0] <= row["coverage_95"] <= COVERAGE_BAND[1]]
    lowest = min(cells, key=lambda row: float(row["coverage_95"]))
    highest = max(cells, key=lambda row: float(row["coverage_95"]))
    plain = [row for row in result.rows if row["forecaster"] == SPLIT_CONFORMAL]
    held = sum(COVERAGE_BAND[0] <= row["coverage_95"] <= COVERAGE_BAND[1] for row in plain)
    return (
        f"Its 95% intervals cover {_band()} in {len(inside)} of {len(cells)} seasons x minutes, from"
        f" {_cell(lowest)} to {_cell(highest)}; plain split conformal intervals do in {held}."
    )


def _ratio(row: Row, minute: int) -> str:
    ratio, low, high = (row[f"interval_score_ratio_95{end}"] for end in ("", "_lower", "_upper"))
    said = f"At minute {minute} their interval score is "
    if ratio is None:
        return f"{said}not compared with plain split conformal's, which is 0."
    if low is None:
        return f"{said}{ratio:.3f} of plain split conformal's."
    verdict = "no clear difference" if low <= 1.0 <= high else "better" if high < 1.0 else "worse"
    return f"{said}{ratio:.3f} of plain split conformal's (95% range {low:.3f} to {high:.3f}): {verdict}."


def _seasons(result: BacktestResult) -> str:
    years = result.seasons
    return f"season {years[0]}" if len(years) == 1 else f"seasons {_listed(years)}"


def _listed(values: Sequence[int]) -> str:
    """Ascending numbers with runs of three and more shortened: 0, 2 to 23."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _band() -> str:
    return f"{COVERAGE_BAND[0]:.1%} to {COVERAGE_BAND[1]:.1%}"


def _cell(row: Row) -> str:
    return f"{row['coverage_95']:.1%} ({row['season']}, minute {row['minute']})"
