"""Where the served model comes from: the registry's champion, or one bundle folder named by HALFTIME_BUNDLE."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentos.answering import ServedModel
from bentos.champion import Load
from models.bundle import load_bundle, read_manifest
from services.settings import Settings

CHAMPION = "champion"


def loader(settings: Settings) -> Load:
    """A function that loads what is to be served, checked, and gives back the model in use when nothing changed."""
    if settings.bundle is not None:
        return from_folder(settings.bundle)
    return from_registry(settings)


def from_folder(folder: Path) -> Load:
    """Serve the bundle in ``folder``; its version is "folder-" and the first digits of its digest."""

    def load(current: ServedModel | None) -> ServedModel:
        manifest = read_manifest(folder)
        if current is not None and current.digest == manifest.digest:
            return current
        ensemble = load_bundle(folder, manifest.digest)
        version = f"folder-{manifest.digest[:12]}"
        return ServedModel(version, manifest.digest, ensemble, "a bundle folder", figures_of(manifest.extra))

    return load


def figures_of(extra: Mapping[str, Any]) -> dict[str, float]:
    """The figures of the training, as the bundle's manifest has them."""
    figures = extra.get("figures", {})
    return {str(name): float(value) for name, value in figures.items()} if isinstance(figures, Mapping) else {}


def from_registry(settings: Settings) -> Load:
    """Serve the registered version that carries the alias ``champion``."""
    raise NotImplementedError
