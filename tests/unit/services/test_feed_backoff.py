import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feed_backoff import RETRY_AFTER_CAP_S, Backoff
from services.feed_errors import FeedServerError, FeedThrottled

BUSY = FeedServerError("https://feed.test", "500")


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(base_s=1.0, cap_s=8.0)
    waits = [backoff.failed(BUSY) for _ in range(6)]
    for wait, ceiling in zip(waits, (1, 2, 4, 8, 8, 8), strict=True):
        assert ceiling / 2 <= wait <= ceiling


def test_success_starts_again_from_the_shortest_wait() -> None:
    backoff = Backoff(base_s=1.0, cap_s=60.0)
    for _ in range(5):
        backoff.failed(BUSY)
    backoff.succeeded()
    assert backoff.failed(BUSY) <= 1.0


def test_the_server_may_ask_for_more_but_not_for_hours() -> None:
    backoff = Backoff(base_s=1.0, cap_s=2.0)
    assert backoff.failed(FeedThrottled("https://feed.test", "429", 30.0)) == 30.0
    assert backoff.failed(FeedThrottled("https://feed.test", "429", 0.0)) >= 1.0
    assert backoff.failed(FeedThrottled("https://feed.test", "429", 1e9)) == RETRY_AFTER_CAP_S


def test_equal_seeds_wait_equally() -> None:
    first, second, other = (Backoff(1.0, 60.0, seed=seed) for seed in (1, 1, 2))
    waits = [[backoff.failed(BUSY) for _ in range(5)] for backoff in (first, second, other)]
    assert waits[0] == waits[1] != waits[2]


@pytest.mark.parametrize(("base_s", "cap_s"), [(0.0, 1.0), (2.0, 1.0), (-1.0, 1.0)])
def test_impossible_waits_are_refused(base_s: float, cap_s: float) -> None:
    with pytest.raises(ValueError, match="back-off"):
        Backoff(base_s, cap_s)


@given(st.integers(1, 3000), st.floats(0.001, 10), st.floats(1, 1000), st.floats(0, 1e12))
def test_a_wait_is_positive_and_bounded(failures: int, base_s: float, factor: float, asked_s: float) -> None:
    backoff = Backoff(base_s, base_s * factor)
    wait = 0.0
    for _ in range(min(failures, 100)):
        wait = backoff.failed(FeedThrottled("https://feed.test", "429", asked_s))
    assert 0 < wait <= max(base_s * factor, RETRY_AFTER_CAP_S)
