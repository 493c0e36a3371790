"""Where the served model comes from, and what is kept when the registry is in trouble."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from bentos.answering import ServedModel
from bentos.loading import from_folder, from_registry
from models.bundle import BundleError
from services.registry import LoadedBundle, NoSuchVersion, Registry, RegistryError, RegistryUnavailable, Version
from tests.support.running_forecaster import small_bundle
from tests.support.small_model import small_ensemble

ENSEMBLE = small_ensemble(minutes=(18,))


class FakeRegistry:
    """The registry's two questions; ``trouble`` answers both when set."""

    model_name = "halftime-simulated"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.champion: Version | None = None
        self.trouble: RegistryError | None = None
        self.stale: str | None = None
        self.fetches = 0

    def get(self, name: str) -> Version:
        if self.trouble:
            raise self.trouble
        if self.champion is None:
            raise NoSuchVersion("none")
        return self.champion

    def fetch(self, name: str) -> LoadedBundle:
        self.fetches += 1
        if self.stale and self.champion and self.champion.digest == "f" * 64:
            return LoadedBundle(version(self, "1"), ENSEMBLE, self.folder, True, self.stale)
        if self.stale is None:
            self.get(name)
        assert self.champion is not None
        return LoadedBundle(self.champion, ENSEMBLE, self.folder, self.stale is not None, self.stale)


@pytest.fixture
def registry(tmp_path: Path) -> FakeRegistry:
    folder = small_bundle(tmp_path / "bundle", minutes=(18,))
    return FakeRegistry(folder)


def version(registry: FakeRegistry, number: str) -> Version:
    from models.bundle import read_manifest

    return Version("halftime-simulated", number, read_manifest(registry.folder).digest, "run", "simulated")


def load(registry: FakeRegistry, current: ServedModel | None) -> ServedModel:
    return from_registry(lambda: cast(Registry, registry))(current)


def test_champion_is_fetched_once_and_asked_for_afterwards(registry: FakeRegistry) -> None:
    registry.champion = version(registry, "1")
    first = load(registry, None)
    assert (first.version, first.origin, first.figures) == ("1", "the registry", {"mae": 4.9})
    assert load(registry, first) is first
    assert registry.fetches == 1
    registry.champion = version(registry, "2")
    assert load(registry, first).version == "2"


def test_no_champion_says_how_to_get_one(registry: FakeRegistry) -> None:
    with pytest.raises(RegistryError, match=r"\./halftime train"):
        load(registry, None)


def test_kept_copy_is_served_with_a_note_until_the_registry_is_back(registry: FakeRegistry) -> None:
    registry.champion, registry.stale = version(registry, "1"), "MLflow is away"
    served = load(registry, None)
    assert served.note == "serving the copy kept on this machine: MLflow is away"
    registry.stale, registry.trouble = None, RegistryUnavailable("away")
    with pytest.raises(RegistryUnavailable):
        load(registry, served)
    registry.trouble = None
    assert load(registry, served).note is None


def test_new_champion_that_cannot_be_loaded_is_trouble(registry: FakeRegistry) -> None:
    registry.champion = version(registry, "1")
    served = load(registry, None)
    registry.champion, registry.stale = version(registry, "2"), "version 2 was refused"
    with pytest.raises(RegistryError, match="version 2 was refused"):
        load(registry, served)


def test_folder_is_checked_and_read_again_only_when_it_changed(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    serve = from_folder(folder)
    with pytest.raises(BundleError):
        serve(None)
    small_bundle(folder, minutes=(18,))
    first = serve(None)
    assert first.version == f"folder-{first.digest[:12]}"
    assert serve(first) is first


def test_a_champion_that_was_refused_is_not_downloaded_again_at_every_look(registry: FakeRegistry) -> None:
    registry.champion = version(registry, "1")
    look = from_registry(lambda: cast(Registry, registry))
    first = look(None)
    registry.champion, registry.stale = replace(version(registry, "2"), digest="f" * 64), "version 2 was refused"
    for _ in range(4):
        with pytest.raises(RegistryError, match="version 2 was refused"):
            look(first)
    assert registry.fetches == 2
    registry.champion, registry.stale = version(registry, "3"), None
    assert look(replace(first, digest="0" * 64)).version == "3", "another one is tried at once"
