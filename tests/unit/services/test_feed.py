import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.game import Status
from services.feed import FeedClient, live_headers
from services.feed_errors import (
    FeedBlocked,
    FeedError,
    FeedGone,
    FeedMalformed,
    FeedServerError,
    FeedThrottled,
    FeedTimeout,
    FeedTooLarge,
    FeedTruncated,
    FeedUnexpected,
    FeedUnreachable,
)
from tests.support.feed_json import GAME_ID, action, board_file, board_game, board_line, plays_file

BASE = "https://feed.test/static/json/liveData"
BOARD = board_file(board_line())
PLAYS = plays_file(action(1, 1, "11:00", 2, 0))
JSON = {"Content-Type": "application/json"}


def client(answer: Callable[[httpx.Request], httpx.Response], **options: float) -> FeedClient:
    return FeedClient(BASE, transport=httpx.MockTransport(answer), **options)  # type: ignore[arg-type]


async def failure(answer: Callable[[httpx.Request], httpx.Response], **options: float) -> FeedError:
    async with client(answer, **options) as feed:
        with pytest.raises(FeedError) as caught:
            await feed.scoreboard()
    return caught.value


async def test_endpoints_and_headers_are_those_of_the_live_feed() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, headers=JSON, content=BOARD if "scoreboard" in request.url.path else PLAYS)

    async with client(answer) as feed:
        (game,) = (await feed.scoreboard()).value
        assert (await feed.playbyplay(game)).value.score == (2, 0)
    assert [request.url.path for request in asked] == [
        "/static/json/liveData/scoreboard/todaysScoreboard_00.json",
        f"/static/json/liveData/playbyplay/playbyplay_{GAME_ID}.json",
    ]
    for request in asked:
        assert request.headers["Referer"] == "https://www.nba.com/"
        assert request.headers["User-Agent"].startswith("Mozilla/5.0")
        assert request.headers["Host"] == "feed.test"
        assert "br" not in request.headers["Accept-Encoding"].split(", ")


def test_the_session_keeps_host_and_encodings_to_itself() -> None:
    assert not {"host", "accept-encoding", "connection"} & {name.lower() for name in live_headers()}


@pytest.mark.parametrize(
    ("status", "kind", "body", "expected"),
    [
        (403, "text/html", b"<html>Access Denied</html>", FeedBlocked),
        (403, "application/xml", b"<Error/>", FeedBlocked),
        (200, "text/html; charset=utf-8", b"<html>Not here</html>", FeedBlocked),
        (200, "application/json", b" <!DOCTYPE html>", FeedBlocked),
        (429, "text/plain", b"", FeedThrottled),
        (500, "text/plain", b"", FeedServerError),
        (503, "text/html", b"<html>busy</html>", FeedServerError),
        (404, "text/html", b"<html>gone</html>", FeedGone),
        (301, "text/html", b"", FeedUnexpected),
        (418, "application/json", b"{}", FeedUnexpected),
        (204, "", b"", FeedUnexpected),
        (304, "", b"", FeedUnexpected),
        (200, "application/json", b"", FeedTruncated),
        (200, "application/json", BOARD[: len(BOARD) // 2], FeedTruncated),
        (200, "application/json", b"{}", FeedMalformed),
        (200, "application/json", b'{"scoreboard":{"games":[{}]}}', FeedMalformed),
    ],
)
async def test_status_and_content_type_name_the_state(
    status: int, kind: str, body: bytes, expected: type[FeedError]
) -> None:
    headers = {"Content-Type": kind, "Location": "https://elsewhere.test/"}
    error = await failure(lambda _: httpx.Response(status, headers=headers, content=body))
    assert type(error) is expected
    assert BASE in str(error)


async def test_an_octet_stream_of_json_is_read() -> None:
    headers = {"Content-Type": "binary/octet-stream"}
    async with client(lambda _: httpx.Response(200, headers=headers, content=BOARD)) as feed:
        assert len((await feed.scoreboard()).value) == 1


async def test_a_redirect_is_not_followed() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"Location": "https://elsewhere.test/"})

    assert type(await failure(answer)) is FeedUnexpected
    assert asked == ["feed.test"]


@pytest.mark.parametrize(
    ("header", "expected"), [("7", 7.0), ("0", 0.0), ("soon", None), ("", None), ("-5", None), ("9" * 40, 999999999.0)]
)
async def test_retry_after_in_seconds_is_kept(header: str, expected: float | None) -> None:
    error = await failure(lambda _: httpx.Response(429, headers={"Retry-After": header}))
    assert error.retry_after_s == expected


async def test_retry_after_as_a_date_is_seconds_from_now() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    error = await failure(lambda _: httpx.Response(503, headers={"Retry-After": at}))
    assert error.retry_after_s == pytest.approx(90, abs=5)


async def test_a_connection_that_cannot_be_made_is_unreachable() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    assert type(await failure(answer)) is FeedUnreachable


async def test_an_httpx_timeout_is_a_timeout() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow", request=request)

    assert type(await failure(answer)) is FeedTimeout


class Body(httpx.AsyncByteStream):
    def __init__(self, *parts: bytes, then: Exception | None = None, pause_s: float = 0.0) -> None:
        self.parts, self.then, self.pause_s = parts, then, pause_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            await asyncio.sleep(self.pause_s)
            yield part
        if self.then is not None:
            raise self.then


def streamed(body: Body) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(200, headers=JSON, stream=body)


async def test_a_body_that_drips_is_cut_off_by_the_deadline() -> None:
    drip = Body(*[b" "] * 1000, pause_s=0.02)
    assert type(await failure(streamed(drip), timeout_s=0.1)) is FeedTimeout


async def test_a_body_that_breaks_off_is_truncated() -> None:
    broken = Body(BOARD[:50], then=httpx.RemoteProtocolError("peer closed connection"))
    assert type(await failure(streamed(broken))) is FeedTruncated


async def test_a_damaged_encoding_is_truncated() -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    error = await failure(lambda _: httpx.Response(200, headers=headers, stream=Body(b"no gzip at all")))
    assert type(error) is FeedTruncated


async def test_a_body_above_the_limit_is_refused_while_it_comes() -> None:
    endless = Body(*[b"x" * 100] * 1000, then=AssertionError("read to the end"))
    assert type(await failure(streamed(endless), max_body_bytes=1000)) is FeedTooLarge


class Cdn:
    """A server with one file, an ETag, and a memory of what it was asked."""

    def __init__(self, body: bytes, *, etags: bool = True) -> None:
        self.body, self.etags = body, etags
        self.statuses: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        etag = f'"{hash(self.body)}"'
        validators = {"ETag": etag, "Last-Modified": "Tue, 18 Oct 2022 23:50:00 GMT"} if self.etags else {}
        if self.etags and request.headers.get("If-None-Match") == etag:
            self.statuses.append(304)
            return httpx.Response(304, headers=validators)
        self.statuses.append(200)
        return httpx.Response(200, headers={**JSON, **validators}, content=self.body)


@pytest.mark.parametrize("etags", [True, False])
async def test_an_unchanged_scoreboard_is_the_same_value_and_says_so(etags: bool) -> None:
    cdn = Cdn(BOARD, etags=etags)
    async with client(cdn) as feed:
        first, second = await feed.scoreboard(), await feed.scoreboard()
        cdn.body = board_file(board_line(gameStatusText="Q2 7:01"))
        third = await feed.scoreboard()
    assert [first.changed, second.changed, third.changed] == [True, False, True]
    assert second.value is first.value
    assert cdn.statuses == ([200, 304, 200] if etags else [200, 200, 200])


@pytest.mark.parametrize("etags", [True, False])
async def test_an_unchanged_play_by_play_is_the_same_snapshot_and_says_so(etags: bool) -> None:
    cdn = Cdn(PLAYS, etags=etags)
    async with client(cdn) as feed:
        first, second = await feed.playbyplay(board_game()), await feed.playbyplay(board_game())
        cdn.body = plays_file(action(1, 1, "11:00", 2, 0), action(2, 1, "10:50", 4, 0))
        third = await feed.playbyplay(board_game())
    assert [first.changed, second.changed, third.changed] == [True, False, True]
    assert second.value is first.value
    assert third.value.score == (4, 0)


async def test_an_unchanged_file_is_read_again_with_a_new_scoreboard_line() -> None:
    cdn = Cdn(plays_file(action(1, 4, "0:00", 100, 99, actionType="period", subType="end")))
    async with client(cdn) as feed:
        live = await feed.playbyplay(board_game())
        final = await feed.playbyplay(board_game(status=Status.FINAL, home_score=100, away_score=99))
    assert cdn.statuses == [200, 304]
    assert (live.value.status, final.value.status) == (Status.LIVE, Status.FINAL)
    assert final.changed


async def test_a_bad_file_is_not_remembered() -> None:
    cdn = Cdn(BOARD[:-5])
    async with client(cdn) as feed:
        for _ in range(2):
            with pytest.raises(FeedTruncated):
                await feed.scoreboard()
        assert cdn.statuses == [200, 200]
        cdn.body = BOARD
        assert (await feed.scoreboard()).changed


async def test_bad_lines_are_reported_beside_the_good_ones() -> None:
    body = board_file(board_line(), board_line(gameId="0022200002", gameStatus=7))
    async with client(lambda _: httpx.Response(200, headers=JSON, content=body)) as feed:
        fetched = await feed.scoreboard()
    assert [game.game_id for game in fetched.value] == [GAME_ID]
    assert [error.game_id for error in fetched.rejected] == ["0022200002"]


def test_a_base_url_without_a_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="http"):
        FeedClient("cdn.nba.com/static")


@given(st.integers(200, 599), st.sampled_from(["", "text/html", "application/json"]), st.binary(max_size=60))
async def test_any_answer_gives_a_value_or_a_feed_error(status: int, kind: str, body: bytes) -> None:
    headers = {"Content-Type": kind, "Retry-After": body[:5].hex()}
    async with client(lambda _: httpx.Response(status, headers=headers, content=body)) as feed:
        try:
            await feed.scoreboard()
        except FeedError as error:
            assert error.state != FeedError.state  # noqa: PT017
