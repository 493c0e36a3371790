"""The command that walks past seasons forward and scores every forecaster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_common import Json, print_json, settings_with

if TYPE_CHECKING:
    from models.backtest import BacktestSpec
    from models.backtest_result import BacktestResult
    from services.settings import Settings


def backtest(
    test: Annotated[list[int] | None, typer.Option(help="season to test by start year, as 2022; repeatable")] = None,
    minutes: Annotated[str | None, typer.Option(help="minutes to forecast at, as 0,6,12,18,23; unset: all")] = None,
    html: Annotated[Path | None, typer.Option(help="write the report with its plots to this file")] = None,
    log: Annotated[bool, typer.Option(help="keep the result in MLflow; needs its server")] = False,
    as_json: Json = False,
) -> None:
    """Forecast past seasons with nothing later than each game's own date, every forecaster beside persistence.

    Reads the games of HALFTIME_DATA, or the simulated league; needs no database and no server. Seasons run side by
    side on this machine, or on the Dask cluster at DASK_ADDRESS.

    Example: ./halftime backtest --test 2021 --test 2022 --minutes 0,6,12,18,23 --json
    """
    from flows.backtest import load_history
    from flows.backtest_cluster import run_seasons
    from flows.show import ProgressWatcher, console
    from models.backtest import BacktestSpec, check_seasons
    from models.backtest_result import combine
    from monitoring.backtest_text import summary

    settings = settings_with()
    _check_writable(html)
    spec = BacktestSpec() if minutes is None else BacktestSpec(minutes=_minutes(minutes))
    with ProgressWatcher() as watcher:
        watcher.stage(f"reading {settings.league_source} games")
        history = load_history(settings)
        seasons = check_seasons(history, test or [], spec)
        watcher.stage(f"forecasting {', '.join(map(str, seasons))} of the {settings.league_source} games")
        shares = dict.fromkeys(seasons, 0.0)

        def told(season: int, stage: str, done: float) -> None:
            shares[season] = done
            watcher.share(f"{season}: {stage}", sum(shares.values()) / len(shares))

        found = run_seasons(history, seasons, spec, dask_address=settings.dask_address, progress=told)
        result = combine(settings.league_source, found)
    # First what the hour was for: what follows may fail, and one failure must not cost the other its turn.
    if as_json:
        print_json(result.as_dict())
        sys.stdout.flush()
    for sentence in (*summary(result), *result.notes):
        console.print(f"- {sentence}", highlight=False, markup=False, soft_wrap=True)
    done = [_written(result, html)] if html is not None else []
    if log:
        done.append(_logged(settings, result, spec))
    if not all(done):
        raise typer.Exit(1)


def _written(result: BacktestResult, html: Path) -> bool:
    from flows.show import ProgressWatcher, console
    from monitoring.backtest_report import write_html

    try:
        with ProgressWatcher() as watcher:
            watcher.stage("writing the report")
            write_html(result, html)
    except OSError as error:
        _say(f"the report could not be written to {html}: {error.strerror or error}")
        return False
    console.print(f"report: {html}", highlight=False, markup=False, soft_wrap=True)
    return True


def _logged(settings: Settings, result: BacktestResult, spec: BacktestSpec) -> bool:
    """Raises our own errors, as services.experiments.ExperimentsUnavailable, which are sentences already."""
    from flows.backtest_log import log_backtest
    from flows.sentences import sentence
    from flows.show import ProgressWatcher

    try:
        with ProgressWatcher() as watcher:
            watcher.stage("logging to MLflow")
            log_backtest(settings, result, spec)
    except OSError as error:
        if sentence(error) is not None:
            raise
        _say(f"the result could not be logged to MLflow: {error}")
        return False
    return True


def _say(sentence: str) -> None:
    typer.echo(f"halftime: {sentence}", err=True)


def _minutes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(minute) for minute in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: name minutes as 0,6,12,18,23", param_hint="--minutes") from error


def _check_writable(html: Path | None) -> None:
    """Before the work, not after it."""
    if html is None:
        return
    from monitoring.page_parts import check_page

    try:
        check_page(html)
    except OSError as error:
        # No typer.BadParameter: it would break the path at the end of its box.
        _say(f"{html} cannot be written: {error.strerror or error}; name another file with --html")
        raise typer.Exit(2) from error
