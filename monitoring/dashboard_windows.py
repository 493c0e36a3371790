"""The panels of the dashboard about rolling windows: figures of every minute, of each line of models and each version
that did enough to be judged."""

from __future__ import annotations

from models.clock import OFFICIAL_MINUTE
from monitoring.dashboard_parts import POINTS, Panel, Query, Row

# Two dozen lines could not be told apart: tip-off, every sixth minute, the last one.
SHOWN_MINUTES = (0, 6, 12, 18, 23)
OFFICIAL = f'minute="{OFFICIAL_MINUTE}"'


def _by_minute(name: str, text: str, *, dashed: bool = False) -> Query:
    """A figure of each line of models at some minutes, over the window chosen above."""
    minutes = "|".join(map(str, SHOWN_MINUTES))
    return _figure(name, f'window="$window",minute=~"{minutes}"', "minute", text, dashed=dashed)


def _by_window(name: str, text: str, *, dashed: bool = False) -> Query:
    """A figure of the official forecasts of each line of models over each window."""
    return _figure(name, OFFICIAL, "window", text, dashed=dashed)


def _by_version(name: str) -> Query:
    """A figure of the official forecasts of each version over the window chosen above."""
    return _figure(name, f'window="$window",{OFFICIAL}', "window", "", by="version")


def _figure(name: str, chosen: str, shown: str, text: str, *, dashed: bool = False, by: str = "lineage") -> Query:
    selected = f'halftime_window_{name}{{by="{by}",source=~"$source",level="$level",{chosen}}}'
    legend = f"{text}{{{{{shown}}}}} {{{{source}}}} {{{{model}}}}"
    return Query(f"max by (source, model, {shown}) ({selected})", legend, dashed)


WINDOWS = Row(
    "Rolling windows",
    (
        Panel(
            "RMSE by minute",
            "Root of the mean squared error over the window chosen above, of forecasts made at each of some minutes, "
            "and (dashed) that of persistence on the same games.",
            POINTS,
            (
                _by_minute("rmse_points", "minute "),
                _by_minute("rmse_persistence_points", "persistence, minute ", dashed=True),
            ),
            least=0,
        ),
        Panel(
            "Skill by minute",
            "1 - MSE / MSE of persistence over the window chosen above: above 0 the model is the better of the two.",
            "percentunit", (_by_minute("skill", "minute "),), lines=((0, "yellow"),),
        ),
        Panel(
            "Coverage by minute",
            "Share of intervals that held the outcome over the window chosen above, and the level that was promised.",
            "percentunit", (_by_minute("coverage", "minute "), Query("vector($level)", "target")), most=1,
        ),
        Panel(
            "Coverage by window",
            "Share of the official forecasts' intervals that held the outcome over each window, its exact 95% interval "
            "(dashed), and the level that was promised.",
            "percentunit",
            (
                _by_window("coverage", ""),
                _by_window("coverage_lower", "lower ", dashed=True),
                _by_window("coverage_upper", "upper ", dashed=True),
                Query("vector($level)", "target"),
            ),
            most=1,
        ),
        Panel(
            "RMSE by version",
            "Root of the mean squared error of the official forecasts of the newest versions that settled 20 games in "
            "the window chosen above.",
            POINTS,
            (_by_version("rmse_points"),), least=0,
        ),
        Panel(
            "Games of each window",
            "Settled official forecasts behind the figures of this row; with fewer than 20 they are absent.", "short",
            (_by_window("settled_games", ""),), least=0, steps=True,
        ),
    ),
)  # fmt: skip
