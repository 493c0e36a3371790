"""The board as a process: its listening socket, uvicorn with the limits a public WebSocket needs, and a prompt end."""

from __future__ import annotations

import socket

import uvicorn
from starlette.applications import Starlette

from services.board_socket import MAX_FRAME_BYTES
from services.hub import Hub

GRACE_S = 3
UNACKED_MS = 30_000
PING_S = 20.0


class BoardServer(uvicorn.Server):
    """uvicorn that ends every WebSocket with 1012 before it waits for connections to finish."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets the handlers go first: one that still waits on its queue would hold the process for ever."""
        self._hub.close()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A peer that takes nothing for this long is cut by the kernel; accepted sockets inherit it. Linux only.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKED_MS)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def make_server(app: Starlette, hub: Hub) -> BoardServer:
    """A server for ``app``; serve with ``run(sockets=[listen(...)])``. Logging is left as it is configured."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws_max_size=MAX_FRAME_BYTES,
        ws_max_queue=4,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        # Compressing each message for each client costs more than it saves for messages this small.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=None,
    )
    return BoardServer(config, hub)
