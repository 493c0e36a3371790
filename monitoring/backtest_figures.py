"""Plots of a backtest as plain Plotly figures (dicts), without importing plotly. Every plot says the same thing by
shape as by colour."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.backtest import ENSEMBLE, PERSISTENCE, SPLIT_CONFORMAL
from models.backtest_result import BacktestResult
from monitoring.backtest_text import COVERAGE_BAND, COVERAGE_PROMISED, official_minute, pooled
from monitoring.page_parts import Figure, plain_layout

STYLES = {
    ENSEMBLE: ("@ensemble", "solid", "circle", 3),
    SPLIT_CONFORMAL: ("@split", "dash", "square", 2),
    PERSISTENCE: ("@muted", "dot", "line-ew-open", 2),
    "linear": ("@linear", "dash", "diamond", 1.5),
    "dejavu": ("@dejavu", "dot", "triangle-up", 1.5),
    "lstm": ("@lstm", "dashdot", "square-open", 1.5),
    "gradient-boosting": ("@boosting", "longdash", "x", 1.5),
    "dejavu-published": ("@published", "longdashdot", "cross", 1.5),
}
# A forecaster below this skill would flatten all others; it is in the tables, and a click on its name shows it.
OFF_SCALE = -0.05
INTERVAL_FORECASTERS = (ENSEMBLE, SPLIT_CONFORMAL, PERSISTENCE)


def skill_figure(result: BacktestResult, figure: str, title: str) -> Figure:
    """Skill against persistence by minute over all seasons; the band is the ensemble's 95% range, where it has one."""
    minutes = list(result.minutes)
    own = [
        row for row in (pooled(result, minute, ENSEMBLE) for minute in minutes) if row[f"{figure}_lower"] is not None
    ]
    inside = [row["minute"] for row in own]
    band = {
        "type": "scatter",
        "mode": "lines",
        "name": "95% range of the ensemble",
        "x": inside + inside[::-1],
        "y": [row[f"{figure}_upper"] for row in own] + [row[f"{figure}_lower"] for row in own[::-1]],
        "fill": "toself",
        "fillcolor": "@band",
        "line": {"width": 0},
        "hoverinfo": "skip",
    }
    traces = [band] if own else []
    for name in (name for name in result.forecasters if name not in (PERSISTENCE, SPLIT_CONFORMAL)):
        values = [pooled(result, minute, name)[figure] for minute in minutes]
        trace = _line(name, minutes, values) | {"hovertemplate": f"{name}, minute %{{x}}: %{{y:.1%}}<extra></extra>"}
        lowest = min((value for value in values if value is not None), default=0.0)
        traces.append(trace if lowest > OFF_SCALE else trace | {"visible": "legendonly"})
    out = _minutes_layout(title)
    out["yaxis"] |= {"tickformat": ".0%", "zeroline": True}
    return {"data": traces, "layout": out}


def width_figure(result: BacktestResult) -> Figure:
    """Mean width of the 95% interval by minute over all seasons."""
    minutes = list(result.minutes)
    traces = [
        _line(name, minutes, [pooled(result, minute, name)["width_95"] for minute in minutes])
        | {"hovertemplate": f"{name}, minute %{{x}}: %{{y:.1f}} points<extra></extra>"}
        for name in INTERVAL_FORECASTERS
    ]
    out = _minutes_layout("mean width at 95% (points)")
    out["yaxis"] |= {"rangemode": "tozero"}
    return {"data": traces, "layout": out}


def coverage_figure(result: BacktestResult) -> Figure:
    """Coverage of the 95% interval by season: the mean over minutes, and a bar from the lowest to the highest one."""
    seasons = list(result.seasons)
    traces = []
    for place, name in enumerate(INTERVAL_FORECASTERS):
        by_season = [
            [row["coverage_95"] for row in result.rows if row["season"] == season and row["forecaster"] == name]
            for season in seasons
        ]
        means = [math.fsum(values) / len(values) for values in by_season]
        color, _, symbol, _ = STYLES[name]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [season + 0.16 * (place - 1) for season in seasons],
                "y": means,
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [max(values) - mean for values, mean in zip(by_season, means, strict=True)],
                    "arrayminus": [mean - min(values) for values, mean in zip(by_season, means, strict=True)],
                    "color": color,
                    "thickness": 3,
                    "width": 0,
                },
                "marker": {"color": color, "symbol": symbol, "size": 9, "line": {"width": 2, "color": color}},
                "text": [f"{min(values):.1%} to {max(values):.1%}" for values in by_season],
                "hovertemplate": f"{name}: %{{y:.1%}}, by minute %{{text}}<extra></extra>",
            }
        )
    out = plain_layout(height=340)
    out["xaxis"] |= {"tickvals": seasons, "title": {"text": "season"}, "showgrid": False}
    out["yaxis"] |= {"tickformat": ".1%", "title": {"text": "coverage at 95%", "standoff": 12}}
    out["margin"]["l"] = 76
    out["shapes"] = [_stripe(*COVERAGE_BAND), _level(COVERAGE_PROMISED)]
    return {"data": traces, "layout": out}


def reliability_figure(result: BacktestResult) -> Figure:
    """Observed less promised coverage of central intervals, all seasons and minutes together."""
    traces = []
    for name in (ENSEMBLE, PERSISTENCE):
        rows = [row for row in result.calibration if row["forecaster"] == name]
        levels: list[float] = rows[0]["levels"]
        observed = [sum(row["observed"][place] for row in rows) / len(rows) for place in range(len(levels))]
        gaps = [100 * (seen - level) for seen, level in zip(observed, levels, strict=True)]
        traces.append(
            _line(name, levels, gaps)
            | {"hovertemplate": f"{name} %{{x:.0%}}: %{{y:+.1f}} percentage points<extra></extra>"}
        )
    out = plain_layout(height=340)
    out["xaxis"] |= {"title": {"text": "promised coverage of the central interval"}, "tickformat": ".0%"}
    out["yaxis"] |= {
        "title": {"text": "observed less promised (pp)"},
        "zeroline": True,
        "range": _wide(traces, least=2.0),
    }
    return {"data": traces, "layout": out}


def chances_figure(result: BacktestResult) -> Figure:
    """How often the home team led at the half when it was said to with about that probability."""
    traces: list[Figure] = [
        {"type": "scatter", "mode": "lines", "name": "what is said happens", "x": [0, 1], "y": [0, 1],
         "line": {"color": "@zero", "dash": "dot", "width": 1}, "hoverinfo": "skip"}
    ]  # fmt: skip
    rows = [row for row in result.calibration if row["forecaster"] == ENSEMBLE]
    bins: dict[int, list[float]] = {}
    for one in (one for row in rows for one in row["home_leads"]):
        total = bins.setdefault(min(int(one["said"] * 10), 9), [0.0, 0.0, 0.0])
        for place, value in enumerate((one["n"], one["n"] * one["said"], one["n"] * one["happened"])):
            total[place] += value
    points = [(said / n, happened / n, int(n)) for _, (n, said, happened) in sorted(bins.items())]
    traces.append(
        _line(ENSEMBLE, [said for said, _, _ in points], [happened for _, happened, _ in points])
        | {
            "text": [f"{n:,} forecasts" for _, _, n in points],
            "hovertemplate": "said %{x:.1%}, happened %{y:.1%}, %{text}<extra></extra>",
        }
    )
    out = plain_layout(height=340)
    out["xaxis"] |= {"title": {"text": "said: home leads at the half"}, "tickformat": ".0%", "range": [0, 1]}
    out["yaxis"] |= {"title": {"text": "happened"}, "tickformat": ".0%", "range": [0, 1]}
    return {"data": traces, "layout": out}


def pit_figure(result: BacktestResult) -> Figure:
    """Randomised PIT of the ensemble at the official minute; between the outer dotted lines chance leaves 95% of fair
    bars."""
    minute = official_minute(result)
    row = next(row for row in result.calibration if row["forecaster"] == ENSEMBLE and row["minute"] == minute)
    counts: list[int] = row["pit"]
    share = 1.0 / len(counts)
    swing = 1.96 * math.sqrt(share * (1.0 - share) / row["n"])
    centres = [(place + 0.5) * share for place in range(len(counts))]
    bars = {
        "type": "bar",
        "name": f"ensemble, minute {minute}",
        "x": centres,
        "y": [count / row["n"] for count in counts],
        "width": 0.92 * share,
        "marker": {"color": "@ensemble"},
        "text": [f"{count} games" for count in counts],
        "textposition": "none",
        "hovertemplate": "%{x:.3f}: %{y:.1%}, %{text}<extra></extra>",
    }
    out = plain_layout(height=340)
    out["xaxis"] |= {"title": {"text": f"PIT at minute {minute}"}, "range": [0, 1], "showgrid": False}
    out["yaxis"] |= {"title": {"text": "share of games"}, "tickformat": ".0%", "rangemode": "tozero"}
    out["shapes"] = [_level(at) | {"layer": "above"} for at in (share - swing, share, share + swing)]
    return {"data": [bars], "layout": out}


def conditional_figure(result: BacktestResult) -> Figure:
    """Coverage of the ensemble's 95% interval for each kind of forecast, with the range chance leaves."""
    kinds = [row for row in result.conditional if row["by"] != "minute"][::-1]
    names = [row["kind"] if row["by"] == "all" else f"{row['by']}: {row['kind']}" for row in kinds]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "name": "coverage, 95% range by games",
        "x": [row["coverage"] for row in kinds],
        "y": list(range(len(kinds))),
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [row["coverage_upper"] - row["coverage"] for row in kinds],
            "arrayminus": [row["coverage"] - row["coverage_lower"] for row in kinds],
            "color": "@ensemble",
            "thickness": 2,
            "width": 0,
        },
        "marker": {"color": "@ensemble", "size": 9},
        "text": [f"{row['n']:,} forecasts of {row['games']:,} games, width {row['mean_width']:.1f}" for row in kinds],
        "hovertemplate": "%{x:.1%}, %{text}<extra></extra>",
    }
    out = plain_layout(height=110 + 26 * len(kinds))
    out["margin"]["l"] = 190
    out["xaxis"] |= {"tickformat": ".0%", "title": {"text": "coverage at 95%"}}
    out["yaxis"] |= {"tickvals": list(range(len(kinds))), "ticktext": names, "showgrid": False}
    out["shapes"] = [_level(COVERAGE_PROMISED, upright=True)]
    return {"data": [trace], "layout": out}


def _line(name: str, x: Sequence[float], y: Sequence[float | None]) -> Figure:
    color, dash, symbol, width = STYLES[name]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": list(x),
        "y": list(y),
        "line": {"color": color, "dash": dash, "width": width},
        "marker": {"color": color, "symbol": symbol, "size": 7, "line": {"width": 1, "color": color}},
    }


def _minutes_layout(title: str) -> Figure:
    out = plain_layout(height=360)
    out["xaxis"] |= {"title": {"text": "minute of the forecast"}, "dtick": 3, "range": [-0.7, 23.7], "showgrid": False}
    out["yaxis"] |= {"title": {"text": title}}
    return out


def _stripe(low: float, high: float) -> Figure:
    return {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": low, "y1": high, "fillcolor": "@stripe",
            "line": {"width": 0}, "layer": "below"}  # fmt: skip


def _level(at: float, *, upright: bool = False) -> Figure:
    along, across = ("y", "x") if upright else ("x", "y")
    return {"type": "line", f"{along}ref": "paper", f"{along}0": 0, f"{along}1": 1, f"{across}0": at, f"{across}1": at,
            "line": {"color": "@zero", "dash": "dot", "width": 1}, "layer": "below"}  # fmt: skip


def _wide(traces: Sequence[Figure], least: float) -> list[float]:
    reach = max(least, 1.15 * max(abs(value) for trace in traces for value in trace["y"]))
    return [-reach, reach]
