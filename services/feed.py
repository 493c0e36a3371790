"""The client of the live feed: nba_api's endpoints and headers over one HTTP session.

The base URL is the only difference between the real feed and a replay. An answer is judged by its status and content
type; whatever is wrong with it is a FeedError by name (see ``feed_errors``). Requests are conditional, so an unchanged
file costs a 304 and no parsing. Redirects are never followed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

import httpx
from nba_api.live.nba.endpoints.playbyplay import PlayByPlay
from nba_api.live.nba.endpoints.scoreboard import ScoreBoard
from nba_api.live.nba.library.http import NBALiveHTTP

from models.game import Snapshot
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
from services.wire import ScoreboardGame, WireError, WireSyntaxError, parse_playbyplay, parse_scoreboard_lines

T = TypeVar("T")
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
_REMEMBERED: Final = 64
# The session decides these itself: the host follows the base URL, encodings are those httpx can read.
_NOT_OURS = frozenset({"host", "connection", "accept-encoding"})


def live_headers() -> dict[str, str]:
    """The headers of nba_api's live session; the feed answers 403 without the Referer."""
    headers = {"Referer": "https://www.nba.com/", **NBALiveHTTP.headers}
    return {name: value for name, value in headers.items() if name.lower() not in _NOT_OURS}


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """One answer. ``changed`` is False when the feed showed the same as last time; ``received_at`` is aware UTC."""

    value: T
    changed: bool
    received_at: datetime
    rejected: tuple[WireError, ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    """The last good copy of a file and the validators to ask for a newer one with."""

    body: bytes
    etag: str | None
    last_modified: str | None

    @property
    def conditions(self) -> dict[str, str]:
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value}


class FeedClient:
    """Use as an async context manager. ``timeout_s`` bounds a whole request in wall seconds."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 5.0,
        max_body_bytes: int = MAX_BODY_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"feed base URL {base_url!r} must start with http:// or https://")
        self._base_url = base_url.rstrip("/")
        self._timeout_s, self._max_body_bytes = timeout_s, max_body_bytes
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._snapshots: OrderedDict[str, tuple[ScoreboardGame, Snapshot]] = OrderedDict()
        self._scoreboard: tuple[tuple[ScoreboardGame, ...], tuple[WireError, ...]] | None = None
        self._session = httpx.AsyncClient(
            headers=live_headers(), timeout=timeout_s, follow_redirects=False, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the session."""
        await self._session.aclose()

    async def scoreboard(self) -> Fetched[tuple[ScoreboardGame, ...]]:
        """The day's games; lines that cannot be read are in ``rejected``. Raises FeedError."""
        url = f"{self._base_url}/{ScoreBoard.endpoint_url}"
        file, fresh, received_at = await self._get(url)
        before = self._scoreboard
        if fresh or before is None:
            try:
                games, rejected = parse_scoreboard_lines(file.body)
                if rejected and not games:
                    raise rejected[0]
            except WireError as error:
                raise _unreadable(url, error) from error
            self._scoreboard = (tuple(games), tuple(rejected))
        _keep(self._files, url, file)
        now = self._scoreboard or ((), ())
        return Fetched(now[0], now != before, received_at, now[1])

    async def playbyplay(self, game: ScoreboardGame) -> Fetched[Snapshot]:
        """The game's snapshot. Raises FeedError; FeedGone for a game without plays yet."""
        url = f"{self._base_url}/{PlayByPlay.endpoint_url.format(game_id=game.game_id)}"
        file, fresh, received_at = await self._get(url)
        known = self._snapshots.get(game.game_id)
        if not fresh and known is not None and known[0] == game:
            return Fetched(known[1], False, received_at)
        try:
            snapshot = parse_playbyplay(file.body, game)
        except WireError as error:
            raise _unreadable(url, error) from error
        _keep(self._files, url, file)
        _keep(self._snapshots, game.game_id, (game, snapshot))
        return Fetched(snapshot, known is None or known[1] != snapshot, received_at)

    async def _get(self, url: str) -> tuple[_File, bool, datetime]:
        """The file, whether it is new, and when it came. Raises FeedError."""
        known = self._files.get(url)
        response: httpx.Response | None = None
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.stream("GET", url, headers=known.conditions if known else None) as response,
            ):
                body = b"" if response.status_code == 304 else await self._read(url, response)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise FeedTimeout(url, f"no whole answer within {self._timeout_s:g} s") from error
        except httpx.DecodingError as error:
            raise FeedTruncated(url, f"the body's encoding is damaged ({error})") from error
        except httpx.TransportError as error:
            if response is not None:
                raise FeedTruncated(url, f"the body broke off ({error})") from error
            raise FeedUnreachable(url, f"no answer ({type(error).__name__}: {error})") from error
        received_at = datetime.now(UTC)
        if response.status_code == 304:
            if known is None:
                raise FeedUnexpected(url, "304 to a request without conditions")
            return known, False, received_at
        _judge(url, response, body, received_at)
        file = _File(body, response.headers.get("ETag"), response.headers.get("Last-Modified"))
        return file, known is None or known.body != body, received_at

    async def _read(self, url: str, response: httpx.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > self._max_body_bytes:
                raise FeedTooLarge(url, f"the body is above {self._max_body_bytes} bytes")
            parts.append(part)
        return b"".join(parts)


def _keep(store: OrderedDict[str, T], key: str, value: T) -> None:
    """The newest few dozen: a night has at most 15 games, a poller runs for months."""
    store[key] = value
    store.move_to_end(key)
    if len(store) > _REMEMBERED:
        store.popitem(last=False)


def _judge(url: str, response: httpx.Response, body: bytes, now: datetime) -> None:
    status = response.status_code
    retry_after_s = _retry_after_s(response.headers.get("Retry-After"), now)
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if status == 429:
        raise FeedThrottled(url, "429, too many requests", retry_after_s)
    if status == 404:
        raise FeedGone(url, "404, no such file")
    if status >= 500:
        raise FeedServerError(url, f"{status} from the server", retry_after_s)
    if status == 403 or (not 300 <= status < 400 and ("html" in kind or body.lstrip()[:1] == b"<")):
        raise FeedBlocked(url, f"{status} with {kind or 'no content type'} where JSON was asked for", retry_after_s)
    if status != 200:
        raise FeedUnexpected(url, f"status {status}", retry_after_s)


def _retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds from either form of Retry-After; None when there is none or it makes no sense."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return float(header[:9])
    try:
        at = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())


def _unreadable(url: str, error: WireError) -> FeedError:
    if isinstance(error, WireSyntaxError):
        return FeedTruncated(url, str(error))
    return FeedMalformed(url, error)
