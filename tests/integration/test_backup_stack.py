"""The whole drill on local stacks: one is lost, its backup is restored into a new data folder, its champion loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import wiring
from flows.backup import backup, nightly
from infra.backup_manifest import manifest_of
from infra.local import LocalStack
from models.bundle import write_bundle
from services.settings import Settings
from tests.support.night_home import NightHome, night_home
from tests.support.settled_night import NIGHT, add_forecast, add_game, add_outcome, game_id
from tests.support.small_model import small_ensemble

STACK = ("postgres", "mlflow", "migrate")


@pytest.fixture
def homes() -> Iterator[tuple[NightHome, NightHome]]:
    """Two data folders with ports of their own."""
    with night_home(None) as first, night_home(None) as second:
        yield first, second


def as_flow(settings: Settings) -> Settings:
    """The settings as a flow's process has them: told the addresses of the stack that started it."""
    return settings.model_copy(
        update={"database_url": settings.resolved_database_url, "mlflow_tracking_uri": settings.resolved_mlflow_uri}
    )


@pytest.mark.slow
def test_a_lost_stack_comes_back_with_its_night_its_registry_and_its_champion(
    homes: tuple[NightHome, NightHome], tmp_path: Path
) -> None:
    lost, fresh = homes
    digest = write_bundle(small_ensemble(), tmp_path / "bundle", {"code_version": "test", "figures": {}})
    settings = lost.settings(backup_folder=tmp_path / "kept")
    with LocalStack(settings, STACK):
        registry = wiring.registry(settings)
        registry.set_alias("champion", registry.register(tmp_path / "bundle").version)
        with wiring.store(settings) as store:
            add_game(store, 1)
            add_forecast(store, 1)
            add_outcome(store, 1, 7)
        # The night's flow is told its database's address, and still knows whose it is; the second run tests nothing.
        made, tested = nightly(as_flow(settings))
        assert [one.kind for one in nightly(as_flow(settings))] == ["backup"]
        assert tested.manifest == made.manifest
        refused = lost.run("restore", str(made.dump), "--yes")
    assert "runs already" in refused.sentence
    assert made.manifest.left_out == ()
    assert made.manifest.mlflow is not None
    assert {"experiments", "model_versions"} <= made.manifest.mlflow.tables.keys()
    names = {artifact.path.rsplit("/", 1)[1] for artifact in made.manifest.artifacts}
    assert names == {path.name for path in (tmp_path / "bundle").iterdir()}
    shutil.rmtree(lost.folder)

    asked = fresh.run("restore", str(made.dump))
    assert asked.status == 1, "nobody said yes"
    done = fresh.run("restore", str(made.dump), "--yes", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert (told["equal"], told["mlflow_database"], told["files"]) == (True, True, len(made.manifest.artifacts))
    assert told["left"] == []
    again = fresh.run("restore", str(made.dump), "--yes")
    assert "is not empty" in again.sentence
    assert fresh.marked() == []

    settings = fresh.settings()
    with LocalStack(settings, STACK):
        loaded = wiring.registry(settings).fetch("champion")
        assert (loaded.digest, loaded.stale) == (digest, False)
        with wiring.store(settings) as store:
            [game] = store.night(NIGHT).games
            assert game.settlement is not None
            assert store.game(game_id(1)) is not None
        assert backup(settings).manifest.mlflow is not None


@pytest.mark.slow
def test_an_mlflow_on_its_own_file_is_kept_and_comes_back(
    homes: tuple[NightHome, NightHome], database_url: str, tmp_path: Path
) -> None:
    lost, fresh = homes
    digest = write_bundle(small_ensemble(), tmp_path / "bundle", {"code_version": "test", "figures": {}})
    settings = lost.settings(database_url=database_url, backup_folder=tmp_path / "kept")
    with LocalStack(settings, ("mlflow",)):
        registry = wiring.registry(settings)
        registry.set_alias("champion", registry.register(tmp_path / "bundle").version)
        made = backup(settings)
    assert made.manifest.mlflow is None
    assert "mlflow.db" in {artifact.path for artifact in made.manifest.artifacts}
    assert manifest_of(made.dump).is_file()
    # Into the local stack, as when a team's server is lost; MLflow's file is put where it was.
    done = fresh.run("restore", str(made.dump), "--yes", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert (told["files"], told["mlflow_database"]) == (len(made.manifest.artifacts), False)
    assert "while DATABASE_URL is set" in told["left"][0]
    settings = fresh.settings(database_url=database_url)
    with LocalStack(settings, ("mlflow",)):
        assert wiring.registry(settings).fetch("champion").digest == digest
