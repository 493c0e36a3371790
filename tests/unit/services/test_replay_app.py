"""Every way to misbehave, met by the feed client as it is met in the night."""

from itertools import pairwise

import httpx
import pytest

from models.game import Snapshot, Status, pattern
from models.succession import Verdict, supersedes
from services.feed import FeedClient
from services.feed_errors import (
    FeedBlocked,
    FeedError,
    FeedGone,
    FeedServerError,
    FeedThrottled,
    FeedTimeout,
    FeedTruncated,
)
from services.replay_app import LIVE_DATA, create_app
from services.replay_control import ReplayState
from services.replay_night import STALE_S, Night
from tests.support.feed_nights import ManualTime, night

ROOT = "http://replay.test"


def transport(shown: Night) -> httpx.ASGITransport:
    return httpx.ASGITransport(app=create_app(shown))


def feed(shown: Night, timeout_s: float = 5.0) -> FeedClient:
    return FeedClient(f"{ROOT}{LIVE_DATA}", transport=transport(shown), timeout_s=timeout_s)


async def poll(shown: Night, time: ManualTime, until_s: float, step_s: float = 5.0) -> list[Snapshot]:
    """Snapshots of the first game as polls of the whole night see them, one for each change."""
    seen: list[Snapshot] = []
    async with feed(shown) as client:
        while time.seconds < until_s:
            time.seconds += step_s
            line = (await client.scoreboard()).value[0]
            if line.status is not Status.LIVE:
                continue
            fetched = await client.playbyplay(line)
            if fetched.changed:
                seen.append(fetched.value)
    return seen


async def test_a_well_behaved_replay_is_polled_like_the_feed() -> None:
    shown, time = night(games=1)
    snapshots = await poll(shown, time, 4200.0)
    assert len(snapshots) > 100
    last = None
    for snapshot in snapshots:
        assert supersedes(last, snapshot) is not Verdict.STALE
        last = snapshot
    assert last is not None
    assert len(pattern(last)) == 18


async def test_an_unchanged_file_is_answered_with_304() -> None:
    shown, time = night(games=1)
    time.seconds = 1200.0
    async with httpx.AsyncClient(base_url=ROOT, transport=transport(shown)) as session:
        path = f"{LIVE_DATA}/playbyplay/playbyplay_{shown.games[0].script.game_id}.json"
        first = await session.get(path)
        again = await session.get(path, headers={"If-None-Match": first.headers["ETag"]})
        time.seconds = 1300.0
        later = await session.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert [first.status_code, again.status_code, later.status_code] == [200, 304, 200]
    assert again.content == b""
    assert first.headers["Content-Type"] == "application/json"
    assert later.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("blocked", FeedBlocked),
        ("throttled", FeedThrottled),
        ("server_error", FeedServerError),
        ("timeout", FeedTimeout),
        ("truncated", FeedTruncated),
    ],
)
async def test_a_faulty_answer_is_a_named_state_and_the_next_one_is_fine(kind: str, expected: type[FeedError]) -> None:
    shown, time = night(f"{kind}*1:scoreboard,{kind}*1:playbyplay", games=1)
    time.seconds = 1200.0
    async with feed(shown, timeout_s=0.5) as client:
        with pytest.raises(expected) as caught:
            await client.scoreboard()
        line = (await client.scoreboard()).value[0]
        with pytest.raises(expected):
            await client.playbyplay(line)
        assert (await client.playbyplay(line)).value.status is Status.LIVE
    assert caught.value.retry_after_s == (2.0 if kind == "throttled" else None)


async def test_a_fault_holds_for_its_time_only() -> None:
    shown, time = night("blocked@10m+5m", games=1)
    async with feed(shown) as client:
        await client.scoreboard()
        time.seconds = 700.0
        with pytest.raises(FeedBlocked):
            await client.scoreboard()
        time.seconds = 901.0
        assert (await client.scoreboard()).value


async def test_a_stale_older_file_is_recognised() -> None:
    shown, time = night(games=1)
    time.seconds = 1800.0
    async with feed(shown) as client:
        line = (await client.scoreboard()).value[0]
        newest = (await client.playbyplay(line)).value
        async with httpx.AsyncClient(base_url=ROOT, transport=transport(shown)) as session:
            assert (await session.post("/replay/misbehave", content="stale*1:playbyplay")).status_code == 200
        older = await client.playbyplay(line)
        assert older.changed
        assert older.value.event_at is not None
        assert newest.event_at is not None
        assert (newest.event_at - older.value.event_at).total_seconds() >= STALE_S / 2
        assert supersedes(newest, older.value) is Verdict.STALE
        assert (await client.playbyplay(line)).value == newest


@pytest.mark.parametrize("rules", ["late=0.1", "duplicate=0.1", "edited=0.2", "take_back=0.1"])
async def test_misbehaving_plays_end_at_the_same_halftime_score(rules: str) -> None:
    final = [(await poll(*night(each, games=1), until_s=4800.0, step_s=20.0))[-1] for each in ("", rules)]
    assert final[0].score == final[1].score
    assert pattern(final[0]) == pattern(final[1])


async def test_a_score_taken_back_is_seen_as_a_correction_or_with_newer_plays() -> None:
    shown, time = night("take_back=0.2", games=1)
    snapshots = await poll(shown, time, 4200.0)
    totals = [sum(snapshot.score) for snapshot in snapshots]
    assert any(after < before for before, after in pairwise(totals))
    verdicts = {supersedes(before, after) for before, after in pairwise(snapshots)}
    assert Verdict.CORRECTION in verdicts


async def test_a_postponed_game_is_on_the_scoreboard_and_has_no_file() -> None:
    shown, time = night("postponed", games=1)
    time.seconds = 3600.0
    async with feed(shown) as client:
        line = (await client.scoreboard()).value[0]
        assert line.postponed
        with pytest.raises(FeedGone):
            await client.playbyplay(line)


async def test_an_overtime_game_becomes_final_after_its_overtime() -> None:
    shown, time = night("overtime", games=1)
    time.seconds = 30_000.0
    async with feed(shown) as client:
        line = (await client.scoreboard()).value[0]
        snapshot = (await client.playbyplay(line)).value
    assert line.status_text.startswith("Final/OT")
    assert (snapshot.status, snapshot.period >= 5) == (Status.FINAL, True)


async def test_a_game_that_has_not_begun_or_is_not_tonights_is_gone() -> None:
    shown, _ = night(games=1)
    async with feed(shown) as client:
        line = (await client.scoreboard()).value[0]
        with pytest.raises(FeedGone):
            await client.playbyplay(line)
    async with httpx.AsyncClient(base_url=ROOT, transport=transport(shown)) as session:
        for name in ("playbyplay_0022200001.json", "playbyplay_x.json", "other.json", "%00", "playbyplay_٠٠٢.json"):
            assert (await session.get(f"{LIVE_DATA}/playbyplay/{name}")).status_code == 404


async def test_state_start_and_rules_over_http() -> None:
    shown, _ = night()
    held = Night(shown.slate, 60.0)
    async with httpx.AsyncClient(base_url=ROOT, transport=transport(held)) as session:
        state = (await session.get("/replay/state")).json()
        assert set(state) == set(ReplayState.__struct_fields__)
        assert (state["started"], state["source"], state["speed"]) == (False, "simulated", 60.0)
        assert state["feed_now"].endswith("Z")
        assert (await session.post("/replay/start")).json()["started"] is True
        bad = await session.post("/replay/misbehave", content="nonsense")
        assert (bad.status_code, "kinds are" in bad.text) == (400, True)
        assert (await session.post("/replay/misbehave", content=b"\xff")).status_code == 400
        assert (await session.post("/replay/misbehave", content="blocked")).json()[0]["kind"] == "blocked"
        assert (await session.get(f"{LIVE_DATA}/scoreboard/todaysScoreboard_00.json")).status_code == 403
        await session.post("/replay/misbehave")
        assert (await session.get(f"{LIVE_DATA}/scoreboard/todaysScoreboard_00.json")).status_code == 200
