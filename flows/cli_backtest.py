"""The command that walks past seasons forward and scores every forecaster."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli_common import Json, print_json, settings_with


def backtest(
    test: Annotated[list[int] | None, typer.Option(help="season to test by start year, as 2022; repeatable")] = None,
    minutes: Annotated[str | None, typer.Option(help="minutes to forecast at, as 0,6,12,18,23; unset: all")] = None,
    as_json: Json = False,
) -> None:
    """Forecast past seasons with nothing later than each game's own date, every forecaster beside persistence.

    Reads the games of HALFTIME_DATA, or the simulated league; needs no database and no server.

    Example: ./halftime backtest --test 2021 --test 2022 --minutes 0,6,12,18,23 --json
    """
    from flows.backtest import load_history, run_seasons
    from flows.show import ProgressWatcher
    from models.backtest import BacktestSpec, check_seasons, result_json

    settings = settings_with()
    spec = BacktestSpec() if minutes is None else BacktestSpec(minutes=_minutes(minutes))
    with ProgressWatcher() as watcher:
        watcher.stage(f"reading {settings.league_source} games")
        history = load_history(settings)
        seasons = check_seasons(history, test or [], spec)
        watcher.stage(f"backtest of {len(seasons)} seasons on {settings.league_source} games")
        shares = dict.fromkeys(seasons, 0.0)

        def told(season: int, stage: str, done: float) -> None:
            shares[season] = done
            watcher.share(f"{season}: {stage}", sum(shares.values()) / len(shares))

        results = run_seasons(history, seasons, spec, progress=told)
    found = result_json(settings.league_source, results)
    if as_json:
        print_json(found)


def _minutes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(minute) for minute in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: name minutes as 0,6,12,18,23", param_hint="--minutes") from error
