"""What forecasters that come and go have counted, held against what nginx saw of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.support.balanced import Platform, Replica
from tests.support.balanced_games import Counted
from tests.support.running_forecaster import RunningForecaster
from tests.support.running_nginx import Passed
from tests.support.scraped import Page

# What nginx itself says when a replica gives no answer.
NO_ANSWER = (502, 504)
# nginx takes the time once a round of its events, and a forecaster counts a request after its answer has gone out.
CLOCK_S = 0.1


@dataclass(frozen=True)
class Life:
    """One life of a replica: its port, when it began, and what it had counted when it was last scraped."""

    port: int
    began: float
    scraped_at: float
    counted: Counted


def counters(page: Page) -> Counted:
    """What a forecaster counts of the requests that callers send; probes and scrapes are the drill's own."""
    found: Counted = Counter()
    for one in page.all("halftime_http_requests_total"):
        if one.labels["route"] in ("/predict", "/record_actual", "/metrics/summary") and one.value:
            found[one.labels["method"], one.labels["route"], int(one.labels["code"])] += int(one.value)
    return found


def scraped(replica: Replica[RunningForecaster]) -> Life:
    """Its present life, as of now."""
    now = time.time()
    return Life(replica.port, replica.began, now, counters(replica.page()))


def together(lives: Iterable[Life]) -> Counted:
    """What all of them have counted."""
    return sum((life.counted for life in lives), Counter())


def uncounted(lives: Sequence[Life], passed: Sequence[Passed], platform: Platform) -> tuple[Counted, int]:
    """What nginx got from replicas that have ended and that their last scrape had not counted; how much that could be
    at most. What was answered since the scrape, and nothing else, may be missing."""
    unseen: Counted = Counter()
    bound = 0
    reborn = {one.port: one.began for one in platform.forecasters}
    for life in lives:
        answered = [
            (one, status)
            for one in passed
            for port, status in one.tries
            if port == life.port and status not in NO_ANSWER and life.began <= one.at < reborn[port]
        ]
        got = Counter((one.method, one.path, status) for one, status in answered if one.path != "/livez")
        assert got >= life.counted
        late = sum(one.at >= life.scraped_at - CLOCK_S for one, _ in answered)
        assert (got - life.counted).total() <= late
        unseen += got - life.counted
        bound += late
    return unseen, bound
