"""Three predictors at once on one consumer group, on the real Redis and PostgreSQL: one night, each thing once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from redis import Redis
from sqlalchemy import text

from flows import predictor as module
from flows.announce import Announcer
from flows.issue import ForecastIssuer
from flows.predictor import Predictor
from models.game import margins
from monitoring.streams import read_streams
from services.broadcast import FIRST_ID, Broadcast
from services.store import Store
from services.ticks import TickStream
from tests.support.live_rig import NIGHT, FakeForecaster, Rig
from tests.support.waiting import until


def predictors(store: Store, url: str, prefix: str) -> list[Predictor]:
    return [
        Predictor(
            store,
            TickStream(url, prefix),
            ForecastIssuer(FakeForecaster(), store, 0.1),
            Announcer(Broadcast(url, prefix)),
            consumer=f"pod-{number}:1",
        )
        for number in range(3)
    ]


@contextmanager
def at_work(crew: Sequence[Predictor]) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=one.run, args=(stop,)) for one in crew]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def drained(client: Redis, prefix: str) -> bool:
    """Whether every consumer group has taken and acknowledged all that is in its stream."""
    groups = [group for stream in read_streams(client, prefix) for group in stream.groups]
    return bool(groups) and all(group.pending == 0 and group.lag_s == 0 for group in groups)


def test_three_predictors_make_each_forecast_and_settlement_once_though_one_of_them_dies(
    store: Store, redis_url: str, redis_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_MS", 1500)
    monkeypatch.setattr(module, "HOLD_EVERY_S", 0.2)
    stream, client = TickStream(redis_url, redis_prefix), Redis.from_url(redis_url)
    rig = Rig(store, games=4, rules="take_back,edited", stream=stream)
    crew = predictors(store, redis_url, redis_prefix)
    end_s = max(game.timeline.half_s for game in rig.night.games) + 1200.0 - rig.night.clock.begins_s
    with at_work(crew):
        polls = 0
        while rig.now_s < end_s:
            rig.poll(predict=False)
            polls += 1
            if polls % 100 == 0:
                # What a predictor that was killed had in hand.
                stream.consume("pod-killed:1", block_ms=0, count=3)
            if polls % 4 == 0:
                until(lambda: drained(client, redis_prefix), timeout_s=60)
    rig.close()
    assert sum(one.counts.overtaken > 0 or one.counts.ticks > 20 for one in crew) == 3, "each had its share"
    assert stream.dead_letters() == []

    night = store.night(NIGHT)
    assert [game.disposition for game in night.games] == ["forecast"] * 4
    assert night.duplicates == 0
    for game in night.games:
        snapshot = store.latest_snapshot(game.game_id)
        assert snapshot is not None
        assert game.official is not None
        assert game.actual is not None
        assert game.settlement is not None
        assert game.official.pattern == margins(snapshot)[:18], "the newest correction stands"
        assert (game.actual.state, game.actual.margin) == ("final", margins(snapshot)[23])
        assert game.settlement.error == game.actual.margin - game.official.prediction.point

    with store.engine.connect() as connection:
        made = connection.execute(text("SELECT game_id, minute, revision FROM forecasts ORDER BY 1, 2, 3")).all()
        twice = text(
            "SELECT count(*) FROM (SELECT 1 FROM settlements GROUP BY forecast_id, actual_id HAVING count(*) > 1) t"
        )
        assert connection.execute(twice).scalar_one() == 0
    revisions: dict[tuple[str, int], list[int]] = {}
    for game_id, minute, revision in made:
        revisions.setdefault((game_id, minute), []).append(revision)
    assert all(found == list(range(len(found))) for found in revisions.values())
    told = [
        (event.game_id, event.data["minute"], event.data["revision"])
        for event in Broadcast(redis_url, redis_prefix).read_after(FIRST_ID, count=20_000).events
        if event.type == "forecast"
    ]
    assert sorted(told) == [tuple(row) for row in made], "each is told once"
