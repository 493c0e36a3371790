"""Who is champion: recorded first, pointed to afterwards.

PostgreSQL and MLflow share no transaction. So a decision is a row of ``promotions`` before the alias moves, and one
that was killed in between is carried out by whoever looks next. The version then carries the decision's number as a
tag: an alias that leads elsewhere later was moved by hand, and is recorded as a person's decision.
"""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import structlog

from flows.lease import holder_name
from models.alarm_streams import references
from models.ensemble import Ensemble
from services.registry import NoSuchVersion, Registry, Version
from services.store import ModelVersion, NewPromotion, Promotion, Store
from services.store_lifecycle import Action, Decider, Kind

log = structlog.get_logger("champion")

CHAMPION, CHALLENGER = "champion", "challenger"
DECISION = "halftime.decision"
LEASE, LEASE_S = "lifecycle", 30.0


class LifecycleBusy(RuntimeError):
    """Another process decides about models at this moment."""


@contextmanager
def deciding(store: Store, *, wait_s: float = 60.0) -> Iterator[None]:
    """One process at a time decides about models; the others wait. Raises LifecycleBusy after ``wait_s``."""
    done = threading.Event()
    waited, holder = 0.0, f"{holder_name()}:{uuid4().hex[:8]}"
    while store.acquire_lease(LEASE, holder, LEASE_S) is None:
        if waited >= wait_s:
            raise LifecycleBusy(f"another process holds the lease {LEASE!r}: try again when it is done")
        done.wait(0.5)
        waited += 0.5

    def keep() -> None:
        while not done.wait(LEASE_S / 3):
            store.acquire_lease(LEASE, holder, LEASE_S)

    keeper = threading.Thread(target=keep, name="lifecycle-lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        store.release_lease(LEASE, holder)


def keep_version(store: Store, version: Version, ensemble: Ensemble, kind: Kind, parent: str | None) -> ModelVersion:
    """The registered version's row in ``registered_versions``, written when it is not there yet."""
    known = store.model_version(version.model_name, version.version)
    if known is not None:
        return known
    row = ModelVersion(
        model_name=version.model_name,
        version=version.version,
        digest=version.digest,
        lineage=ensemble.lineage,
        parent_version=parent,
        kind=kind,
        trained_through=ensemble.trained_through,
        ratings_as_of=ensemble.ratings_as_of,
        calibration_id=ensemble.calibration_id,
        reference=references(ensemble),
    )
    store.record_version(row)
    return row


def pointed(registry: Registry, alias: str = CHAMPION) -> Version | None:
    """The version the alias leads to now, None when there is none. Raises RegistryUnavailable."""
    try:
        return registry.get(alias)
    except NoSuchVersion:
        return None


def account() -> str:
    """The account that runs this process: its name, or its number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # what it raises depends on the release of Python
        return f"uid {os.getuid()}"


def crown(
    store: Store,
    registry: Registry,
    version: Version,
    *,
    reason: str,
    action: Action = "promote",
    kind: Decider = "rule",
    by: str | None = None,
    evidence: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> Promotion:
    """Makes ``version`` champion and records why; nothing when it is champion already. Hold ``deciding``.

    ``by`` names the rule or the person; unset it is the account of this process. Raises RegistryError, StoreError.
    """
    before = reconcile(store, registry)
    if before is not None and before.model_version == version.version:
        return before
    store.record_promotion(
        NewPromotion(
            model_name=registry.model_name,
            model_version=version.version,
            model_digest=version.digest,
            previous_version=before.model_version if before else None,
            previous_digest=before.model_digest if before else None,
            action=action,
            reason=reason,
            decided_kind=kind,
            decided_by=by or account(),
            # Whoever carries the same decision out again comes after the same one before it.
            decision_key=f"{before.id if before else 0}:{version.version}",
            evidence=dict(evidence or {}),
            effective_at=at,
        )
    )
    now = reconcile(store, registry)
    assert now is not None
    log.info("champion", model=registry.model_name, version=now.model_version, action=action, reason=reason)
    return now


def reconcile(store: Store, registry: Registry) -> Promotion | None:
    """Makes alias and table say the same; the decision in force, None when there never was a champion.

    A decision that was not carried out is; an alias that was moved afterwards, or before there was a table, is recorded
    as found. Raises RegistryError, StoreError.
    """
    decided, now = store.promotion_at(registry.model_name), pointed(registry)
    if decided is None and now is None:
        return None
    if decided is not None and (now is None or now.version != decided.model_version):
        done = registry.get(decided.model_version).tags.get(DECISION) == str(decided.id)
        if now is None or not done:
            registry.set_alias(CHAMPION, decided.model_version)
            now = registry.get(CHAMPION)
    assert now is not None
    if decided is None or now.version != decided.model_version:
        decided = _found(store, registry, now, decided)
    if now.tags.get(DECISION) != str(decided.id):
        registry.set_tag(decided.model_version, DECISION, str(decided.id))
    return decided


def _found(store: Store, registry: Registry, now: Version, before: Promotion | None) -> Promotion:
    store.record_promotion(
        NewPromotion(
            model_name=registry.model_name,
            model_version=now.version,
            model_digest=now.digest,
            previous_version=before.model_version if before else None,
            previous_digest=before.model_digest if before else None,
            action="promote",
            reason="found in the registry: the alias was set there by hand",
            decided_kind="person",
            decided_by="unknown",
            decision_key=f"{before.id if before else 0}:{now.version}",
        )
    )
    found = store.promotion_at(registry.model_name)
    assert found is not None
    return found
