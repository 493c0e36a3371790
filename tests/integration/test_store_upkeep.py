"""Leases, reports, decisions, alarm states and figures on the real PostgreSQL."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text

from services.store import RowRefused, Store
from services.store_upkeep import Performance
from tests.support.rows import NIGHT


def expire(store: Store, name: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE leases SET expires_at = now() - interval '1 s' WHERE name = :n"), {"n": name})


def test_one_holder_at_a_time(store: Store) -> None:
    assert store.acquire_lease("poller", "a", 30) == 1
    assert store.acquire_lease("poller", "b", 30) is None
    assert store.acquire_lease("settler", "b", 30) == 1, "another lease is another matter"


def test_the_holder_keeps_its_epoch_while_it_asks_in_time(store: Store) -> None:
    assert [store.acquire_lease("poller", "a", 30) for _ in range(3)] == [1, 1, 1]
    assert store.renew_lease("poller", "a", 1, 30)


def test_who_takes_an_expired_lease_gets_the_next_epoch(store: Store) -> None:
    store.acquire_lease("poller", "a", 30)
    expire(store, "poller")
    assert not store.renew_lease("poller", "a", 1, 30), "what has run out cannot be prolonged"
    assert store.acquire_lease("poller", "b", 30) == 2
    assert not store.renew_lease("poller", "a", 1, 30)
    expire(store, "poller")
    assert store.acquire_lease("poller", "b", 30) == 3, "the same name after a lapse is another holder"


def test_a_released_lease_is_free_at_once(store: Store) -> None:
    store.acquire_lease("poller", "a", 30)
    assert not store.release_lease("poller", "b")
    assert store.release_lease("poller", "a")
    assert not store.release_lease("poller", "a")
    assert store.acquire_lease("poller", "b", 30) == 2


def test_of_twenty_racing_for_a_lease_one_gets_it(store: Store) -> None:
    barrier = Barrier(20)

    def race(number: int) -> int | None:
        barrier.wait()
        return store.acquire_lease("poller", f"holder-{number}", 30)

    with ThreadPoolExecutor(20) as pool:
        assert Counter(pool.map(race, range(20))) == {1: 1, None: 19}
    expire(store, "poller")
    barrier.reset()
    with ThreadPoolExecutor(20) as pool:
        assert Counter(pool.map(race, range(20, 40))) == {2: 1, None: 19}


def test_the_same_report_again_changes_nothing(store: Store) -> None:
    first = store.record_report("night", NIGHT, {"mae": 5.0, "games": [1]}, "3")
    assert first is not None
    assert store.record_report("night", NIGHT, {"games": [1], "mae": 5.0}, "3") is None
    assert store.record_report("night", NIGHT, {"games": [1], "mae": 5.1}, "3") is not None
    newest, oldest = store.list_reports("night", NIGHT)
    assert (oldest.id, oldest.body, newest.body["mae"]) == (first, {"mae": 5.0, "games": [1]}, 5.1)
    assert store.list_reports("evidently") == []


def test_what_stands_beside_a_report_makes_no_second_one_of_it(store: Store) -> None:
    first = store.record_report("evidently", NIGHT, {"n": 5}, "3", beside={"snapshot": {"at": 1.0}})
    assert first is not None
    assert store.record_report("evidently", NIGHT, {"n": 5}, "3", beside={"snapshot": {"at": 2.0}}) is None
    assert store.report_body(first) == {"n": 5, "snapshot": {"at": 1.0}}
    assert store.report_id("evidently", NIGHT, {"n": 5}, "3") == first
    assert store.report_id("evidently", NIGHT, {"n": 6}, "3") is None
    assert store.report_body(first + 1) is None


def test_a_report_with_nan_is_refused(store: Store) -> None:
    with pytest.raises(RowRefused, match="finite"):
        store.record_report("night", NIGHT, {"mae": float("nan")})


@pytest.mark.parametrize("table", ["promotions", "reports", "evaluations", "registered_versions"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET {} = {}"])
def test_decisions_and_reports_cannot_be_rewritten(store: Store, table: str, change: str) -> None:
    column = "kind" if table in ("reports", "registered_versions") else "model_name"
    with pytest.raises(Exception, match="append-only"), store.engine.begin() as connection:
        connection.execute(text(change.format(table, column, column)))


def test_figures_computed_again_replace_the_old_ones(store: Store) -> None:
    key: dict[str, Any] = {
        "model_name": "halftime", "model_version": "1", "minute": 18, "alpha": 0.05, "scope": "night", "as_of": NIGHT,
    }  # fmt: skip
    store.record_performance(**key, n=8, figures={"mae": 4.0})
    store.record_performance(**key, n=9, figures={"mae": 4.5})
    store.record_performance(**{**key, "as_of": date(2023, 2, 4)}, n=1, figures={"mae": 1.0})
    newest, oldest = store.performance("halftime", "night")
    assert (newest["as_of"], oldest["n"], oldest["figures"]) == (date(2023, 2, 4), 9, {"mae": 4.5})


def test_figures_of_many_minutes_are_stored_at_once_or_not_at_all(store: Store) -> None:
    rows = [Performance("halftime", "1", minute, 0.05, "week", NIGHT, 50, {"mae": 4.0}) for minute in range(24)]
    store.record_performances(rows)
    store.record_performances([replace(row, n=51, figures={"mae": 4.5}) for row in rows])
    store.record_performances([])
    found = store.performance("halftime", "week")
    assert sorted(row["minute"] for row in found) == list(range(24))
    assert {(row["n"], row["figures"]["mae"]) for row in found} == {(51, 4.5)}
    with pytest.raises(RowRefused):
        store.record_performances([replace(rows[0], n=60), replace(rows[1], figures={"mae": float("nan")})])
    assert {row["n"] for row in store.performance("halftime", "week")} == {51}
