"""The report of the night as one self-contained page: no request leaves it, and it opens from a file or a
mail.

Plotly's script is the one of the installed wheel, written into the page (about 4.5 MB). The content security
policy forbids every other source, so the page cannot come to depend on a network by accident.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template

from monitoring.journey_views import journey_card
from monitoring.night_figures import forecast_figure, latency_figure, path_figures
from monitoring.night_model import LatencyMs, NightReport
from monitoring.night_text import (
    HOP_NAMES,
    MINUTE_COLUMNS,
    UNKNOWN,
    covered_words,
    figure_words,
    interval_words,
    minute_words,
    signed,
    status_words,
)
from monitoring.page_parts import Figure, draw_script, plotly_script, script_json, table, write_page

PAGE = Path(__file__).with_name("night_page.html")
GAME_COLUMNS = ("game", "forecast", "interval", "outcome", "covered", "persistence", "error", "status")
HOP_COLUMNS = ("hop", "p50", "p95", "p99", "forecasts")


def render_html(report: NightReport) -> str:
    """The page as text (UTF-8, under 6 MB). The same report gives the same page."""
    figures: dict[str, Figure] = {}
    paths = []
    for place, (title, figure) in enumerate(path_figures(report)):
        figures[f"path-{place}"] = figure
        paths.append(f'<figure><figcaption>{escape(title)}</figcaption><div id="path-{place}"></div></figure>')
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        title=escape(f"Halftime: night of {report.league_date}"),
        date=escape(str(report.league_date)),
        badge="simulated league" if report.simulated else escape(f"{report.source} games"),
        badge_class="simulated" if report.simulated else "real",
        tiles="".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(words)}</dd></div>"
            for name, words in figure_words(report).items()
        ),
        notes="".join(f"<li>{escape(note)}</li>" for note in report.notes),
        games=table(GAME_COLUMNS, _game_rows(report)),
        forecasts=_plot("forecasts", forecast_figure(report), figures, "No game was forecast."),
        paths="".join(paths) or "<p>No margin path is known.</p>",
        minutes=table(MINUTE_COLUMNS, [minute_words(row) for row in report.by_minute]),
        latency=_plot("latency", latency_figure(report), figures, "No hop was measured."),
        hops=table(HOP_COLUMNS, _hop_rows(report)),
        journey=journey_card(report.slowest, "journey", figures),
        figures=script_json(figures),
        plotly=plotly_script(),
        draw=draw_script(),
    )


def write_html(report: NightReport, path: Path) -> Path:
    """Write the page to ``path`` (its folder is made) and return the path. Raises OSError when it cannot."""
    return write_page(render_html(report), path)


def _game_rows(report: NightReport) -> list[tuple[str, ...]]:
    return [
        (
            f"{game.away} at {game.home}",
            signed(game.point),
            interval_words(game),
            signed(game.actual, 0),
            covered_words(game),
            signed(game.persistence, 0),
            signed(game.error),
            status_words(game),
        )
        for game in report.games
    ]


def _hop_rows(report: NightReport) -> list[tuple[str, ...]]:
    rows = []
    for name in LatencyMs.model_fields:
        hop = getattr(report.latency_ms, name)
        shown = (UNKNOWN if value is None else f"{value:,.1f}" for value in (hop.p50, hop.p95, hop.p99))
        rows.append((HOP_NAMES[name], *shown, str(hop.n)))
    return rows


def _plot(name: str, figure: Figure | None, figures: dict[str, Figure], otherwise: str) -> str:
    if figure is None:
        return f"<p>{escape(otherwise)}</p>"
    figures[name] = figure
    return f'<div id="{name}"></div>'
