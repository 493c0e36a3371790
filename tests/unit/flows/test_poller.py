"""The poller against a feed that a test plays: what it asks for, what it publishes, what it waits out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from flows.lease import LeaseKeeper
from flows.poller import LAG_POLLS, REMIND_POLLS, Poller
from models.game import Play, Snapshot, Status
from services.feed import Fetched
from services.feed_errors import FeedBlocked, FeedError, FeedGone, FeedThrottled
from services.loop_metrics import OUTCOMES
from services.ticks import Tick, TicksUnavailable
from services.wire import ScoreboardGame, WireError

AT = datetime(2023, 2, 4, 0, 11, tzinfo=UTC)


def line(game_id: str = "0022200785", **changes: object) -> ScoreboardGame:
    game = ScoreboardGame(
        game_id, Status.LIVE, "Q1 9:00", 1, 540.0, "DET", "CHA", 2, 0, AT, date(2023, 2, 3), postponed=False
    )
    return replace(game, **changes)  # type: ignore[arg-type]


def shown(game: ScoreboardGame, t: float = 180.0, home: int = 2, away: int = 0) -> Snapshot:
    plays = (Play(int(t), 1, t, home, away),)
    return Snapshot(game.game_id, game.home, game.away, game.status, 1, t, False, plays, AT, AT)


@dataclass
class FakeFeed:
    """Shows ``board`` and ``files``; an exception in their place is raised."""

    board: list[ScoreboardGame] | FeedError
    files: dict[str, Snapshot | FeedError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    rejected: tuple[WireError, ...] = ()

    async def scoreboard(self) -> Fetched[tuple[ScoreboardGame, ...]]:
        if isinstance(self.board, FeedError):
            raise self.board
        return Fetched(tuple(self.board), True, AT, self.rejected)

    async def playbyplay(self, game: ScoreboardGame) -> Fetched[Snapshot]:
        self.asked.append(game.game_id)
        answer = self.files[game.game_id]
        if isinstance(answer, FeedError):
            raise answer
        return Fetched(answer, True, AT)


@dataclass
class FakeStream:
    """Keeps what is published; ``down`` refuses."""

    ticks: list[Tick] = field(default_factory=list)
    down: bool = False

    def publish(self, tick: Tick) -> str:
        if self.down:
            raise TicksUnavailable("redis is away")
        self.ticks.append(tick)
        return f"{len(self.ticks)}-0"


class Always:
    """A lease nobody else wants."""

    def acquire_lease(self, name: str, holder: str, ttl_s: float) -> int | None:
        return 1

    def release_lease(self, name: str, holder: str) -> bool:
        return True


class Never(Always):
    """A lease that somebody else holds."""

    def acquire_lease(self, name: str, holder: str, ttl_s: float) -> int | None:
        return None


def poller(feed: FakeFeed, stream: FakeStream) -> Poller:
    return Poller(feed, stream, LeaseKeeper(Always(), "poller", "test:1"), interval_s=5.0, source="recorded")


async def test_play_by_play_is_asked_only_for_games_whose_line_changed() -> None:
    game = line()
    feed, stream = FakeFeed([game], {game.game_id: shown(game)}), FakeStream()
    polling = poller(feed, stream)
    for _ in range(3):
        await polling.poll_once()
    assert feed.asked == [game.game_id]
    feed.board = [line(status_text="Q1 8:50", clock_s=530.0)]
    await polling.poll_once()
    assert feed.asked == [game.game_id] * 2


async def test_a_game_that_has_not_begun_is_a_tick_without_asking_for_its_plays() -> None:
    game = line(status=Status.SCHEDULED, status_text="7:00 pm ET", period=0, clock_s=None, home_score=0)
    feed, stream = FakeFeed([game]), FakeStream()
    await poller(feed, stream).poll_once()
    assert feed.asked == []
    assert [tick.snapshot.status for tick in stream.ticks] == [Status.SCHEDULED]


async def test_one_games_trouble_neither_hides_nor_delays_the_others() -> None:
    good, bad = line(), line("0022200786", home="IND", away="SAC")
    feed = FakeFeed([bad, good], {good.game_id: shown(good), bad.game_id: FeedGone("u", "404")})
    stream = FakeStream()
    polling = poller(feed, stream)
    assert await polling.poll_once() == 0.0
    assert [tick.game_id for tick in stream.ticks] == [good.game_id]
    feed.files[bad.game_id] = shown(bad)
    await polling.poll_once()
    assert [tick.game_id for tick in stream.ticks] == [good.game_id, bad.game_id]


async def test_a_blocked_feed_is_asked_less_and_less_often_and_on_time_again_once_it_answers() -> None:
    feed, stream = FakeFeed(FeedBlocked("u", "403")), FakeStream()
    polling = poller(feed, stream)
    waits = [await polling.poll_once() for _ in range(4)]
    assert waits[-1] > 2 * waits[0] > 0
    feed.board = []
    assert await polling.poll_once() == 0.0
    assert polling.counts.failures == {"FeedBlocked": 4}


async def test_retry_after_is_honoured() -> None:
    feed = FakeFeed(FeedThrottled("u", "429", retry_after_s=120.0))
    assert await poller(feed, FakeStream()).poll_once() >= 120.0


async def test_a_stale_copy_is_left_aside_and_asked_for_again() -> None:
    game = line()
    feed, stream = FakeFeed([game], {game.game_id: shown(game)}), FakeStream()
    polling = poller(feed, stream)
    await polling.poll_once()
    feed.board = [line(status_text="Q1 8:40", clock_s=520.0)]
    feed.files[game.game_id] = shown(game, t=100.0)
    await polling.poll_once()
    assert (len(stream.ticks), polling.counts.stale) == (1, 1)
    feed.files[game.game_id] = shown(game, t=200.0)
    await polling.poll_once()
    assert len(stream.ticks) == 2


async def test_plays_that_lag_behind_the_scoreboard_are_asked_for_until_they_catch_up() -> None:
    game = line(home_score=4)
    feed, stream = FakeFeed([game], {game.game_id: shown(game)}), FakeStream()
    polling = poller(feed, stream)
    for _ in range(3):
        await polling.poll_once()
    assert len(feed.asked) == 3
    assert len(stream.ticks) == 1
    feed.files[game.game_id] = shown(game, t=185.0, home=4)
    for _ in range(3):
        await polling.poll_once()
    assert len(feed.asked) == 4


async def test_a_scoreboard_that_disagrees_for_good_is_not_asked_about_for_ever() -> None:
    game = line(home_score=4)
    feed, stream = FakeFeed([game], {game.game_id: shown(game)}), FakeStream()
    polling = poller(feed, stream)
    for _ in range(3 * LAG_POLLS):
        await polling.poll_once()
    assert len(feed.asked) == LAG_POLLS


async def test_a_tick_that_could_not_be_published_is_published_by_a_later_poll() -> None:
    game = line()
    feed, stream = FakeFeed([game], {game.game_id: shown(game)}), FakeStream(down=True)
    polling = poller(feed, stream)
    await polling.poll_once()
    stream.down = False
    await polling.poll_once()
    assert [tick.game_id for tick in stream.ticks] == [game.game_id]


async def test_what_redis_may_have_forgotten_is_published_again_now_and_then() -> None:
    game = line()
    feed, stream = FakeFeed([game], {game.game_id: shown(game)}), FakeStream()
    polling = poller(feed, stream)
    for _ in range(REMIND_POLLS):
        await polling.poll_once()
    assert [tick.digest for tick in stream.ticks] == [shown(game).digest] * 2
    assert stream.ticks[0].polled_at == stream.ticks[1].polled_at, "it is as old as it is"
    assert feed.asked == [game.game_id]
    stream.down = True
    for _ in range(REMIND_POLLS):
        await polling.poll_once()
    assert polling.counts.failures == {"TicksUnavailable": 1}


async def test_a_line_that_cannot_be_read_is_told_once_and_hides_no_other() -> None:
    game = line()
    feed, stream = FakeFeed([game], {game.game_id: shown(game)}), FakeStream()
    feed.rejected = (WireError("0022200786", "gameStatus", 9, "1 before, 2 live or 3 final"),)
    polling = poller(feed, stream)
    for _ in range(3):
        await polling.poll_once()
    assert [tick.game_id for tick in stream.ticks] == [game.game_id]
    assert polling.counts.failures == {"WireError": 1}


async def test_without_the_lease_nothing_is_asked() -> None:
    feed = FakeFeed([line()])
    polling = Poller(feed, FakeStream(), LeaseKeeper(Never(), "poller", "b:2"), interval_s=5.0, source="recorded")
    assert not await polling.run(asyncio.Event(), stand_by=False)
    assert polling.counts.polls == 0


async def test_four_games_refused_in_one_poll_are_one_refusal() -> None:
    games = [line(f"002220078{place}") for place in range(4)]
    feed = FakeFeed(list(games), {game.game_id: FeedThrottled("u", "429") for game in games})
    polling = poller(feed, FakeStream())
    first = await polling.poll_once()
    assert 0 < first <= 5.0
    assert polling.counts.failures == {"FeedThrottled": 4}
    assert 5.0 <= await polling.poll_once() <= 10.0


def outcomes(polling: Poller) -> dict[str, float | None]:
    """Polls by outcome, as a scrape has them, without those that never were."""
    found = {each: polling.metrics.registry.get_sample_value("halftime_polls_total", {"outcome": each})
             for each in OUTCOMES}  # fmt: skip
    return {name: count for name, count in found.items() if count}


def scraped(polling: Poller, name: str) -> float | None:
    return polling.metrics.registry.get_sample_value(f"halftime_{name}")


async def test_a_failed_poll_is_counted_under_its_state() -> None:
    feed = FakeFeed(FeedBlocked("u", "403"))
    polling = poller(feed, FakeStream())
    answers: list[list[ScoreboardGame] | FeedError] = [FeedBlocked("u", "403"), FeedThrottled("u", "429"), [], []]
    for answer in answers:
        feed.board = answer
        await polling.poll_once()
    assert outcomes(polling) == {"blocked": 1, "throttled": 1, "ok": 2}
    assert scraped(polling, "poll_seconds_count") == 4


async def test_a_poll_has_one_outcome_however_many_of_its_files_failed() -> None:
    games = [line(f"002220078{place}") for place in range(4)]
    feed = FakeFeed(list(games), {game.game_id: FeedThrottled("u", "429") for game in games})
    polling = poller(feed, FakeStream())
    await polling.poll_once()
    assert outcomes(polling) == {"throttled": 1}
    assert scraped(polling, "play_by_plays_total") == 4


async def test_a_tick_that_redis_did_not_take_is_an_outcome_of_its_own_and_not_published() -> None:
    game = line()
    stream = FakeStream(down=True)
    polling = poller(FakeFeed([game], {game.game_id: shown(game)}), stream)
    await polling.poll_once()
    assert (outcomes(polling), scraped(polling, "ticks_published_total")) == ({"not_queued": 1}, 0)
    stream.down = False
    await polling.poll_once()
    assert (outcomes(polling), scraped(polling, "ticks_published_total")) == ({"not_queued": 1, "ok": 1}, 1)


async def test_a_line_that_cannot_be_read_spoils_the_one_poll_that_told_it() -> None:
    feed = FakeFeed([], rejected=(WireError("0022200786", "gameStatus", 9, "1 before, 2 live or 3 final"),))
    polling = poller(feed, FakeStream())
    for _ in range(3):
        await polling.poll_once()
    assert outcomes(polling) == {"malformed": 1, "ok": 2}


async def test_the_feeds_age_counts_from_the_last_scoreboard_that_was_read() -> None:
    now = [AT]
    feed = FakeFeed(FeedBlocked("u", "403"))
    lease = LeaseKeeper(Always(), "poller", "test:1")
    polling = Poller(feed, FakeStream(), lease, interval_s=5.0, source="recorded", now=lambda: now[0])
    await polling.poll_once()
    assert scraped(polling, "feed_age_seconds") is None
    feed.board = []
    await polling.poll_once()
    feed.board = FeedBlocked("u", "403")
    now[0] = AT + timedelta(seconds=30)
    await polling.poll_once()
    assert scraped(polling, "feed_age_seconds") == 30.0


async def test_a_poller_that_lost_the_lease_tells_no_age_of_the_feed() -> None:
    lease = LeaseKeeper(Never(), "poller", "b:2", ttl_s=0.1)
    polling = Poller(FakeFeed([]), FakeStream(), lease, interval_s=5.0, source="recorded")
    await polling.poll_once()
    assert scraped(polling, "feed_age_seconds") is not None
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, stop.set)
    await polling.run(stop)
    assert scraped(polling, "feed_age_seconds") is None
