from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from infra.ports import free_port
from infra.readiness import http_json, http_ok, redis_ok, tcp_ok, worker_online


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers by path."""

    workers = '[{"name": "local", "status": "ONLINE"}, {"name": "old", "status": "OFFLINE"}]'

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ok?deep=1" else 503)
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if "filter" in self.path else 404)
        self.end_headers()
        self.wfile.write(self.workers.encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


def test_an_http_check_wants_2xx(server: str) -> None:
    assert http_ok(f"{server}/ok?deep=1")() is None
    assert "answers 503" in (http_ok(f"{server}/other")() or "")


def test_nobody_there_is_said_in_words() -> None:
    port = free_port()
    assert "no answer" in (http_ok(f"http://127.0.0.1:{port}/livez")() or "")
    assert "nothing listens" in (tcp_ok("127.0.0.1", port)() or "")
    assert "Redis does not answer" in (redis_ok(f"redis://127.0.0.1:{port}/0")() or "")


def test_a_listening_port_passes_the_tcp_check(server: str) -> None:
    assert tcp_ok("127.0.0.1", int(server.rsplit(":", 1)[1]))() is None


def test_a_server_that_is_not_redis_fails_the_redis_check(server: str) -> None:
    assert redis_ok(server.replace("http", "redis"), timeout_s=1.0)() is not None


def test_only_the_named_worker_counts(server: str) -> None:
    assert worker_online(server, "halftime", "local")() is None
    assert "OFFLINE" in (worker_online(server, "halftime", "old")() or "")
    assert "not known yet" in (worker_online(server, "halftime", "new")() or "")


def test_json_of_an_error_answer_is_an_error(server: str) -> None:
    assert json.dumps(http_json(f"{server}/ok?deep=1".replace("?deep=1", "/filter"), {})) is not None
    with pytest.raises(ValueError, match="404"):
        http_json(f"{server}/nothing", {})
