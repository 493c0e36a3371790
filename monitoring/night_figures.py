"""Plots of the night as plain Plotly figures (dicts), without importing plotly.

Colours are names of the page's CSS variables written ``@name``; the page resolves them, so one figure serves
light and dark. Every plot says the same thing by shape as by colour.
"""

from __future__ import annotations

from monitoring.night_model import LatencyMs, NightGame, NightReport
from monitoring.night_text import HOP_NAMES, interval_words, signed
from monitoring.page_parts import Figure, plain_layout

OFFICIAL_MINUTE = 18
HALFTIME_MINUTE = 24
ROW_PX = 34


def forecast_figure(report: NightReport) -> Figure | None:
    """Forecast with interval, persistence and outcome, one row a game; None when nothing was forecast."""
    games = [game for game in report.games if game.point is not None]
    if not games:
        return None
    names = [f"{game.away} at {game.home}" for game in games]
    rows = list(range(len(games)))
    inside = [row for row in rows if games[row].covered is not False]
    outside = [row for row in rows if games[row].covered is False]
    nominal = "" if report.nominal_coverage is None else f"{report.nominal_coverage:.0%} "
    traces = [
        _spans(games, inside, f"{nominal}interval", "@interval"),
        _spans(games, outside, "interval that missed", "@miss"),
        _marks(
            games,
            rows,
            "persistence",
            "persistence",
            {"symbol": "line-ns-open", "size": 12, "color": "@muted"},
        ),
        _marks(games, rows, "point", "forecast", {"symbol": "circle", "size": 10, "color": "@forecast"}),
        _marks(games, inside, "actual", "outcome", {"symbol": "diamond", "size": 10, "color": "@ink"}),
        _marks(games, outside, "actual", "outcome outside", {"symbol": "x", "size": 10, "color": "@miss"}),
    ]
    layout = plain_layout(height=150 + ROW_PX * len(games))
    shown = [float(x) for trace in traces for x in trace["x"] if x is not None]
    layout["xaxis"] |= {
        "title": {"text": "margin at halftime, home minus away (points)"},
        "zeroline": True,
        "range": [min(shown) - 2, max(shown) + 2],
    }
    layout["yaxis"] |= {
        "tickvals": rows,
        "ticktext": names,
        "range": [len(games) - 0.4, -0.6],
        "showgrid": False,
    }
    layout["margin"]["l"] = 96
    return {"data": [trace for trace in traces if trace["y"]], "layout": layout}


def _spans(games: list[NightGame], rows: list[int], name: str, color: str) -> Figure:
    """Horizontal segments, one trace; a None between two segments lifts the pen."""
    kept = [row for row in rows if games[row].lower is not None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [x for row in kept for x in (games[row].lower, games[row].upper, None)],
        "y": [y for row in kept for y in (row, row, None)],
        "line": {"color": color, "width": 7},
        "hoverinfo": "skip",
    }


def _marks(games: list[NightGame], rows: list[int], field: str, name: str, marker: Figure) -> Figure:
    kept = [row for row in rows if getattr(games[row], field) is not None]
    marker = marker | {"line": {"width": 2, "color": marker["color"]}}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [getattr(games[row], field) for row in kept],
        "y": kept,
        "marker": marker,
        "text": [_hover(games[row]) for row in kept],
        "hovertemplate": f"%{{text}}<extra>{name} %{{x:+.1f}}</extra>",
    }


def _hover(game: NightGame) -> str:
    return (
        f"{game.away} at {game.home}<br>forecast {signed(game.point)} {interval_words(game)}"
        f"<br>outcome {signed(game.actual, 0)}, persistence {signed(game.persistence, 0)}"
    )


def path_figures(report: NightReport) -> list[tuple[str, Figure]]:
    """(title, figure) for every game with a margin path: the path, then the interval and outcome at halftime.

    All share one vertical scale, so that a rout looks like a rout.
    """
    games = [game for game in report.games if game.path]
    values = [float(value) for game in games for value in game.path]
    values += [edge for game in games for edge in (game.lower, game.upper) if edge is not None]
    reach = max((abs(value) for value in values), default=0.0) + 2
    return [(f"{game.away} at {game.home}", _path_figure(game, reach)) for game in games]


def _path_figure(game: NightGame, reach: float) -> Figure:
    minutes = list(range(len(game.path) + 1))
    line = {"color": "@ink", "width": 2, "shape": "hv"}
    traces: list[Figure] = [
        {"type": "scatter", "mode": "lines", "name": "margin", "x": minutes, "y": [0, *game.path], "line": line,
         "hovertemplate": "minute %{x}: %{y:+d}<extra></extra>"}
    ]  # fmt: skip
    if game.point is not None and game.lower is not None and game.upper is not None:
        color = "@miss" if game.covered is False else "@interval"
        bars = {"type": "data", "symmetric": False, "array": [game.upper - game.point],
                "arrayminus": [game.point - game.lower], "color": color, "thickness": 5, "width": 0}  # fmt: skip
        traces.append(
            {"type": "scatter", "mode": "markers", "name": "forecast", "x": [HALFTIME_MINUTE + 1], "y": [game.point],
             "error_y": bars, "marker": {"color": "@forecast", "size": 8},
             "hovertemplate": f"forecast {signed(game.point)} {interval_words(game)}<extra></extra>"}
        )  # fmt: skip
    if game.actual is not None:
        symbol, color = ("x", "@miss") if game.covered is False else ("diamond", "@ink")
        traces.append(
            {"type": "scatter", "mode": "markers", "name": "outcome", "x": [HALFTIME_MINUTE + 1], "y": [game.actual],
             "marker": {"color": color, "size": 8, "symbol": symbol},
             "hovertemplate": f"outcome {signed(game.actual, 0)}<extra></extra>"}
        )  # fmt: skip
    layout = plain_layout(height=190)
    layout["showlegend"] = False
    layout["margin"] = {"l": 34, "r": 8, "t": 6, "b": 28}
    layout["xaxis"] |= {"range": [0, HALFTIME_MINUTE + 2], "tickvals": [0, 6, 12, 18, 24], "showgrid": False}
    layout["yaxis"] |= {"range": [-reach, reach], "zeroline": True, "nticks": 5}
    layout["shapes"] = [
        {"type": "line", "x0": OFFICIAL_MINUTE, "x1": OFFICIAL_MINUTE, "y0": 0, "y1": 1, "yref": "paper",
         "line": {"color": "@muted", "width": 1, "dash": "dot"}}
    ]  # fmt: skip
    return {"data": traces, "layout": layout}


def latency_figure(report: NightReport) -> Figure | None:
    """Percentiles of every measured hop as bars; None when no hop was measured."""
    hops = {name: getattr(report.latency_ms, name) for name in LatencyMs.model_fields}
    measured = [name for name, hop in hops.items() if hop.p50 is not None]
    if not measured:
        return None
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": share,
            "y": [HOP_NAMES[name] for name in measured],
            "x": [getattr(hops[name], share) for name in measured],
            "texttemplate": "%{x:,.0f}",
            "textposition": "outside",
            "cliponaxis": False,
            "marker": {"color": color},
            "hovertemplate": f"%{{y}} {share}: %{{x:,.1f}} ms<extra></extra>",
        }
        for share, color in (("p50", "@p50"), ("p95", "@p95"), ("p99", "@p99"))
    ]
    layout = plain_layout(height=130 + 62 * len(measured))
    layout |= {"barmode": "group", "bargap": 0.3}
    layout["xaxis"] |= {"title": {"text": "wall-clock ms"}, "rangemode": "tozero"}
    layout["yaxis"] |= {"autorange": "reversed", "showgrid": False}
    layout["margin"] |= {"l": 150, "r": 48}
    return {"data": traces, "layout": layout}
