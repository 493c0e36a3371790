"""The frames that reports compare: one line a game, of settled official forecasts or of history."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.clock import HALFTIME_MINUTE
from monitoring.report_rows import JudgedRow
from monitoring.rows import SettledRow

SWING_MINUTES = 6
PATTERN_COLUMNS = ("minute_6", "minute_12", "lead", "swing", "volatility")
DRIFT_COLUMNS = (*PATTERN_COLUMNS, "pace", "rating", "residual")
QUALITY_COLUMNS = ("actual", "point")
JUDGED_COLUMNS = ("persistence", "lower", "upper", "covered")
COLUMNS = (*DRIFT_COLUMNS, *QUALITY_COLUMNS, *JUDGED_COLUMNS)
COLUMN_MEANINGS = {
    "minute_6": "margin after 6 minutes",
    "minute_12": "margin after 12 minutes",
    "lead": "margin when the forecast was made",
    "swing": "change of the margin over the six minutes before the forecast",
    "volatility": "standard deviation of the change of the margin from minute to minute",
    "pace": "points of both teams a minute of the first half",
    "rating": "rating of the home team minus that of the away team, known before tip-off",
    "residual": "outcome minus point",
}


class ReportError(ValueError):
    """A frame no report can be made of; the message names the column."""


def settled_frame(rows: Iterable[SettledRow]) -> pd.DataFrame:
    """One line a settled forecast: columns COLUMNS, in points (``pace`` points a minute, ``rating`` rating points).

    ``pace`` and ``rating`` are NaN where the row does not know them. ``residual`` is actual minus point.
    """
    lines = []
    for row in rows:
        known = (row.pace, row.rating) if isinstance(row, JudgedRow) else (None, None)
        pace, rating = (math.nan if value is None else value for value in known)
        judged = (row.actual - row.point, row.actual, row.point, row.persistence, row.lower, row.upper, row.covered)
        lines.append((*_features(row.pattern), pace, rating, *map(float, judged)))
    return pd.DataFrame(lines, columns=list(COLUMNS), dtype=float)


def history_frame(
    margins: npt.NDArray[Any],
    minute: int = 18,
    residuals: npt.NDArray[Any] | None = None,
    *,
    totals: npt.NDArray[Any] | None = None,
    ratings: npt.NDArray[Any] | None = None,
) -> pd.DataFrame:
    """A reference from history: ``margins`` [n, 49] with margin(0) first; if known, each [n], ``residuals``
    (calibration, points), ``totals`` (points of both teams at the half) and ``ratings`` (home minus away).

    Columns that history does not know are NaN and therefore left out of the comparison. Raises ReportError when the
    lengths differ.
    """
    frame = pd.DataFrame(np.nan, index=range(len(margins)), columns=list(COLUMNS), dtype=float)
    if len(margins):
        paths = np.asarray(margins, dtype=float)
        frame[list(PATTERN_COLUMNS)] = [_features(line[1 : minute + 1]) for line in paths]
        frame["actual"] = paths[:, HALFTIME_MINUTE]
    given = {"residual": residuals, "pace": totals, "rating": ratings}
    for column, values in given.items():
        if values is None:
            continue
        if len(values) != len(margins):
            raise ReportError(f"{len(values)} {column}s for {len(margins)} games: give one a game or none")
        frame[column] = np.asarray(values, dtype=float) / (HALFTIME_MINUTE if column == "pace" else 1)
    return frame


def check_columns(**frames: pd.DataFrame | None) -> None:
    """Raises ReportError when a frame lacks one of COLUMNS."""
    for name, frame in frames.items():
        absent = [column for column in COLUMNS if frame is not None and column not in frame.columns]
        if absent:
            raise ReportError(
                f"the {name} frame lacks {', '.join(absent)}: make it with settled_frame or history_frame"
            )


def finite_rows(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The lines in which ``columns`` are finite, with COLUMNS as floats."""
    kept = np.isfinite(frame[list(columns)].to_numpy(dtype=float)).all(axis=1)
    rows: pd.DataFrame = frame.loc[kept, list(COLUMNS)]
    return rows.astype(float).reset_index(drop=True)


def _features(pattern: Sequence[float] | npt.NDArray[Any]) -> tuple[float, float, float, float, float]:
    """PATTERN_COLUMNS of a pattern, NaN where it is too short."""
    path = np.concatenate([[0.0], np.asarray(pattern, dtype=float)])
    early, half = (float(path[minute]) if len(path) > minute else math.nan for minute in (6, 12))
    swing = path[-1] - path[max(len(path) - 1 - SWING_MINUTES, 0)]
    volatility = float(np.diff(path).std()) if len(path) > 1 else math.nan
    return early, half, float(path[-1]), float(swing), volatility
