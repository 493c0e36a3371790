"""The one place where clients are made from settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from flows.lease import LeaseKeeper, holder_name, lease_ttl_s
from services.broadcast import Broadcast
from services.settings import Settings
from services.store import Store
from services.ticks import TickStream

if TYPE_CHECKING:
    from flows.poller import Poller
    from flows.predictor import Predictor
    from services.registry import Registry


@contextmanager
def store(settings: Settings) -> Iterator[Store]:
    """The database."""
    opened = Store.open(settings.resolved_database_url)
    try:
        yield opened
    finally:
        opened.close()


def registry(settings: Settings) -> Registry:
    """The model registry of the league in force."""
    from services.registry import Registry  # it brings MLflow, which the live loops do without

    return Registry(settings.resolved_mlflow_uri, settings.model_name, settings.home / "models")


@asynccontextmanager
async def poller(settings: Settings) -> AsyncIterator[Poller]:
    """A poller of the feed in force."""
    from flows.poller import Poller
    from services.feed import FeedClient

    with store(settings) as opened:
        lease = LeaseKeeper(opened, "poller", holder_name(), lease_ttl_s(settings.speed))
        # A file that hangs must not hold the polls up for minutes of feed time.
        timeout_s = min(5.0, max(1.0, 60.0 / settings.speed))
        async with FeedClient(settings.resolved_feed_url, timeout_s=timeout_s) as feed:
            yield Poller(
                feed,
                TickStream(settings.resolved_redis_url),
                lease,
                interval_s=settings.poll_interval_s / settings.speed,
                source=settings.feed_source,
            )


@contextmanager
def predictor(settings: Settings) -> Iterator[Predictor]:
    """A predictor on the tick stream."""
    from flows.announce import Announcer
    from flows.issue import ForecastIssuer
    from flows.predictor import Predictor
    from services.client import ForecasterClient, RetryPolicy
    from services.loop_metrics import PredictorMetrics

    metrics = PredictorMetrics()
    with (
        store(settings) as opened,
        ForecasterClient(
            # Brief tries: what the forecaster cannot answer now is owed, and the other games go on.
            settings.forecaster_url,
            timeout_s=3.0,
            retry=RetryPolicy(tries=2),
        ) as forecaster,
        ForecasterClient(settings.forecaster_url, timeout_s=1.0, retry=RetryPolicy(tries=1)) as brief,
    ):
        yield Predictor(
            opened,
            TickStream(settings.resolved_redis_url),
            ForecastIssuer(forecaster, opened, settings.alpha, brief=brief, metrics=metrics),
            Announcer(Broadcast(settings.resolved_redis_url), metrics=metrics),
            consumer=holder_name(),
            speed=settings.speed,
            metrics=metrics,
        )
