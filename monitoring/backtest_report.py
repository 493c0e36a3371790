"""A backtest as one self-contained page: no request leaves it, and it opens from a file or a mail."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template

from models.backtest_result import BacktestResult
from models.backtest_scores import Row
from monitoring import backtest_figures as figures
from monitoring.backtest_text import official_minute, summary
from monitoring.page_parts import draw_script, plotly_script, script_json, table, write_page

PAGE = Path(__file__).with_name("backtest_page.html")

POOLED_COLUMNS = {
    "minute": "{:d}",
    "forecaster": "{}",
    "n": "{:,d}",
    "mse_skill": "{:.1%}",
    "mse_skill_lower": "{:.1%}",
    "mse_skill_upper": "{:.1%}",
    "crps_skill": "{:.1%}",
    "crps_skill_lower": "{:.1%}",
    "crps_skill_upper": "{:.1%}",
    "coverage_80": "{:.1%}",
    "coverage_90": "{:.1%}",
    "coverage_95": "{:.1%}",
    "width_95": "{:.1f}",
    "interval_score_95": "{:.2f}",
    "interval_score_ratio_95": "{:.3f}",
    "crps_over_linear": "{:.1%}",
    "crps_over_linear_lower": "{:.1%}",
    "crps_over_linear_upper": "{:.1%}",
}
ROW_COLUMNS = {
    "season": "{:d}",
    "minute": "{:d}",
    "forecaster": "{}",
    "n": "{:,d}",
    "mae": "{:.3f}",
    "rmse": "{:.3f}",
    "crps": "{:.3f}",
    "brier": "{:.4f}",
    "log_score": "{:.4f}",
    "mse_skill": "{:.1%}",
    "mse_skill_lower": "{:.1%}",
    "mse_skill_upper": "{:.1%}",
    "crps_skill": "{:.1%}",
    "crps_skill_lower": "{:.1%}",
    "crps_skill_upper": "{:.1%}",
    "coverage_80": "{:.1%}",
    "coverage_90": "{:.1%}",
    "coverage_95": "{:.1%}",
    "width_80": "{:.1f}",
    "width_90": "{:.1f}",
    "width_95": "{:.1f}",
    "interval_score_95": "{:.2f}",
}


def render_html(result: BacktestResult) -> str:
    """The page as text (UTF-8, under 8 MB). The same result gives the same page."""
    plots = {
        "mse-skill": figures.skill_figure(result, "mse_skill", "squared-error skill"),
        "crps-skill": figures.skill_figure(result, "crps_skill", "CRPS skill"),
        "coverage": figures.coverage_figure(result),
        "width": figures.width_figure(result),
        "reliability": figures.reliability_figure(result),
        "chances": figures.chances_figure(result),
        "pit": figures.pit_figure(result),
        "conditional": figures.conditional_figure(result),
    }
    minute = official_minute(result)
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        seasons=escape(", ".join(map(str, result.seasons))),
        badge="simulated league" if result.source == "simulated" else escape(f"{result.source} games"),
        badge_class="simulated" if result.source == "simulated" else "real",
        games=f"{result.games:,}",
        minute=str(minute),
        summary="".join(f"<li>{escape(sentence)}</li>" for sentence in (*summary(result), *result.notes)),
        official=_rows(
            {name: form for name, form in POOLED_COLUMNS.items() if name not in ("minute", "n")},
            [row for row in result.pooled if row["minute"] == minute],
        ),
        pooled=_rows(POOLED_COLUMNS, result.pooled),
        rows=_rows(ROW_COLUMNS, result.rows),
        figures=script_json(plots),
        plotly=plotly_script(),
        draw=draw_script(),
    )


def write_html(result: BacktestResult, path: Path) -> Path:
    """Write the page to ``path`` (its folder is made) and return the path. Raises OSError when it cannot."""
    return write_page(render_html(result), path)


def _rows(columns: dict[str, str], rows: list[Row]) -> str:
    names = [name.replace("_", " ") for name in columns]
    return table(names, [[_cell(row[name], form) for name, form in columns.items()] for row in rows])


def _cell(value: object, form: str) -> str:
    return "–" if value is None else form.format(value)
