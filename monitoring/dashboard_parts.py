"""What a panel of the dashboard is, and how it is said to Grafana's own builders.

The panels themselves are plain values (``monitoring.dashboard_panels``), so that tests and people read queries, not
builders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Literal

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

COLUMNS = 24
POINTS = "suffix: pts"
DATASOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")

Kind = Literal["timeseries", "stat", "heatmap"]
Built = timeseries.Panel | stat.Panel | heatmap.Panel


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and the name of its series; ``dashed`` sets what a figure is held against apart from it."""

    expr: str
    legend: str
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """``unit`` is a Grafana unit id; ``text`` a sentence that says what is shown and how to read it.

    ``lines`` are (value in the panel's unit, colour): in a time series drawn as lines, in a stat the value from which
    on it has that colour. ``steps`` is for values that jump, as versions do.
    """

    title: str
    text: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    width: int = 8
    lines: tuple[tuple[float, str], ...] = ()
    steps: bool = False
    least: float | None = None
    most: float | None = None

    @property
    def height(self) -> int:
        """Grid rows."""
        return 4 if self.kind == "stat" else 8


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and its panels, placed from left to right."""

    title: str
    panels: tuple[Panel, ...]


def quantile_of(quantile: float, buckets: str, *by: str) -> str:
    """PromQL of a quantile over five minutes. ``buckets`` selects ``_bucket`` series: they are added up over targets,
    for each value of the labels ``by``, since the quantile of one of many targets says nothing about all."""
    return f"histogram_quantile({quantile}, sum by ({', '.join(('le', *by))}) (rate({buckets}[5m])))"


def built(panel: Panel, number: int, x: int, y: int) -> Built:
    """The builder of ``panel`` with its id and its upper left corner in grid units."""
    made = _kinds(panel)
    made.id(number).title(panel.title).description(panel.text).unit(panel.unit).datasource(DATASOURCE)
    made.grid_pos(dashboard.GridPos(h=panel.height, w=panel.width, x=x, y=y))
    made.thresholds(_thresholds(panel.lines))
    if panel.least is not None:
        made.min(panel.least)
    if panel.most is not None:
        made.max(panel.most)
    for ref_id, query in zip(ascii_uppercase, panel.queries, strict=False):
        made.with_target(_target(panel, query, ref_id))
        if query.dashed:
            style = dashboard.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [6, 6]})
            made.override_by_query(ref_id, [style])
    return made


def placed(rows: Sequence[Row]) -> list[tuple[Row, int, list[tuple[Panel, int, int]]]]:
    """Each row with its own y and the corners (x, y) of its panels; a line that is full wraps.

    Raises ValueError for a panel that is wider than the grid.
    """
    out: list[tuple[Row, int, list[tuple[Panel, int, int]]]] = []
    y = 0
    for row in rows:
        corners: list[tuple[Panel, int, int]] = []
        x, top, tallest = 0, y + 1, 0
        for panel in row.panels:
            if panel.width > COLUMNS:
                raise ValueError(f"panel {panel.title!r} is {panel.width} wide, the grid has {COLUMNS} columns")
            if x + panel.width > COLUMNS:
                x, top, tallest = 0, top + tallest, 0
            corners.append((panel, x, top))
            x, tallest = x + panel.width, max(tallest, panel.height)
        out.append((row, y, corners))
        y = top + tallest
    return out


def _kinds(panel: Panel) -> Built:
    if panel.kind == "stat":
        last = common_builders.ReduceDataOptions().calcs(["lastNotNull"])
        made = stat.Panel().reduce_options(last).graph_mode(common.BigValueGraphMode.NONE)
        return made.text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    if panel.kind == "heatmap":
        color = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(64)
        axis = heatmap.YAxisConfig().unit(POINTS)
        # Prometheus's buckets are named by their upper edges.
        rows = heatmap.RowsHeatmapOptions().layout(common.HeatmapCellLayout.LE)
        return heatmap.Panel().color(color).y_axis(axis).rows_frame(rows).show_legend().show_y_histogram()
    legend = common_builders.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST)
    legend.placement(common.LegendPlacement.BOTTOM).show_legend(True).calcs(["lastNotNull"])
    tooltip = common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI)
    series = timeseries.Panel().legend(legend).tooltip(tooltip).line_width(2).fill_opacity(0)
    if panel.steps:
        series.line_interpolation(common.LineInterpolation.STEP_AFTER)
    if panel.lines:
        mode = common.GraphThresholdsStyleMode.LINE
        series.thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(mode))
    return series


def _target(panel: Panel, query: Query, ref_id: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref_id).datasource(DATASOURCE)
    if panel.kind == "heatmap":
        return target.format(PromQueryFormat.HEATMAP).range()
    # A range would also hold what is no longer so: the version served before, say, with its last value.
    return target.instant() if panel.kind == "stat" else target.range()


def _thresholds(lines: Sequence[tuple[float, str]]) -> dashboard_builders.ThresholdsConfig:
    steps = [dashboard.Threshold(value=None, color="green")]
    steps += [dashboard.Threshold(value=value, color=color) for value, color in lines]
    return dashboard_builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)
