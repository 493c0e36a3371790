"""The command that shows one forecast's whole way, from the tables and the logs of this data folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_common import Json, print_json, settings_with
from services.trace import TRACE_ID

if TYPE_CHECKING:
    from monitoring.journey import Heard, JourneyRow
    from services.settings import Settings
    from services.store import Store


def trace(
    which: Annotated[str, typer.Argument(metavar="GAME_ID|TRACE_ID", help="a game, or a trace id of 32 hex digits")],
    minute: Annotated[
        int | None, typer.Option(help="minute of the forecast; unset: 18, or every one of a trace", min=0, max=23)
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a forecast's way step by step with its times: polled, queued, made, committed, told, settled; needs the
    database.

    Steps that no table keeps come from the logs of this data folder; what left no record is said to be missing.

    Example: ./halftime trace 0022200776 --minute 18
    """
    from rich.console import Console

    from flows import wiring
    from models.clock import OFFICIAL_MINUTE
    from monitoring.journey import build_journey
    from monitoring.journey_rows import NoJourney, journeys_of_game, journeys_of_trace
    from monitoring.journey_views import render_journey

    settings = settings_with()
    with wiring.store(settings) as store:
        if TRACE_ID.fullmatch(which) is not None:
            rows = [row for row in journeys_of_trace(store.engine, which) if minute in (None, row.minute)]
            if not rows:
                raise NoJourney(f"no forecast of minute {minute} was made under trace {which}: leave out --minute")
        else:
            rows = journeys_of_game(store.engine, which, OFFICIAL_MINUTE if minute is None else minute)
        journeys = [build_journey(row, _heard(settings, store, row)) for row in rows]
    if as_json:
        print_json([journey.model_dump(mode="json") for journey in journeys])
        return
    out = Console(highlight=False)
    for journey in journeys:
        out.print(render_journey(journey))


def _heard(settings: Settings, store: Store, row: JourneyRow) -> Heard:
    """What the logs say of it and, of an official forecast, the client that listened to the night."""
    from flows.report import client_times
    from flows.trace_logs import heard_in_logs
    from models.clock import OFFICIAL_MINUTE

    heard = heard_in_logs(settings.home / "logs", row)
    if row.minute != OFFICIAL_MINUTE:
        return heard
    return replace(heard, received_at=client_times(store, row.league_date).get((row.game_id, row.revision)))
