"""The command that plays whole seasons through the nightly steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_common import Json, print_json, settings_with

if TYPE_CHECKING:
    from flows.show import ProgressWatcher
    from services.settings import Settings


class Planted(StrEnum):
    """What a rehearsal can plant."""

    NONE = "none"
    DRIFT = "drift"
    BETTER = "better"
    BAD = "bad"


def rehearse(
    seasons: Annotated[int, typer.Option(help="how many simulated seasons", min=1, max=5)] = 1,
    plant: Annotated[
        Planted, typer.Option(help="a league that gets harder, a better challenger, a bad one")
    ] = Planted.NONE,
    seed: Annotated[int, typer.Option(help="seed of the simulated league")] = 1,
    nights: Annotated[int | None, typer.Option(help="only so many league dates", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Play whole simulated seasons through the nightly steps, on a database and a registered model of their own.

    Shows what was decided when, and coverage and width beside a model that is never touched. Starts a PostgreSQL and an
    MLflow of its own in a temporary folder, which go when it ends; a stack that runs is not touched. A season takes
    some minutes.

    Example: ./halftime rehearse --seasons 1 --plant drift --seed 1 --json
    """
    from flows.rehearse import rehearse as run
    from flows.show import ProgressWatcher, console
    from flows.show_models import rehearsal_tables

    with ProgressWatcher() as watcher, _own_servers(watcher) as settings:
        watcher.stage(f"rehearsing {seasons} seasons, planted: {plant.value}")
        result = run(settings, seasons=seasons, plant=plant.value, seed=seed, nights=nights, progress=watcher.share)
    for each in rehearsal_tables(result.to_json()):
        console.print(each)
    if as_json:
        print_json(result.to_json())


@contextmanager
def _own_servers(watcher: ProgressWatcher) -> Iterator[Settings]:
    """Settings of a PostgreSQL and an MLflow that live as long as the block."""
    from infra.local import LocalStack
    from infra.ports import free_port

    with TemporaryDirectory(prefix="halftime-rehearsal-") as folder:
        # On its way to its data PostgreSQL, which does not run as root, must pass here.
        Path(folder).chmod(0o755)
        own = settings_with().model_copy(
            update={
                "home": Path(folder),
                "source": "simulated",
                "feed": "none",
                "registered_model": "rehearsal",
                "database_url": None,
                "mlflow_tracking_uri": None,
                "postgres_port": free_port(),
                "mlflow_port": free_port(),
            }
        )
        watcher.stage("starting PostgreSQL and MLflow")
        with LocalStack(own, ("postgres", "mlflow", "migrate"), on_event=watcher.service):
            yield own
