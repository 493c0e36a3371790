"""The report of the night for a terminal: one table of games, one of hops, and the figures with their
uncertainty.
"""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from models.clock import OFFICIAL_MINUTE
from monitoring.night_model import LatencyMs, MinuteFigures, NightGame, NightReport, Uncertain

HOP_NAMES = {
    "feed_to_queue": "feed to queue",
    "queue_to_forecast": "queue to forecast",
    "forecast_to_commit": "forecast to committed",
    "commit_to_client": "committed to client",
    "feed_to_client": "feed to client",
}
MINUTE_COLUMNS = ("minute", "forecasts", "inside", "width", "MAE / persistence", "RMSE / persistence", "skill")
SHOWN_MINUTES = (0, 3, 6, 9, 12, 15, OFFICIAL_MINUTE, 21, 23)
UNKNOWN = "-"


def print_night(report: NightReport, console: Console | None = None) -> None:
    """Print the report; give a console on standard error where standard output belongs to the JSON."""
    (console or Console()).print(render_night(report))


def render_night(report: NightReport) -> RenderableType:
    """The report as one renderable."""
    league = "simulated league" if report.simulated else f"{report.source} games"
    title = Text(f"Night of {report.league_date}, {league}", style="bold yellow" if report.simulated else "bold")
    notes = Text("\n".join(report.notes), style="dim")
    tables = (Text(), _minutes(report), Text(), _hops(report), Text())
    return Panel(Group(_games(report), Text(), *figures(report), *tables, notes), title=title)


def signed(value: float | None, digits: int = 1) -> str:
    """A margin with its sign, "-" when unknown."""
    if value is None:
        return UNKNOWN
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0:.{digits}f}"


def interval_words(game: NightGame) -> str:
    """The interval of a game in points, "-" when there is none."""
    if game.lower is None or game.upper is None:
        return UNKNOWN
    return f"[{signed(game.lower)}, {signed(game.upper)}]"


def covered_words(game: NightGame) -> str:
    """yes, no, or "-" before settlement."""
    return UNKNOWN if game.covered is None else "yes" if game.covered else "no"


def status_words(game: NightGame) -> str:
    """Disposition, with its reason where it is not a forecast, and the revision where there was one."""
    words = game.disposition or "undecided"
    if words != "forecast":
        return f"{words}: {game.reason}" if game.reason else words
    return f"{words}, revision {game.revision}" if game.revision else words


def figure_words(report: NightReport) -> dict[str, str]:
    """Name -> sentence for the night's figures, each with its uncertainty."""
    totals = report.totals
    words = {
        "games": (
            f"{totals.games}: {totals.forecast} forecast, {totals.missed} missed, {totals.void} void,"
            f" {totals.undecided} undecided"
        ),
        "settled": f"{totals.settled}, {totals.revised} revised, {totals.duplicates} duplicates",
        "mean absolute error": (
            UNKNOWN
            if report.mae is None or report.mae_persistence is None
            else f"{report.mae:.2f} points, persistence {report.mae_persistence:.2f}"
        ),
        "skill": f"{uncertain_words(report.skill)}, in squared error against persistence" if report.skill else UNKNOWN,
        "coverage": _coverage_words(report),
        "mean width": UNKNOWN if report.mean_width is None else f"{report.mean_width:.1f} points",
        "model": UNKNOWN if report.model.version is None else f"version {report.model.version}",
    }
    if report.model.digest:
        words["model"] += f", digest {report.model.digest[:12]}"
    return words


def uncertain_words(figure: Uncertain) -> str:
    """A share with its interval and the number of games."""
    return f"{figure.value:+.1%} ({figure.level:.0%}: {figure.lower:+.1%} to {figure.upper:+.1%}, n = {figure.n})"


def _coverage_words(report: NightReport) -> str:
    found = report.coverage_interval
    if found is None:
        return UNKNOWN
    target = "" if report.nominal_coverage is None else f", target {report.nominal_coverage:.0%}"
    return (
        f"{round(found.value * found.n)} of {found.n} = {found.value:.1%}"
        f" ({found.level:.0%}: {found.lower:.1%} to {found.upper:.1%}){target}"
    )


def figures(report: NightReport) -> list[Text]:
    """One line a figure."""
    return [Text.assemble((f"{name:<20}", "bold"), words) for name, words in figure_words(report).items()]


def _games(report: NightReport) -> Table:
    table = Table(title="Margin at halftime, home minus away", title_justify="left", box=None, pad_edge=False)
    table.add_column("game")
    for name in ("forecast", "interval", "actual", "covered", "persistence", "error"):
        table.add_column(name, justify="right")
    table.add_column("status")
    for game in report.games:
        style = "red" if game.disposition in ("missed", None) else "yellow" if game.covered is False else ""
        table.add_row(
            f"{game.away} at {game.home}",
            signed(game.point),
            interval_words(game),
            signed(game.actual, 0),
            covered_words(game),
            signed(game.persistence, 0),
            signed(game.error),
            status_words(game),
            style=style,
        )
    return table


def minute_words(row: MinuteFigures) -> tuple[str, ...]:
    """One minute's figures, in the order of MINUTE_COLUMNS."""
    coverage = UNKNOWN if row.coverage is None else f"{round(row.coverage * row.settled)} of {row.settled}"
    return (
        str(row.minute),
        str(row.forecasts),
        coverage,
        UNKNOWN if row.mean_width is None else f"{row.mean_width:.1f}",
        _beside(row.mae, row.mae_persistence),
        _beside(row.rmse, row.rmse_persistence),
        UNKNOWN if row.skill is None else f"{row.skill:+.1%}",
    )


def _beside(ours: float | None, persistence: float | None) -> str:
    return UNKNOWN if ours is None or persistence is None else f"{ours:.2f} / {persistence:.2f}"


def _minutes(report: NightReport) -> Table:
    title = "Forecasts by minute, points (all minutes are on the page)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in MINUTE_COLUMNS:
        table.add_column(name, justify="right")
    for row in (row for row in report.by_minute if row.minute in SHOWN_MINUTES):
        table.add_row(*minute_words(row), style="bold" if row.minute == OFFICIAL_MINUTE else "")
    return table


def _hops(report: NightReport) -> Table:
    table = Table(title="Latency, wall-clock ms", title_justify="left", box=None, pad_edge=False)
    table.add_column("hop")
    for name in ("p50", "p95", "p99", "n"):
        table.add_column(name, justify="right")
    for field in LatencyMs.model_fields:
        hop = getattr(report.latency_ms, field)
        shown = [UNKNOWN if value is None else f"{value:,.1f}" for value in (hop.p50, hop.p95, hop.p99)]
        table.add_row(HOP_NAMES[field], *shown, str(hop.n))
    return table
