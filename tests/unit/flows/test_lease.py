from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from flows import lease as lease_module
from flows.lease import LeaseKeeper, lease_ttl_s


class Leases:
    """One lease in memory; ``down`` makes the database unreachable."""

    def __init__(self) -> None:
        self.holder: str | None = None
        self.epoch = 0
        self.down = False
        self.asked = 0

    def acquire_lease(self, name: str, holder: str, ttl_s: float) -> int | None:
        self.asked += 1
        if self.down:
            raise OperationalError("", None, Exception("connection refused"))
        if self.holder not in (None, holder):
            return None
        if self.holder is None:
            self.epoch += 1
        self.holder = holder
        return self.epoch

    def release_lease(self, name: str, holder: str) -> bool:
        if self.down:
            raise OperationalError("", None, Exception("connection refused"))
        held, self.holder = self.holder == holder, None
        return held


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(lease_module.time, "monotonic", lambda: now[0])
    return now


async def held(keeper: LeaseKeeper) -> bool:
    """What is said once the renewal that was due has ended."""
    await keeper.held()
    if keeper._task is not None:
        await keeper._task
    return await keeper.held()


async def test_one_of_two_holds_the_lease_and_the_other_takes_over_when_it_is_given_back() -> None:
    leases = Leases()
    first, second = LeaseKeeper(leases, "poller", "a:1"), LeaseKeeper(leases, "poller", "b:2")
    assert await held(first)
    assert not await held(second)
    await first.release()
    assert await held(second)
    assert second.epoch == 2


async def test_a_lease_is_renewed_after_a_third_of_its_time_and_not_before(clock: list[float]) -> None:
    leases = Leases()
    keeper = LeaseKeeper(leases, "poller", "a:1", ttl_s=9.0)
    assert await held(keeper)
    clock[0] += 2.9
    assert await held(keeper)
    assert leases.asked == 1
    clock[0] += 0.2
    assert await held(keeper)
    assert leases.asked == 2


async def test_an_unreachable_database_does_not_end_the_lease_before_twice_its_time(clock: list[float]) -> None:
    leases = Leases()
    keeper = LeaseKeeper(leases, "poller", "a:1", ttl_s=10.0)
    assert await held(keeper)
    leases.down = True
    clock[0] += 19.0
    assert await held(keeper)
    clock[0] += 2.0
    assert not await held(keeper)


async def test_a_holder_that_finds_the_lease_taken_stops(clock: list[float]) -> None:
    leases = Leases()
    keeper = LeaseKeeper(leases, "poller", "a:1", ttl_s=10.0)
    assert await held(keeper)
    leases.holder = "b:2"  # this process slept through its lease
    clock[0] += 60.0
    assert not await held(keeper)


async def test_the_event_loop_form_holds_and_releases() -> None:
    leases = Leases()
    keeper = LeaseKeeper(leases, "poller", "a:1")
    assert await keeper.held()
    await keeper.release()
    assert leases.holder is None


@pytest.mark.parametrize(("speed", "ttl_s"), [(1, 15.0), (10, 3.0), (60, 2.0)])
def test_a_faster_clock_has_a_shorter_lease(speed: float, ttl_s: float) -> None:
    assert lease_ttl_s(speed) == ttl_s
