"""A board that really listens, in a thread of the test's process, over a stream and a store in memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.board import create_app
from services.board_live import Live
from services.board_server import BoardServer, listen, make_server
from tests.support.board_night import MemoryStore, MemoryStream

OF_APP = ("allowed_origins", "allowed_hosts", "evidently_url")


@dataclass
class RunningBoard:
    """``url`` without a trailing slash; ``add`` publishes an event from any thread."""

    url: str
    live: Live
    stream: MemoryStream
    store: MemoryStore
    server: BoardServer
    thread: threading.Thread
    loop: asyncio.AbstractEventLoop

    def add(self, kind: str, game_id: str, data: dict[str, Any], at: datetime | None = None) -> None:
        """Appends to the stream on the server's own loop."""
        self.loop.call_soon_threadsafe(self.stream.add, kind, game_id, data, at)

    def call(self, function: Any) -> None:
        """Runs ``function`` on the server's loop and waits for it."""

        async def inside() -> None:
            function()

        asyncio.run_coroutine_threadsafe(inside(), self.loop).result(10)


@contextmanager
def running_board(**options: Any) -> Iterator[RunningBoard]:
    """Starts a board on a free port; ``options`` go to Live, those of ``create_app`` and ``port`` apart."""
    of_app = {name: options.pop(name) for name in OF_APP if name in options}
    listener = listen("127.0.0.1", options.pop("port", 0))
    stream, store = options.pop("stream", None) or MemoryStream(), options.pop("store", None) or MemoryStore()
    live = Live(stream, store, **options)
    server = make_server(create_app(live, **of_app), live.hub)
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="board", daemon=True)
    thread.start()
    pause = threading.Event()
    for _ in range(1000):
        if server.started and live.ready.is_set():
            break
        pause.wait(0.01)
    else:
        raise RuntimeError("the board did not start")
    port = listener.getsockname()[1]
    try:
        yield RunningBoard(f"http://127.0.0.1:{port}", live, stream, store, server, thread, loops[0])
    finally:
        server.should_exit = True
        thread.join(15)
        listener.close()
    assert not thread.is_alive(), "the board did not stop"
