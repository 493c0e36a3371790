"""The first game of a night waits until every worker serves the champion, and not for ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from flows.serving import IN_A_ROW_PER_WORKER, await_champion
from services.settings import Settings
from tests.support.servers import free_port

OLD, NEW = "a" * 64, "b" * 64


@contextmanager
def forecaster(answers: list[str | None]) -> Iterator[tuple[Settings, list[str | None]]]:
    """Says who serves, one answer after the other (None: not ready), the last one for ever; what was said."""
    said: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            digest = answers[min(len(said), len(answers) - 1)]
            said.append(digest)
            self.send_response(200 if digest else 503)
            self.end_headers()
            self.wfile.write(json.dumps({"digest": digest} if digest else {"error": "not yet"}).encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Settings(_env_file=None, forecaster_port=server.server_port, forecaster_workers=2), said
    finally:
        server.shutdown()
        server.server_close()


def test_it_is_waited_for_until_all_answers_in_a_row_come_from_the_champion() -> None:
    mixed = [None, OLD, NEW, NEW, OLD, NEW, OLD, NEW]
    with forecaster(mixed) as (settings, said):
        assert await_champion(settings, NEW, pause_s=0.0)
    assert said[: len(mixed)] == mixed
    assert said[len(mixed) - 1 :] == [NEW] * 2 * IN_A_ROW_PER_WORKER


def test_a_forecaster_that_never_does_or_is_not_there_is_given_up() -> None:
    with forecaster([OLD]) as (settings, _):
        assert not await_champion(settings, NEW, timeout_s=0.3, pause_s=0.01)
    away = Settings(_env_file=None, forecaster_port=free_port())
    assert not await_champion(away, NEW, timeout_s=0.3, pause_s=0.01)


def test_a_named_bundle_is_not_waited_for(tmp_path: Path) -> None:
    assert await_champion(Settings(_env_file=None, bundle=tmp_path, forecaster_port=1), NEW)
