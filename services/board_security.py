"""What every answer of the board carries, and who may open its WebSocket."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# While it loads, plotly.js writes two inline styles, and nothing the page draws needs either: an empty one, and one for
# its maps. They are allowed by digest, so that no other is; refusing them would only fill the console. A third, with
# the rules its charts do need, goes into the page's own style sheet (see index.html).
PLOTLY_STYLES = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "'sha256-gG0b4ixT/IQUp7JJLbyKcpYcYDjq2Wp8NGv3f+aasqo='",
)
# The page is files of this server alone: no inline script, no frame around it, nothing from elsewhere.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        " ".join(("style-src 'self'", *PLOTLY_STYLES)),
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class SecurityHeaders:
    """ASGI middleware: puts HEADERS on every HTTP answer that does not bring its own; ``policy`` of its contents is
    the board's unless given."""

    def __init__(self, app: ASGIApp, policy: str = CONTENT_SECURITY_POLICY) -> None:
        self.app = app
        self._headers = HEADERS | {"content-security-policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the call on; only the start of an HTTP answer is touched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def origin_allowed(headers: Headers, allowed: Collection[str]) -> bool:
    """Whether a WebSocket may be opened: no Origin (not a browser), this same host, or one of ``allowed``.

    Browsers do not keep a foreign page from opening a WebSocket here; only this check does.
    """
    origins = headers.getlist("origin")
    if not origins:
        return True
    if len(origins) > 1:
        return False
    origin = origins[0].rstrip("/")
    if origin in {one.rstrip("/") for one in allowed}:
        return True
    parts = urlsplit(origin)
    return parts.scheme in {"http", "https"} and parts.netloc != "" and parts.netloc == headers.get("host")
