"""What can be wrong with an answer of the feed, by name.

    FeedError
    ├── FeedBlocked      403, or an HTML page where JSON was asked for
    ├── FeedThrottled    429
    ├── FeedServerError  5xx
    ├── FeedTimeout      no whole answer in time
    ├── FeedUnreachable  no connection, or one that broke
    ├── FeedGone         404
    ├── FeedTruncated    a body that is no whole JSON document
    ├── FeedMalformed    JSON, but not the feed's
    ├── FeedTooLarge     a body above the size limit
    └── FeedUnexpected   any other status, redirects among them

Each is a state to wait out and to show, never a reason to end the loop; ``state`` is its short name in metrics.
"""

from __future__ import annotations

from typing import ClassVar

from services.wire import WireError


class FeedError(Exception):
    """The feed gave no usable answer from ``url``; ``retry_after_s`` is what the server asked to wait, if it did."""

    state: ClassVar[str] = "error"

    def __init__(self, url: str, what: str, retry_after_s: float | None = None) -> None:
        self.url, self.retry_after_s = url, retry_after_s
        super().__init__(f"{url}: {what}")


class FeedBlocked(FeedError):
    """The server refuses: 403 or an HTML page. Check the Referer header and that this address may read the feed."""

    state = "blocked"


class FeedThrottled(FeedError):
    """429: too many requests."""

    state = "throttled"


class FeedServerError(FeedError):
    """5xx: the server's own trouble."""

    state = "server_error"


class FeedTimeout(FeedError):
    """No whole answer within the deadline."""

    state = "timeout"


class FeedUnreachable(FeedError):
    """No connection could be made, or it broke."""

    state = "unreachable"


class FeedGone(FeedError):
    """404: the feed has no such file, as for a game that has not started."""

    state = "gone"


class FeedTruncated(FeedError):
    """A body that stops before the JSON document does, or holds none."""

    state = "truncated"


class FeedMalformed(FeedError):
    """A JSON document that is not the feed's; ``error`` names the game, the field and the value."""

    state = "malformed"

    def __init__(self, url: str, error: WireError) -> None:
        super().__init__(url, str(error))
        self.error = error


class FeedTooLarge(FeedError):
    """A body above the size limit."""

    state = "too_large"


class FeedUnexpected(FeedError):
    """A status that the feed never sends: redirects are not followed."""

    state = "unexpected"


# States of the whole feed, to be waited out; any other is one file's trouble and the next poll asks again.
HOST_STATES = (FeedBlocked, FeedThrottled, FeedServerError, FeedTimeout, FeedUnreachable)
