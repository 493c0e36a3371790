"""A real nginx (Debian's package) in front of several forecasters and boards, as an ingress stands before them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
        }}
        location / {{
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


def nginx_program() -> str:
    """Its path, or a skip that says so."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("skipped: no nginx")
    return program


@contextmanager
def running_nginx(program: str, folder: Path, forecasters: Sequence[int], boards: Sequence[int]) -> Iterator[str]:
    """The base URL under which requests reach one of the ``forecasters`` and /ws one of the ``boards``, by port."""
    port = free_port()
    config = folder / "nginx.conf"
    # A replica that refused is asked again after a second.
    config.write_text(
        CONFIG.format(
            folder=folder,
            port=port,
            forecasters="\n        ".join(
                f"server 127.0.0.1:{one} max_fails=1 fail_timeout=1s;" for one in forecasters
            ),
            boards="\n        ".join(f"server 127.0.0.1:{one};" for one in boards),
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
            yield url
        finally:
            end(process)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False
