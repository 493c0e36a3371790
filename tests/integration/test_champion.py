"""Who is champion, on the real PostgreSQL and MLflow: decisions survive kills, and hands on the alias are seen."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.champion import CHAMPION, LifecycleBusy, crown, deciding, keep_version, pointed, reconcile
from models.bundle import write_bundle
from services.registry import Registry, RegistryUnavailable, Version
from services.store import Store
from tests.support.small_model import small_ensemble


@pytest.fixture
def registry(mlflow_url: str, tmp_path: Path) -> Iterator[Registry]:
    opened = Registry(mlflow_url, f"model-{uuid.uuid4().hex[:8]}", tmp_path / "cache")
    yield opened
    opened.close()


def registered(registry: Registry, folder: Path, seed: int) -> Version:
    target = folder / f"bundle-{seed}"
    write_bundle(small_ensemble(seed=seed), target, {"code_version": "test"})
    return registry.register(target)


@pytest.fixture
def three(registry: Registry, tmp_path: Path) -> list[Version]:
    return [registered(registry, tmp_path, seed) for seed in (1, 2, 3)]


def history(store: Store, registry: Registry) -> list[tuple[str, str | None, str]]:
    found = store.promotion_history(registry.model_name)
    return [(one.model_version, one.previous_version, one.decided_kind) for one in found]


def test_a_decision_moves_the_alias_and_says_who_was_champion_before(
    store: Store, registry: Registry, three: list[Version]
) -> None:
    crown(store, registry, three[0], reason="the first", by="rule: first")
    crown(store, registry, three[1], reason="better", by="rule: evidence", evidence={"e_value": 25.0})
    assert registry.get(CHAMPION).version == "2"
    newest, _ = store.promotion_history(registry.model_name)
    assert (newest.previous_version, newest.previous_digest) == ("1", three[0].digest)
    assert (newest.reason, newest.decided_by, newest.evidence) == ("better", "rule: evidence", {"e_value": 25.0})


def test_who_is_champion_already_is_not_crowned_again(store: Store, registry: Registry, three: list[Version]) -> None:
    for _ in range(3):
        crown(store, registry, three[0], reason="the first")
    assert len(history(store, registry)) == 1
    for version in (three[1], three[0], three[1]):
        crown(store, registry, version, reason="to and fro")
    assert [one[0] for one in history(store, registry)] == ["2", "1", "2", "1"]


def test_a_kill_between_the_row_and_the_alias_is_made_up_for(
    store: Store, registry: Registry, three: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    crown(store, registry, three[0], reason="the first")

    def killed(*_: object) -> None:
        raise RegistryUnavailable("killed here")

    for step in ("set_alias", "set_tag"):
        with monkeypatch.context() as patch:
            patch.setattr(registry, step, killed)
            with pytest.raises(RegistryUnavailable):
                crown(store, registry, three[1], reason="better")
    before = history(store, registry)
    crown(store, registry, three[1], reason="better")
    assert history(store, registry) == before == [("2", "1", "rule"), ("1", None, "rule")]
    assert registry.get(CHAMPION).version == "2"


def test_a_decision_that_was_killed_is_carried_out_by_whoever_looks_next(
    store: Store, registry: Registry, three: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (three[0], three[1]):
        crown(store, registry, version, reason="before")
    with monkeypatch.context() as patch:
        patch.setattr(registry, "set_alias", lambda *_: (_ for _ in ()).throw(RegistryUnavailable("killed here")))
        with pytest.raises(RegistryUnavailable):
            crown(store, registry, three[0], action="roll-back", reason="worse")
    assert registry.get(CHAMPION).version == "2"
    decided = reconcile(store, registry)
    assert decided is not None
    assert (registry.get(CHAMPION).version, decided.action) == ("1", "roll-back")


def test_an_alias_moved_by_hand_is_recorded_as_a_persons_decision(
    store: Store, registry: Registry, three: list[Version]
) -> None:
    registry.set_alias(CHAMPION, "3")
    reconcile(store, registry)
    assert history(store, registry) == [("3", None, "person")]
    crown(store, registry, three[0], reason="asked for", kind="person")
    registry.set_alias(CHAMPION, "3")
    for _ in range(2):
        decided = reconcile(store, registry)
    assert decided is not None
    assert "by hand" in decided.reason
    assert history(store, registry) == [("3", "1", "person"), ("1", "3", "person"), ("3", None, "person")]


def test_without_a_champion_there_is_nothing_to_reconcile(store: Store, registry: Registry) -> None:
    assert reconcile(store, registry) is None
    assert pointed(registry) is None


def test_what_was_live_at_a_time_is_the_decision_then_in_force(
    store: Store, registry: Registry, three: list[Version]
) -> None:
    start = datetime(2023, 2, 3, 12, tzinfo=UTC)
    for place, version in enumerate(three):
        crown(store, registry, version, reason="in turn", at=start + timedelta(days=place))
    name = registry.model_name
    assert store.promotion_at(name, start - timedelta(seconds=1)) is None
    at_noon = [store.promotion_at(name, start + timedelta(days=place, hours=1)) for place in range(3)]
    assert [one.model_version for one in at_noon if one] == ["1", "2", "3"]


def test_one_process_at_a_time_decides(store: Store) -> None:
    with deciding(store):
        with pytest.raises(LifecycleBusy, match="lifecycle"), deciding(store, wait_s=0.4):
            pass
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: deciding(store, wait_s=0.1).__enter__())
            assert isinstance(waiting.exception(), LifecycleBusy)
    with deciding(store, wait_s=0.0):
        pass


def test_a_version_is_kept_once_with_its_lineage(store: Store, registry: Registry, three: list[Version]) -> None:
    kept = [keep_version(store, three[0], small_ensemble(seed=1), "trained", None) for _ in range(2)]
    assert kept[0].lineage == kept[1].lineage == three[0].tags["lineage"]
    [row] = store.model_history(registry.model_name)
    assert (row.version, row.kind, row.digest) == ("1", "trained", three[0].digest)
    assert row.registered_at is not None
