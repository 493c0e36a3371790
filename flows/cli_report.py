"""The command that makes Evidently's report of a span, or last night's reports again, and shows what they say."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_common import Json, print_json, settings_with

if TYPE_CHECKING:
    from rich.table import Table

    from flows.report import StoredWindow
    from services.settings import Settings

DAY = ["%Y-%m-%d"]
SHOWN = ("mae", "mae_persistence", "skill", "coverage", "mean_width", "bias")


def report(
    since: Annotated[datetime | None, typer.Option(formats=DAY, help="first league date of the span")] = None,
    until: Annotated[datetime | None, typer.Option(formats=DAY, help="last league date; unset: today")] = None,
    league_date: Annotated[
        datetime | None, typer.Option("--date", formats=DAY, help="the night whose week and season to report again")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="write Evidently's page (4 MB) of the span, or of the week, to this file")
    ] = None,
    as_json: Json = False,
) -> None:
    """Report on a span of league dates: drift, errors, coverage, width, each with its tests; needs the stack.

    Without --since the reports of a night are made again: the night, its week, the season so far. What is made is
    stored, listed on the board, and put into model_performance; made again it replaces.

    Example: ./halftime report --since 2023-01-01 --until 2023-01-31 --json
    """
    from flows.report import nightly_report, span_report
    from flows.show import console
    from flows.slate import league_today

    if since is None and until is not None:
        raise typer.BadParameter("--until needs --since: name the first league date, or use --date for a night")
    if since is not None and league_date is not None:
        raise typer.BadParameter("--date is a night, --since begins a span: leave out one")
    settings = settings_with()
    windows: tuple[StoredWindow, ...]
    if since is not None:
        made = span_report(settings, since.date(), until.date() if until else league_today())
        windows, told = (made,), made.to_json()
    else:
        night = nightly_report(settings, league_date=league_date.date() if league_date else None)
        windows, told = night.windows, night.to_json()
    for window in windows:
        console.print(window_table(window))
        for flag in window.flags:
            console.print(f"flag: {flag}", markup=False, highlight=False)
        console.print(window.url, highlight=False, soft_wrap=True)
    if html is not None:
        _write_html(settings, windows[0], html)
    if as_json:
        print_json(told)


def window_table(window: StoredWindow) -> Table:
    """The figures of a window; where there are too few games the title says so and the figures are dashes."""
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table

    span = f"{window.window.name} {window.window.since} to {window.window.until}: {window.message}"
    table = Table(*SHOWN, title=escape(span), box=SIMPLE, title_justify="left")
    table.add_row(*(_number(window.figures.get(name)) for name in SHOWN))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _write_html(settings: Settings, window: StoredWindow, path: Path) -> None:
    from flows.report import stored_page
    from flows.show import console

    page = stored_page(settings, window.report_id)
    if page is None:
        console.print(f"no page: {window.message}", markup=False, highlight=False)
        return
    path.write_text(page, encoding="utf-8")
    console.print(f"page: {path}", markup=False, highlight=False, soft_wrap=True)
