"""Decisions of persons: make a version champion, or go back to the one before. Both are recorded with their reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flows import wiring
from flows.champion import crown, deciding, keep_version, reconcile
from flows.train import NotBetter
from services.registry import Registry
from services.settings import Settings
from services.store import Promotion, Store


class NothingBefore(LookupError):
    """There is no earlier champion to go back to."""


@dataclass(frozen=True)
class Decided:
    """The decision in force, and whether this call made it."""

    promotion: Promotion
    new: bool

    def line(self) -> str:
        """One sentence."""
        one = self.promotion
        before = f", before it {one.previous_version}" if one.previous_version else ""
        return f"champion: version {one.model_version}{before} ({one.reason})"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        one = self.promotion
        return {
            "new": self.new,
            "version": one.model_version,
            "digest": one.model_digest,
            "previous_version": one.previous_version,
            "action": one.action,
            "reason": one.reason,
            "decided_by": one.decided_by,
        }


def promote(
    settings: Settings,
    version: str,
    *,
    reason: str,
    force: bool = False,
    by: str | None = None,
    at: datetime | None = None,
) -> Decided:
    """Makes a registered version champion. Unless ``force``, it must beat persistence on games that fitted nothing.
    ``at`` is when it takes effect, now when unset.

    Raises NoSuchVersion, NotBetter, RegistryError, StoreError, LifecycleBusy.
    """
    registry = wiring.registry(settings)
    with wiring.store(settings) as store, deciding(store):
        loaded = registry.fetch(version)
        keep_version(store, loaded.version, loaded.ensemble, "found", None)
        figures = held_out(store, registry, loaded.version.version)
        if not force and not figures.get("skill_squared", 0.0) > 0.0:
            raise NotBetter(
                f"version {version} is not known to beat persistence on games that fitted nothing"
                f" (skill_squared {figures.get('skill_squared', 'not measured')}): let it be tried as a challenger, or"
                " promote it with --force, which is recorded"
            )
        before = reconcile(store, registry)
        evidence = {"forced": force, **figures}
        now = crown(store, registry, loaded.version, reason=reason, kind="person", by=by, evidence=evidence, at=at)
    return Decided(now, before is None or before.id != now.id)


def roll_back(settings: Settings, *, reason: str, by: str | None = None) -> Decided:
    """Makes the newest champion of another line than the present one champion again.

    Raises NothingBefore, RegistryError, StoreError, LifecycleBusy.
    """
    registry = wiring.registry(settings)
    with wiring.store(settings) as store, deciding(store):
        reconcile(store, registry)
        earlier = before_this_line(store, registry.model_name)
        if earlier is None:
            raise NothingBefore(f"{registry.model_name} never had a champion of another line to go back to")
        version = registry.get(newest_of(store, registry.model_name, earlier))
        return Decided(
            crown(store, registry, version, reason=reason, action="roll-back", kind="person", by=by), new=True
        )


def before_this_line(store: Store, model_name: str) -> str | None:
    """The lineage that was champion before the present one; None when there was none."""
    lineages = {one.version: one.lineage for one in store.model_history(model_name)}
    history = store.promotion_history(model_name, limit=10_000)
    present = lineages.get(history[0].model_version) if history else None
    others = (lineages[one.model_version] for one in history if one.model_version in lineages)
    return next((lineage for lineage in others if lineage != present), None)


def newest_of(store: Store, model_name: str, lineage: str) -> str:
    """The newest version of a lineage that has one."""
    return store.model_history(model_name, lineage)[0].version


def held_out(store: Store, registry: Registry, version: str) -> dict[str, float]:
    """The figures on games that fitted nothing, of the version or of the one its line was trained as."""
    known = store.model_version(registry.model_name, version)
    while known is not None and known.kind == "recalibrated" and known.parent_version is not None:
        known = store.model_version(registry.model_name, known.parent_version)
    figures = registry.fetch(known.version if known else version).manifest.extra.get("figures", {})
    return {str(name): float(value) for name, value in figures.items()}
