"""A WebSocket client that listens like any other and notes when each official forecast reached it."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from datetime import UTC, datetime
from types import TracebackType

import httpx
import structlog
from httpx_ws import HTTPXWSException, WebSocketSession, connect_ws

from models.clock import OFFICIAL_MINUTE

log = structlog.get_logger("probe")


class ClientProbe:
    """Context manager. Reconnects when the board goes away; what it missed meanwhile counts as not measured."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._received: dict[tuple[str, int], datetime] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="client-probe", daemon=True)

    def __enter__(self) -> ClientProbe:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=3.0)

    def received(self) -> dict[tuple[str, int], datetime]:
        """(game_id, revision) -> wall time of arrival, aware UTC."""
        return dict(self._received)

    def _listen(self) -> None:
        socket: WebSocketSession
        while not self._stop.is_set():
            try:
                with connect_ws(self._url) as socket:
                    while not self._stop.is_set():
                        with contextlib.suppress(queue.Empty):
                            self._note(socket.receive_text(timeout=0.5))
            except (HTTPXWSException, httpx.HTTPError, OSError) as error:
                log.info("board not reached", error=str(error) or type(error).__name__)
                self._stop.wait(0.5)

    def _note(self, text: str) -> None:
        at = datetime.now(UTC)
        message = json.loads(text)
        if message.get("type") == "forecast" and message["data"]["minute"] == OFFICIAL_MINUTE:
            self._received.setdefault((message["game_id"], int(message["data"]["revision"])), at)
