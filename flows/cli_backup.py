"""The commands that make backups, try them, and bring one back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_common import Json, print_json, settings_with

if TYPE_CHECKING:
    from rich.table import Table

    from flows.backup import Restored


def backup(
    to: Annotated[Path | None, typer.Option(help="folder of the backups; unset: HALFTIME_BACKUP_FOLDER")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="make none: restore the newest into a throwaway database and compare")
    ] = False,
    as_json: Json = False,
) -> None:
    """Back up the database and the registered models, as one snapshot; needs the stack, disturbs nothing.

    A dump, its manifest with counts and checksums of every table, and MLflow's files. The newest
    HALFTIME_BACKUPS_KEPT are kept. A folder on another disk is what makes a backup one.

    Example: ./halftime backup --to backups --json
    """
    from flows.backup import backup as make
    from flows.backup import try_restore
    from flows.show import console

    made = (try_restore if check else make)(settings_with(), to)
    console.print(made.line(), markup=False, highlight=False, soft_wrap=True)
    for sentence in (*made.forgotten.damaged, *(f"not in it: {one}" for one in made.manifest.left_out)):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json(made.to_json())


def restore(
    file: Annotated[Path, typer.Argument(help="a dump in a folder of backups, with its manifest beside it")],
    into: Annotated[
        str | None, typer.Option(help="URL of an empty database; unset: the configured one, and its models")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask first")] = False,
    as_json: Json = False,
) -> None:
    """Restore a backup into an empty database, and compare every table with what was kept; overwrites nothing.

    Stop the stack first. In a new data folder (HALFTIME_HOME) this brings back the database, MLflow's database and
    the bundles.

    Example: ./halftime restore backups/halftime-20230204T123000Z.dump --yes
    """
    from flows.backup import restore as run
    from flows.backup import target_of
    from flows.show import console

    settings = settings_with()
    if not yes:
        typer.confirm(f"Restore {file.name} into {target_of(settings, into)}?", abort=True, err=True)
    done = run(settings, file, into)
    console.print(contents_table(done))
    for sentence in done.left:
        console.print(f"not restored: {sentence}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json(done.to_json())


def contents_table(done: Restored) -> Table:
    """Every table that was compared, and how many rows it has."""
    from rich.box import SIMPLE
    from rich.table import Table

    own = done.manifest.database
    title = f"{own.file} restored: {len(own.tables)} tables, {own.rows} rows, the same as kept"
    if done.mlflow_database or done.files:
        title += f"; MLflow: {done.files} files" + (", its database" if done.mlflow_database else "")
    table = Table("table", "rows", "checksum", title=title, box=SIMPLE, title_justify="left")
    for name, contents in own.tables.items():
        table.add_row(name, str(contents.rows), f"{contents.sha256[:12]} equal")
    return table
