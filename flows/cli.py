"""The command line: `./halftime --help`."""

from __future__ import annotations

import logging
import os
import sys
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

import typer

from flows.cli_backtest import backtest
from flows.cli_backup import backup, restore
from flows.cli_common import Json, Speed
from flows.cli_common import print_json as _print_json
from flows.cli_common import settings_with as _settings
from flows.cli_logs import logs
from flows.cli_models import bento, models, promote, roll_back
from flows.cli_predict import predict, reproduce
from flows.cli_rehearse import rehearse
from flows.cli_report import report
from flows.cli_trace import trace

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Live NBA halftime-margin forecasts.\n\nExample: [bold]./halftime night[/bold] replays one night from tip-off"
    " to report; [bold]./halftime up[/bold] keeps the stack running.",
)


class Feed(StrEnum):
    """What the poller can follow."""

    NONE = "none"
    REPLAY = "replay"
    NBA = "nba"


@app.command()
def up(
    feed: Annotated[Feed | None, typer.Option(help="what the poller follows; unset: HALFTIME_FEED, else none")] = None,
    league_date: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="night to replay")
    ] = None,
    speed: Speed = None,
    as_json: Json = False,
) -> None:
    """Start the stack and leave it running; prints where everything is.

    Example: ./halftime up --feed nba
    """
    from flows.operate import bring_up

    settings = _settings(
        feed=feed.value if feed else None,
        replay_speed=speed,
        replay_date=league_date.date() if league_date else None,
    )
    urls = bring_up(settings, live=settings.feed != "none")
    if as_json:
        _print_json(urls)
    else:
        from flows.show import console, url_table

        console.print(url_table(urls))
        console.print("Stop it with [bold]make down[/bold].")


@app.command()
def down() -> None:
    """Stop the stack and everything that belongs to it.

    Example: ./halftime down
    """
    from infra.detached import stop_detached

    ended = stop_detached(_settings())
    typer.echo(f"stopped: {', '.join(ended)}" if ended else "nothing was running", err=True)


@app.command()
def status(as_json: Json = False) -> None:
    """What runs, since when, and what is wrong with it; exits with 1 when something is.

    Example: ./halftime status --json
    """
    from flows.operate import stack_report

    report = stack_report(_settings())
    if as_json:
        _print_json(report.to_json())
    else:
        from flows.show import console

        console.print(report.table())
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check everything Halftime needs; each failed check says what to do. Exits with 1 when one failed.

    Example: ./halftime doctor
    """
    from infra.doctor import check_all

    checks = check_all(_settings())
    if as_json:
        _print_json([check.to_dict() for check in checks])
    else:
        from flows.show import check_table, console

        console.print(check_table(checks))
    raise typer.Exit(0 if all(check.ok or check.warning for check in checks) else 1)


@app.command()
def night(
    league_date: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="night to replay")
    ] = None,
    speed: Speed = None,
    as_json: Json = False,
) -> None:
    """One night, end to end: stack, history, champion, replay, nightly flows, report; then everything stops.

    Example: ./halftime night --speed 60 --json
    """
    _replay(league_date.date() if league_date else None, speed, as_json, nightly=True)


@app.command()
def replay(
    league_date: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="league date, US Eastern")],
    speed: Speed = None,
    as_json: Json = False,
) -> None:
    """Replay one night through the live path and print its report, without the nightly flows.

    Example: ./halftime replay 2023-04-09 --speed 60 --json
    """
    _replay(league_date.date(), speed, as_json, nightly=False)


def _replay(day: date | None, speed: float | None, as_json: bool, *, nightly: bool) -> None:
    from flows.night import run_night
    from flows.report import page_path
    from flows.show import ProgressWatcher, console
    from flows.slate import check_night, pick_night
    from monitoring.night_text import print_night

    settings = _settings(replay_speed=speed, replay_date=day)
    chosen = settings.replay_date or pick_night(settings)
    check_night(settings, chosen)
    with ProgressWatcher() as watcher:
        report = run_night(settings, league_date=chosen, nightly=nightly, watcher=watcher)
    print_night(report, console)
    console.print(f"page: {page_path(settings, report)}", highlight=False, soft_wrap=True)
    if as_json:
        _print_json(report.model_dump(mode="json"))


@app.command()
def backfill(
    source: Annotated[
        str | None, typer.Option(help="recorded, simulated or archive; unset: what HALFTIME_DATA gives")
    ] = None,
    seasons: Annotated[str | None, typer.Option(help="archive seasons by start year, as 2018-2024")] = None,
    as_json: Json = False,
) -> None:
    """Load history into the table games; needs the stack, resumes where it stopped.

    Example: ./halftime backfill --source archive --seasons 2018-2024
    """
    from flows.backfill import load_source
    from flows.show import ProgressWatcher

    settings = _settings()
    with ProgressWatcher() as watcher:
        watcher.stage("loading history")
        counts = load_source(settings, source=source, seasons=seasons, told=watcher.share)
    _print_json(counts) if as_json else typer.echo(", ".join(f"{name} {count}" for name, count in counts.items()))


@app.command()
def train(
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="learn from games before this date")
    ] = None,
    promote: Annotated[bool, typer.Option(help="make the new version champion")] = False,
    as_json: Json = False,
) -> None:
    """Train on the history and register the version; needs the stack.

    Example: ./halftime train --as-of 2023-02-03 --promote
    """
    from flows.show import ProgressWatcher
    from flows.slate import league_today
    from flows.train import train as run

    with ProgressWatcher() as watcher:
        watcher.stage("training")
        day = as_of.date() if as_of else league_today()
        summary = run(_settings(), as_of=day, promote=promote, progress=watcher.share)
    _print_json(summary.to_json()) if as_json else typer.echo(summary.line())


app.command(context_settings={"ignore_unknown_options": True})(predict)
app.command()(reproduce)
app.command()(backtest)
app.command()(models)
app.command()(rehearse)
app.command()(report)
app.command()(logs)
app.command()(trace)
app.command()(promote)
app.command()(bento)
app.command()(roll_back)
app.command()(backup)
app.command()(restore)


def main() -> None:
    """Entry point. Our own errors name what to do and are printed as that sentence; anything else is a bug."""
    from flows.sentences import sentence
    from services.telemetry import configure_logging

    # Warnings only: the progress display and the report are what a person reads here.
    configure_logging(os.environ.get("HALFTIME_LOG_LEVEL", "WARNING"))
    # A request that succeeded at its second try is no news here.
    logging.getLogger("stamina").setLevel(logging.ERROR)
    try:
        app()
    except Exception as error:
        said = sentence(error)
        if said is None:
            raise
        sys.exit(f"halftime: {said}")


if __name__ == "__main__":
    main()
