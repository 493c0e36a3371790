"""The command that reads logs: the predictions of a night, or what a service wrote."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from flows.cli_common import settings_with
from flows.log_lines import NothingToRead, Reader, Tail
from services.prediction_log import log_path, logged_days

POLL_S = 0.5
SERVICE = re.compile(r"[a-z][a-z0-9-]*")

# The log to read after the present one, which is the present one itself while there is no other; None: the first.
# Raises NothingToRead when there is no first one.
Find = Callable[[Path | None], Path]


def logs(
    game: Annotated[str | None, typer.Option(help="only lines about this game id")] = None,
    request: Annotated[str | None, typer.Option(help="only lines about this request id")] = None,
    league_date: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="league date; unset: the newest logged")
    ] = None,
    service: Annotated[str | None, typer.Option(help="a service's log instead, as forecaster")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="go on with new lines and dates until Ctrl-C")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the lines as they are: a JSON object each")] = False,
    limit: Annotated[int | None, typer.Option(help="only the newest lines, so many; unset: all", min=1)] = None,
) -> None:
    """Read the log of predictions, or a service's; exits with 1 when there is nothing to read.

    Example: ./halftime logs --game 0022200776 --follow
    """
    if service is not None and league_date is not None:
        raise typer.BadParameter("a service has one log for all dates: leave out --date or --service")
    folder = settings_with().home / "logs"
    day = league_date.date() if league_date else None
    find = _service_log(folder, service) if service is not None else _prediction_log(folder, day)
    reader = Reader(game, request, raw=as_json, as_text=service is not None)
    try:
        _print(_first(find, follow=follow), find, reader, limit, follow=follow)
    except KeyboardInterrupt:
        pass  # how following ends
    finally:
        if reader.unreadable:
            _tell(f"lines that could not be read and were left out: {reader.unreadable}")


def _tell(text: str) -> None:
    # Not among the lines: standard output may be a pipe.
    from flows.show import console

    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _service_log(folder: Path, service: str) -> Find:
    # A name, not a path: nothing outside of the folder is read.
    if SERVICE.fullmatch(service) is None:
        raise typer.BadParameter(f"--service {service!r} is no service's name: small letters, as forecaster")
    path = folder / f"{service}.log"

    def find(present: Path | None) -> Path:
        if present is None and not path.is_file():
            there = sorted(one.stem for one in folder.glob("*.log") if SERVICE.fullmatch(one.stem))
            known = f"there are {', '.join(there)}" if there else "there is none of any service"
            raise NothingToRead(f"no log of {service}: {path} is not there; {known}")
        return path

    return find


def _prediction_log(folder: Path, day: date | None) -> Find:
    def find(present: Path | None) -> Path:
        try:
            days = logged_days(folder)
        except OSError as error:
            raise NothingToRead(f"{folder} cannot be read: {error.strerror}") from error
        if day is not None:
            path = log_path(folder, day)
            if present is None and day not in days:
                near = sorted(days, key=lambda one: abs((one - day).days))[:3]
                known = f"the nearest dates: {', '.join(map(str, near))}" if near else "there is none of another date"
                raise NothingToRead(f"no predictions of {day} were logged: {path} is not there; {known}")
            return path
        if present is not None:
            return next((path for path in days.values() if path.name > present.name), present)
        if not days:
            raise NothingToRead(f"no prediction was logged yet: {folder} has no predictions_YYYY-MM-DD.log")
        return days[max(days)]

    return find


def _first(find: Find, *, follow: bool) -> Path:
    """The log to begin with; waits for one when following. Raises NothingToRead."""
    told = False
    while True:
        try:
            return find(None)
        except NothingToRead as nothing:
            if not follow:
                raise
            if not told:
                _tell(f"{nothing}; waiting for it")
                told = True
        time.sleep(POLL_S)


def _print(path: Path, find: Find, reader: Reader, limit: int | None, *, follow: bool) -> None:
    """Print what ``reader`` shows of the log and, when following, of what comes after it.

    Raises NothingToRead when it shows nothing and does not go on.
    """
    tail = Tail(path)
    try:
        found = reader.shown(tail.lines() if follow else chain(tail.lines(), tail.rest()))
        printed = _echo(found if limit is None else deque(found, maxlen=limit))
        while follow:
            time.sleep(POLL_S)
            after = find(tail.path)
            moved = after != tail.path or tail.replaced()
            # Read once more after another log was seen to have begun: nothing written before that is passed over.
            _echo(reader.shown(chain(tail.lines(), tail.rest()) if moved else tail.lines()))
            if moved:
                tail.close()
                tail = Tail(after)
    finally:
        tail.close()
    if not printed:
        asked = [f"of {kind} {id_}" for kind, id_ in (("game", reader.game), ("request", reader.request)) if id_]
        raise NothingToRead(f"no line {' and '.join(asked)} in {path}" if asked else f"no line to show in {path}")


def _echo(lines: Iterable[str]) -> int:
    """Print ``lines``; how many there were."""
    count = 0
    for line in lines:
        typer.echo(line)
        count += 1
    return count
