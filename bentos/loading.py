"""Where the served model comes from: the registry's champion, or one bundle folder named by HALFTIME_BUNDLE."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from bentos.answering import ServedModel
from bentos.build import BUNDLE, PINNED, Pin, read_pin
from bentos.champion import Find, Load, nobody
from models import fallback
from models.bundle import BundleError, load_bundle, read_manifest
from services.registry import LoadedBundle, NoSuchVersion, Registry, RegistryError
from services.settings import ROOT, Settings

CHAMPION = "champion"
REFUSED_S = 120.0


def loader(settings: Settings) -> Load:
    """A function that loads what is to be served, checked, and gives back the model in use when nothing changed."""
    if settings.bundle is not None:
        return from_folder(settings.bundle)
    pin = read_pin()
    if pin is not None:
        return from_folder(ROOT / PINNED / BUNDLE, pin)
    return from_registry(lambda: Registry(settings.resolved_mlflow_uri, settings.model_name, settings.home / "models"))


def finder(settings: Settings) -> Find:
    """A function that finds a registered model by its digest."""
    if settings.bundle is not None or read_pin() is not None:
        return nobody
    opened = cache(lambda: Registry(settings.resolved_mlflow_uri, settings.model_name, settings.home / "models"))

    def find(digest: str) -> ServedModel:
        try:
            version = opened().of_digest(digest)
            return ServedModel(version.version, digest, opened().fetch_digest(digest), "the registry")
        except (RegistryError, BundleError) as error:
            raise LookupError(str(error)) from error

    return find


def substitute(settings: Settings) -> Callable[[], ServedModel] | None:
    """What answers when the registry gives no model at all. A folder that somebody named or pinned is served or nothing
    is."""
    if settings.bundle is not None or read_pin() is not None:
        return None
    return lambda: ServedModel(
        fallback.VERSION, fallback.digest(), fallback.fallback(), "nothing: no model could be loaded"
    )


def from_folder(folder: Path, pin: Pin | None = None) -> Load:
    """Serve the bundle in ``folder``: the version that ``pin`` names, if it has the pin's digest, or else "folder-" and
    the first digits of its digest."""

    def load(current: ServedModel | None) -> ServedModel:
        manifest = read_manifest(folder, pin.digest if pin else None)
        if current is not None and current.digest == manifest.digest:
            return current
        ensemble = load_bundle(folder, manifest.digest)
        version, origin = f"folder-{manifest.digest[:12]}", "a bundle folder"
        if pin is not None:
            version, origin = pin.version, "its own bento, which is pinned to it"
        return ServedModel(version, manifest.digest, ensemble, origin, figures_of(manifest.extra))

    return load


def from_registry(open_registry: Callable[[], Registry]) -> Load:
    """Serve the registered version that carries the alias ``champion``.

    While the registry is away the copy it last gave is served, and said to be that. A new champion that cannot be
    loaded is an error, and the model in use stays in use.
    """
    opened = cache(open_registry)
    refused: dict[str, tuple[float, str]] = {}

    def load(current: ServedModel | None) -> ServedModel:
        registry = opened()
        try:
            if current is not None:
                champion = registry.get(CHAMPION)
                if (champion.version, champion.digest) == (current.version, current.digest):
                    return replace(current, note=None) if current.note else current
                at, why = refused.get(champion.digest, (-math.inf, ""))
                if time.monotonic() - at < REFUSED_S:
                    raise RegistryError(why)
            loaded = registry.fetch(CHAMPION)
        except NoSuchVersion as error:
            raise RegistryError(
                f"no champion of {registry.model_name} is registered: run `./halftime train`"
            ) from error
        if loaded.stale and current is not None:
            why = loaded.reason or "the new champion cannot be loaded"
            # What was refused once is not downloaded again every few seconds.
            refused[champion.digest] = (time.monotonic(), why)
            raise RegistryError(why)
        return _served(loaded)

    return load


def figures_of(extra: Mapping[str, Any]) -> dict[str, float]:
    """The figures of the training, as the bundle's manifest has them."""
    figures = extra.get("figures", {})
    return {str(name): float(value) for name, value in figures.items()} if isinstance(figures, Mapping) else {}


def _served(loaded: LoadedBundle) -> ServedModel:
    note = f"serving the copy kept on this machine: {loaded.reason}" if loaded.stale else None
    figures = figures_of(loaded.manifest.extra)
    return ServedModel(loaded.version.version, loaded.digest, loaded.ensemble, "the registry", figures, note)
