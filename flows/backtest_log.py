"""A finished backtest for those who were not there: in MLflow, with its report and all its rows."""

from __future__ import annotations

import json

from bentos.answering import code_version
from models.backtest import BacktestSpec
from models.backtest_result import BacktestResult
from monitoring.backtest_report import render_html
from services.experiments import Figure, log_result
from services.settings import Settings

FIGURES = ("mae", "crps", "mse_skill", "crps_skill", "coverage_95", "width_95", "interval_score_95")


def log_backtest(settings: Settings, result: BacktestResult, spec: BacktestSpec) -> str:
    """Parameters, each row's figures under forecaster/season/figure with the minute as step, the page and the JSON.

    Returns the run's id. Raises services.experiments.ExperimentsUnavailable.
    """
    training = {f"training.{name}": str(value) for name, value in spec.training.as_dict().items() if name != "as_of"}
    return log_result(
        settings.resolved_mlflow_uri,
        f"{settings.model_name}-backtest",
        name=f"backtest {result.seasons[0]} to {result.seasons[-1]}",
        params={
            "seasons": ",".join(map(str, result.seasons)),
            "minutes": ",".join(map(str, result.minutes)),
            "window": str(spec.window),
            **training,
        },
        figures=figures(result),
        files={"backtest.html": render_html(result), "backtest.json": json.dumps(result.as_dict(), allow_nan=False)},
        tags={"code_version": code_version(), "source": result.source, "kind": "backtest"},
    )


def figures(result: BacktestResult) -> list[Figure]:
    """Each row's figures, without those that are not defined."""
    return [
        Figure(f"{row['forecaster']}/{row['season']}/{figure}", row[figure], row["minute"])
        for row in result.rows
        for figure in FIGURES
        if row[figure] is not None
    ]
