"""The WebSocket ``/ws``: the present state or what was missed, then every event, until one side ends it.

A client resumes with ``/ws?last_id=<id>``, or with ``{"resume": "<id>"}`` as its first message after connecting to
``/ws?resume=first``. Nothing else is expected from a client; anything else it sends closes the connection with 1008.
"""

from __future__ import annotations

import asyncio
import contextlib
import json

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.board_security import origin_allowed
from services.hub import TRY_AGAIN_LATER, Client, ClientClosedError, Hub, HubFullError

POLICY = 1008
FIRST_WORD_S = 5.0
CLOSE_S = 1.0
READY_S = 15.0
MAX_FRAME_BYTES = 1024


class BoardSocket:
    """ASGI endpoint over a hub; one sender and one listener a client, both ended together."""

    def __init__(self, hub: Hub, ready: asyncio.Event, allowed_origins: tuple[str, ...] = ()) -> None:
        self._hub = hub
        self._ready = ready
        self._allowed = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one client. A foreign Origin is refused with 403 before anything is accepted."""
        socket = WebSocket(scope, receive, send)
        if not origin_allowed(socket.headers, self._allowed):
            await socket.close(POLICY)
            return
        await socket.accept()
        try:
            last_id = await self._last_id(socket)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), READY_S)
            client = self._hub.join(last_id)
        except WebSocketDisconnect:
            return
        except ClientClosedError as closed:
            await _close(socket, closed.code, closed.reason)
            return
        except HubFullError as full:
            await _close(socket, TRY_AGAIN_LATER, str(full))
            return
        try:
            await self._serve(socket, client)
        finally:
            self._hub.leave(client)

    async def _last_id(self, socket: WebSocket) -> str | None:
        """The id to resume after. Raises ClientClosedError when the first message was to name it and does not."""
        if socket.query_params.get("resume") != "first":
            return socket.query_params.get("last_id")
        try:
            text = await asyncio.wait_for(socket.receive_text(), FIRST_WORD_S)
            return str(json.loads(text)["resume"])
        except (TimeoutError, KeyError, TypeError, ValueError) as error:
            raise ClientClosedError(POLICY, 'the first message must be {"resume": "<last id>"}') from error

    async def _serve(self, socket: WebSocket, client: Client) -> None:
        # A sender alone would wait on its queue for ever after the client left, and a slow client can block it inside
        # send: so three tasks, and the first to end takes the others with it.
        sender = asyncio.create_task(_send_all(socket, client))
        listener = asyncio.create_task(_listen(socket))
        dropped = asyncio.create_task(client.ended.wait())
        tasks = (sender, listener, dropped)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, ClientClosedError):
                await _close(socket, outcome.code, outcome.reason)
                return
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                raise outcome
        if client.closed is not None:
            await _close(socket, client.closed.code, client.closed.reason)


async def _send_all(socket: WebSocket, client: Client) -> None:
    while True:
        await socket.send_text(await client.next())


async def _listen(socket: WebSocket) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        raise ClientClosedError(POLICY, "this socket only speaks; it takes no messages")


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    # A peer that does not read cannot take the close frame either; the server drops the line when this returns.
    with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        await asyncio.wait_for(socket.close(code, reason[:120]), CLOSE_S)
