"""The pages of the live loops: what they show, and what happens when one cannot be served."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from services import feed_errors
from services.feed_errors import FeedError
from services.loop_metrics import HOPS, LAST_HOP, OUTCOMES, PollerMetrics, PredictorMetrics, serve, served
from services.settings import Settings
from services.telemetry import configure_logging

AT = datetime(2023, 2, 4, 1, 0, tzinfo=UTC)


@dataclass
class Figures:
    """A poller's counts as a test sets them."""

    play_by_plays: int = 0
    ticks: int = 0
    stale: int = 0
    late_polls: int = 0
    last_poll_at: datetime | None = None


@pytest.fixture
def registry() -> CollectorRegistry:
    return PollerMetrics(Figures(ticks=3)).registry


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


def page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def of(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_every_state_of_the_feed_has_an_outcome_that_is_there_from_the_start() -> None:
    kinds = [each for each in vars(feed_errors).values() if isinstance(each, type) and issubclass(each, FeedError)]
    assert {kind.state for kind in kinds if kind is not FeedError} <= set(OUTCOMES)
    made = PollerMetrics(Figures())
    assert [of(made.registry, "halftime_polls_total", outcome=outcome) for outcome in OUTCOMES] == [0.0] * len(OUTCOMES)


def test_an_outcome_that_nobody_knows_makes_no_label() -> None:
    made = PollerMetrics(Figures())
    made.polled("https://feed.example/?a=1", 0.02)
    assert of(made.registry, "halftime_polls_total", outcome="other") == 1
    shown = {sample.labels["outcome"] for family in made.registry.collect() for sample in family.samples
             if sample.name == "halftime_polls_total"}  # fmt: skip
    assert shown == set(OUTCOMES)


def test_a_polls_seconds_are_in_the_histogram() -> None:
    made = PollerMetrics(Figures())
    made.polled("ok", 0.3)
    assert of(made.registry, "halftime_poll_seconds_sum") == pytest.approx(0.3)
    assert of(made.registry, "halftime_poll_seconds_bucket", le="0.25") == 0
    assert of(made.registry, "halftime_poll_seconds_bucket", le="0.5") == 1


def test_the_pollers_own_counts_are_read_when_scraped() -> None:
    figures = Figures(play_by_plays=1)
    made = PollerMetrics(figures).registry
    figures.play_by_plays, figures.ticks, figures.stale, figures.late_polls = 5, 4, 3, 2
    names = ("play_by_plays", "ticks_published", "stale_snapshots", "late_polls")
    assert [of(made, f"halftime_{name}_total") for name in names] == [5, 4, 3, 2]


def test_the_feeds_age_is_absent_before_its_first_answer_and_grows_between_scrapes() -> None:
    figures, now = Figures(), [AT]
    made = PollerMetrics(figures, lambda: now[0]).registry
    assert of(made, "halftime_feed_age_seconds") is None
    figures.last_poll_at = AT
    now[0] = AT + timedelta(seconds=7.5)
    assert of(made, "halftime_feed_age_seconds") == 7.5
    now[0] = AT - timedelta(seconds=1)
    assert of(made, "halftime_feed_age_seconds") == 0.0, "a clock that was set back"


def test_hops_are_measured_between_the_times_that_are_known() -> None:
    made = PredictorMetrics()
    after = [AT + timedelta(seconds=seconds) for seconds in (0.0, 0.2, 1.2, 1.25)]
    made.issued(official=True, polled_at=after[0], queued_at=after[1], forecast_at=after[2], committed_at=after[3])
    made.issued(official=False, polled_at=after[0], queued_at=None, forecast_at=after[2], committed_at=after[3])
    made.told(after[3], after[3] + timedelta(seconds=0.5))
    counts = [of(made.registry, "halftime_hop_seconds_count", hop=hop) for hop in (*HOPS, LAST_HOP)]
    assert counts == [1, 1, 2, 1]
    sums = [of(made.registry, "halftime_hop_seconds_sum", hop=hop) for hop in (*HOPS, LAST_HOP)]
    assert sums == pytest.approx([0.2, 1.0, 0.1, 0.5])
    kinds = [of(made.registry, "halftime_forecasts_issued_total", minute_kind=kind) for kind in ("official", "other")]
    assert kinds == [1, 1]


def test_a_database_whose_clock_is_behind_makes_no_hop_shorter_than_nothing() -> None:
    made = PredictorMetrics()
    made.told(AT + timedelta(seconds=2), AT)
    assert of(made.registry, "halftime_hop_seconds_sum", hop=LAST_HOP) == 0.0


def test_a_page_is_served_and_its_port_let_go(registry: CollectorRegistry) -> None:
    server = serve(registry, "127.0.0.1", 0)
    families = {family.name for family in text_string_to_metric_families(page(server.url))}
    server.close()
    assert {"halftime_polls", "halftime_ticks_published", "halftime_poll_seconds"} <= families
    assert not [name for name in families if not name.startswith("halftime_")], "nothing of the process itself"
    again = serve(registry, "127.0.0.1", int(server.url.split(":")[2].split("/")[0]))
    again.close()


def test_two_pages_of_one_process_have_nothing_of_each_other(registry: CollectorRegistry) -> None:
    other = PredictorMetrics().registry
    assert not {one.name for one in registry.collect()} & {one.name for one in other.collect()}


@pytest.mark.parametrize("port", [None, 70_000])
def test_a_port_that_cannot_be_had_is_logged_with_its_setting_and_stops_nothing(
    registry: CollectorRegistry, taken: int, port: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(home=tmp_path, poller_metrics_port=port or taken)
    configure_logging()
    with served(registry, settings, "poller_metrics_port") as server:
        assert server is None
    (said,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (said["level"], said["port"]) == ("error", port or taken)
    assert "set HALFTIME_POLLER_METRICS_PORT" in said["event"]


def test_an_address_that_is_not_this_machines_stops_nothing(registry: CollectorRegistry, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, host="192.0.2.1", predictor_metrics_port=0)
    with served(registry, settings, "predictor_metrics_port") as server:
        assert server is None
