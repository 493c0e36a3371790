"""A real nginx (Debian's package) in front of several forecasters and boards, as an ingress stands before them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.servers import die_with_parent, end, free_port
from tests.support.waiting import until

CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    log_format tries "$msec|$request_method|$uri|$status|$upstream_addr|$upstream_status";
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream forecasters {{
        {forecasters}
        keepalive 16;
    }}
    upstream boards {{
        {boards}
    }}
    server {{
        listen 127.0.0.1:{port};
        location = /ws {{
            proxy_pass http://boards;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header Host $http_host;
            proxy_read_timeout 60s;
            # Which board a listener is on; nobody but the drill asks.
            add_header X-Upstream $upstream_addr always;
        }}
        location / {{
            access_log {folder}/tries.log tries;
            proxy_pass http://forecasters;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_connect_timeout 1s;
            # The same request with the same request_id is the same forecast: asking another replica is safe.
            proxy_next_upstream error timeout http_502 http_503 non_idempotent;
            proxy_next_upstream_tries 3;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Passed:
    """A request that nginx passed on: when its answer had gone out (wall seconds), what the caller got, and each
    replica that was asked for it, by port, with its status (502: nginx got no answer from it)."""

    at: float
    method: str
    path: str
    status: int
    tries: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Balancer:
    """A running nginx at ``url``."""

    url: str
    folder: Path

    def passed(self) -> list[Passed]:
        """What was asked of the forecasters so far, in the order of the answers."""
        return [_passed(line) for line in (self.folder / "tries.log").read_text().splitlines()]


def nginx_program() -> str:
    """Its path, or a skip that says so."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("skipped: no nginx")
    return program


@contextmanager
def running_nginx(program: str, folder: Path, forecasters: Sequence[int], boards: Sequence[int]) -> Iterator[Balancer]:
    """Under its URL requests reach one of the ``forecasters`` and /ws one of the ``boards``, by port."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        CONFIG.format(
            folder=folder,
            port=port,
            # A replica that refused is asked again after a second.
            forecasters=_servers(forecasters, "max_fails=1 fail_timeout=1s"),
            # Once one has failed, nginx leads a single connection a second to it until that one has ended, and a
            # WebSocket does not end: listeners would wait for a minute outside a board that is well again.
            boards=_servers(boards, "max_fails=0"),
        )
    )
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")],
            stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: process.poll() is not None or _answers(url))
            assert process.poll() is None, (folder / "nginx.log").read_text() + (folder / "error.log").read_text()
            yield Balancer(url, folder)
        finally:
            end(process)


def _servers(ports: Sequence[int], when_it_fails: str) -> str:
    return "\n        ".join(f"server 127.0.0.1:{port} {when_it_fails};" for port in ports)


def _passed(line: str) -> Passed:
    at, method, path, status, addresses, statuses = line.split("|")
    ports = [int(address.rpartition(":")[2]) for address in addresses.split(", ")]
    tries = tuple(zip(ports, map(int, statuses.split(", ")), strict=True))
    return Passed(float(at), method, path, int(status), tries)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False
