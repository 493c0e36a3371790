"""The commands about models: which there are and who was champion when, promote one, go back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from flows.cli_common import Json, print_json, settings_with

Reason = Annotated[str, typer.Option(help="why, as it is to be read later")]


def models(
    at: Annotated[str | None, typer.Option(help="what was live at this time, as 2026-11-24T20:15-05:00")] = None,
    limit: Annotated[int, typer.Option(help="how many of each at most", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """Versions, aliases, and who was champion when and why.

    Example: ./halftime models --at 2026-11-24T20:15-05:00
    """
    from flows.audit import model_report

    report = model_report(settings_with(), at=_moment(at), limit=limit)
    if as_json:
        print_json(report.to_json())
        return
    from flows.show import console
    from flows.show_models import model_tables

    for each in model_tables(report):
        console.print(each)


def promote(
    version: Annotated[str, typer.Argument(help="number of a registered version")],
    reason: Reason,
    force: Annotated[bool, typer.Option(help="even if it is not known to beat persistence")] = False,
    as_json: Json = False,
) -> None:
    """Make a registered version champion, by a person's decision.

    Example: ./halftime promote 12 --reason "the season's refit, checked by hand"
    """
    from flows.promote import promote as run

    decided = run(settings_with(), version, reason=reason, force=force)
    print_json(decided.to_json()) if as_json else typer.echo(decided.line())


def roll_back(reason: Reason, as_json: Json = False) -> None:
    """Make the champion before the present line of models champion again.

    Example: ./halftime roll-back --reason "forecasts lean to the home team"
    """
    from flows.promote import roll_back as run

    decided = run(settings_with(), reason=reason)
    print_json(decided.to_json()) if as_json else typer.echo(decided.line())


def bento(
    version: Annotated[str, typer.Argument(help="number or alias of a registered version")] = "champion",
    as_json: Json = False,
) -> None:
    """Build a bento that serves one registered version and no other, whatever is promoted later.

    Example: ./halftime bento champion
    """
    from flows.bento import build_bento

    pin, tag = build_bento(settings_with(), version)
    if as_json:
        print_json({"tag": tag, **pin._asdict()})
    else:
        typer.echo(f"{tag}: version {pin.version}, digest {pin.digest}")


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: give a time as 2026-11-24T20:15-05:00", param_hint="--at") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
