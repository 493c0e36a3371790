"""The commands about single forecasts: ask for one, compute a stored one again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from flows.cli_common import Json, print_json, settings_with


def predict(
    margins: Annotated[
        list[float] | None, typer.Argument(help="home minus away at the end of each minute, 18 numbers")
    ] = None,
    alpha: Annotated[float, typer.Option(help="miss rate of the interval")] = 0.05,
    home: Annotated[str | None, typer.Option(help="home team, as BOS")] = None,
    away: Annotated[str | None, typer.Option(help="away team, as PHI")] = None,
    minute: Annotated[int | None, typer.Option(help="minutes played, and as many margins; unset: 18")] = None,
    league_date: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="league date, US Eastern")
    ] = None,
    possession: Annotated[str | None, typer.Option(help="who has the ball: home or away")] = None,
    above: Annotated[list[float] | None, typer.Option(help="how likely a margin above this is; repeatable")] = None,
    level: Annotated[list[float] | None, typer.Option(help="a further interval, as 0.99; repeatable")] = None,
    as_json: Json = False,
) -> None:
    """Ask the running forecaster for the margin at halftime.

    Example: ./halftime predict --home BOS --away PHI --above 5.5 -- 2 4 3 3 5 7 6 8 9 9 7 8 10 12 11 9 8 10
    """
    from services.client import ForecasterClient

    with ForecasterClient(settings_with().forecaster_url) as client:
        answer = client.predict(
            margins or [],
            alpha=alpha,
            home=home,
            away=away,
            minute=minute,
            date=league_date.date() if league_date else None,
            possession=possession,
            above=above or (),
            levels=level or (),
        )
    if as_json:
        print_json(answer.model_dump(mode="json"))
        return
    from flows.show import print_prediction

    print_prediction(answer)


def reproduce(
    prediction_id: Annotated[str, typer.Argument(help="id of a stored prediction")], as_json: Json = False
) -> None:
    """Compute a stored prediction again from its row and its model; exits with 1 when a bit differs.

    Example: ./halftime reproduce 2f0f0c9e-8f0a-5d8e-9d5c-3f6a1f0e9b7a
    """
    from flows.reproduce import reproduce_prediction

    result = reproduce_prediction(settings_with(), prediction_id)
    print_json(result.to_json()) if as_json else typer.echo(result.line())
    raise typer.Exit(0 if result.equal else 1)
