"""Building a bento that is pinned to a registered version."""

from __future__ import annotations

from bentos.build import Pin, build_pinned
from flows import wiring
from services.registry import RegistryUnavailable
from services.settings import Settings


def build_bento(settings: Settings, version: str = "champion") -> tuple[Pin, str]:
    """A bento of ``version`` (a number or an alias), which serves it and no other: its pin and its tag.

    Raises RegistryError, BundleError, BuildFailed.
    """
    loaded = wiring.registry(settings).fetch(version)
    if loaded.stale:
        raise RegistryUnavailable(f"{version} cannot be had from the registry now: {loaded.reason}; try again")
    pin = Pin(loaded.version.version, loaded.digest)
    return pin, build_pinned(loaded.folder, pin, settings.home / "bentoml")
