"""A training's plots as self-contained HTML fragments for MLflow's artifact view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

Plots = Mapping[str, Mapping[str, Sequence[float]]]

_TITLES = {
    "reliability": ("Coverage: observed against nominal", "nominal"),
    "errors": ("Errors beside persistence (games)", "error"),
    "by_minute": ("RMSE by minute beside persistence (points)", "minute"),
    "training_loss": ("Training loss of the network", "epoch"),
}


def render_plots(plots: Plots, note: str) -> dict[str, str]:
    """File name -> page. Each plot draws its other columns over its first; ``note`` names the games they come from."""
    pages = {}
    for name, columns in plots.items():
        title, x_name = _TITLES.get(name, (name, next(iter(columns))))
        figure = go.Figure()
        for column, values in columns.items():
            if column != x_name:
                figure.add_scatter(x=list(columns[x_name]), y=list(values), name=column, mode="lines+markers")
        if name == "reliability":
            figure.add_scatter(
                x=list(columns[x_name]), y=list(columns[x_name]), name="ideal", mode="lines", line={"dash": "dot"}
            )
            figure.for_each_trace(lambda trace: trace.update(visible="legendonly"), selector={"name": "width"})
        figure.update_layout(title=f"{title}<br><sub>{note}</sub>", xaxis_title=x_name, template="plotly_white")
        pages[f"{name}.html"] = figure.to_html(include_plotlyjs=True, full_html=True)
    return pages
