"""Under which names a server may be asked: a foreign page that points its own name at this machine (DNS rebinding) is
told apart by the Host header alone.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9a-z._-]{1,253}))(?::[0-9]{1,5})?")
MISDIRECTED = 421
POLICY = 1008


def host_known(headers: Headers, allowed: Collection[str]) -> bool:
    """Whether the request names this server: localhost, an address in digits, or one of ``allowed``, at any port.

    A name is what rebinding needs, so digits are no danger; a request without a Host is not a browser's.
    """
    hosts = headers.getlist("host")
    if len(hosts) != 1:
        return not hosts
    name = _name(hosts[0])
    return name == "localhost" or _is_address(name) or name in {_name(one) for one in allowed} - {""}


def is_loopback(host: str | None) -> bool:
    """Whether an address, or localhost, is this machine's own; None and any other name are not."""
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def strange_host(headers: Headers) -> str:
    """The sentence for a host that is not known; it repeats what has the form of a host and nothing else."""
    named = _name(headers.get("host", "")) or "that"
    return f"This server is not known as {named[:80]}: use its address, or add the name to HALFTIME_ALLOWED_HOSTS."


class KnownHosts:
    """ASGI middleware: what asks under another name gets 421, a WebSocket is not opened."""

    def __init__(self, app: ASGIApp, allowed: Collection[str] = ()) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the call on unless its host is strange."""
        if scope["type"] not in ("http", "websocket") or host_known(Headers(scope=scope), self._allowed):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await JSONResponse({"error": strange_host(Headers(scope=scope))}, MISDIRECTED)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": POLICY, "reason": "this server is not known by that name"})


def _name(host: str) -> str:
    """A host without its port, in the one form names are compared in; empty when it has not the form of a host."""
    found = HOST.fullmatch(host.lower())
    return (found[1] or found[2]).rstrip(".") if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
