"""The metrics of poller and predictor as their own processes: a feed over HTTP, a real Redis, a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from tests.support.live_rig import NIGHT
from tests.support.night_drill import DrillFeed, drill_feed
from tests.support.servers import die_with_parent, end, free_port, running_redis
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Place:
    """What a loop runs on; ``env`` is its environment."""

    redis_url: str
    feed: DrillFeed
    home: Path
    env: dict[str, str]

    @contextmanager
    def loop(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """``python -m flows.NAME`` while the block runs; its log is ``NAME.log`` in the home."""
        with (self.home / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", f"flows.{name}"]
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            yield child
        finally:
            end(child, signal.SIGKILL)

    def said(self, name: str) -> str:
        """The log of a loop."""
        return (self.home / f"{name}.log").read_text()

    def page(self, name: str) -> dict[str, float]:
        """What a scrape shows, by ``name{label="value"}``; empty while nobody serves it."""
        try:
            text = httpx.get(f"http://127.0.0.1:{self.env[f'HALFTIME_{name.upper()}_METRICS_PORT']}/metrics").text
        except httpx.HTTPError:
            return {}
        return {
            sample.name + "".join(f'{{{label}="{value}"}}' for label, value in sample.labels.items()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Place]:
    """Two games in the second quarter, polled five times a second, and no forecaster."""
    with running_redis() as redis, drill_feed(NIGHT, 1.0, (60.0, 90.0)) as feed:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("HALFTIME_", "PREFECT_"))}
        ports = ("POLLER_METRICS", "PREDICTOR_METRICS", "FORECASTER")
        yield Place(
            redis.url,
            feed,
            tmp_path,
            ours
            | {f"HALFTIME_{name}_PORT": str(free_port()) for name in ports}
            | {
                "HALFTIME_HOME": str(tmp_path),
                "HALFTIME_FEED": "nba",
                "HALFTIME_FEED_BASE_URL": feed.url,
                "HALFTIME_POLL_INTERVAL_S": "0.2",
                "DATABASE_URL": database_url,
                "REDIS_URL": redis.url,
            },
        )


def test_the_loops_tell_over_http_what_they_do(place: Place) -> None:
    place.feed.start()
    with place.loop("poller") as poller, place.loop("predictor") as predictor:
        until(lambda: place.page("poller").get("halftime_ticks_published_total", 0) >= 2, timeout_s=60)
        until(lambda: place.page("poller").get('halftime_polls_total{outcome="ok"}', 0) >= 5)
        first, again = place.page("poller"), place.page("poller")
        assert first['halftime_polls_total{outcome="blocked"}'] == 0
        assert first["halftime_play_by_plays_total"] >= 2
        assert first["halftime_poll_seconds_count"] <= again["halftime_poll_seconds_count"]
        assert 0 <= first["halftime_feed_age_seconds"] < 20
        # Nobody answers for the forecaster, which is owed and counted and ends nothing.
        until(lambda: place.page("predictor").get('halftime_predictor_failures_total{kind="forecaster"}', 0) >= 1)
        assert place.page("predictor")['halftime_forecasts_issued_total{minute_kind="official"}'] == 0
        for child in (poller, predictor):
            child.send_signal(signal.SIGTERM)
        assert (poller.wait(20), predictor.wait(20)) == (0, 0), "a page that is served holds up no end"


def test_a_taken_port_costs_the_page_and_no_tick(place: Place) -> None:
    place.feed.start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(place.env["HALFTIME_POLLER_METRICS_PORT"])))
        taken.listen()
        with place.loop("poller") as poller:
            client: Redis = Redis.from_url(place.redis_url)
            until(lambda: client.xlen("halftime:ticks") >= 2, timeout_s=60)
            client.close()
            assert "free the port or set HALFTIME_POLLER_METRICS_PORT" in place.said("poller")
            poller.send_signal(signal.SIGTERM)
            assert poller.wait(20) == 0


def test_a_feed_that_cannot_be_reached_is_seen_by_its_state(place: Place) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        place.env["HALFTIME_FEED_BASE_URL"] = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with place.loop("poller"):
            until(lambda: place.page("poller").get('halftime_polls_total{outcome="unreachable"}', 0) >= 2, timeout_s=60)
            shown = place.page("poller")
    assert shown['halftime_polls_total{outcome="ok"}'] == 0
    assert "halftime_feed_age_seconds" not in shown
