"""The replay feed server: a past night in the live feed's own format, on a clock that runs faster.

python -m services.replay --date 2023-02-03 --speed 60 --data DIR
python -m services.replay --simulated --speed 120 --misbehave "late,take_back,blocked@30m+90s"
"""

from __future__ import annotations

import socket
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from models.league import DEFAULT_SEED
from services.replay_app import LIVE_DATA, create_app
from services.replay_night import Night
from services.replay_rules import KINDS, RuleError, parse_rules
from services.replay_slate import Slate, SlateError
from services.replay_sources import DEFAULT_DATE, recorded_slate, simulated_slate

HOST = "127.0.0.1"


def load_slate(league_date: date, data: Path | None, simulated: bool, seed: int) -> Slate:
    """The slate that the options ask for. Raises SlateError."""
    if simulated:
        return simulated_slate(seed, league_date)
    if data is None:
        raise SlateError("no recorded games: name their folder with --data (or HALFTIME_DATA), or use --simulated")
    return recorded_slate(data, league_date)


def serve(night: Night, port: int, *, hold: bool = False) -> None:
    """Show ``night`` on loopback until interrupted; port 0 takes a free one. Raises OSError when the port is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        url = f"http://{HOST}:{listener.getsockname()[1]}{LIVE_DATA}"
        typer.echo(f"{night.slate.source} games of {night.slate.league_date}: {len(night.games)} at {url}")
        config = uvicorn.Config(
            create_app(night),
            access_log=False,
            log_level="warning",
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
            lifespan="off",
        )
        if not hold:
            night.clock.start()
        uvicorn.Server(config).run(sockets=[listener])


def main(
    day: Annotated[
        datetime,
        typer.Option(
            "--date", formats=["%Y-%m-%d"], show_default=str(DEFAULT_DATE), help="League date to show (US Eastern)."
        ),
    ] = datetime.combine(DEFAULT_DATE, datetime.min.time()),  # noqa: B008
    speed: Annotated[float, typer.Option(min=0.1, max=10_000, help="Feed seconds in one wall second.")] = 60.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8899,
    data: Annotated[
        Path | None, typer.Option(envvar="HALFTIME_DATA", help="Folder with games.parquet and plays_*.parquet.")
    ] = None,
    simulated: Annotated[bool, typer.Option("--simulated", help="Show a night of the simulated league.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated league and of misbehaviour.")] = DEFAULT_SEED,
    misbehave: Annotated[
        str, typer.Option(help=f"Rules KIND[=RATE][*COUNT][:TARGET][@START[+LENGTH]],...; kinds: {', '.join(KINDS)}.")
    ] = "",
    hold: Annotated[bool, typer.Option("--hold", help="Wait for POST /replay/start before the clock runs.")] = False,
) -> None:
    """Show a past night in the live feed's own format, on a clock that runs faster.

    Example: python -m services.replay --date 2023-02-03 --speed 60 --misbehave "late=0.05,blocked@30m+90s"
    """
    try:
        night = Night(load_slate(day.date(), data, simulated, seed), speed, parse_rules(misbehave), seed)
    except (SlateError, RuleError) as error:
        typer.echo(f"replay: {error}", err=True)
        raise typer.Exit(2) from error
    try:
        serve(night, port, hold=hold)
    except OSError as error:
        typer.echo(f"replay: port {port} on {HOST} cannot be used ({error.strerror}): choose another --port", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
