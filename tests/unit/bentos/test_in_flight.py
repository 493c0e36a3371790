"""Requests in flight, by which pods are added: counted while they are answered, and over all workers of a pod."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bentos.edge import Edge
from services.settings import ROOT

NAME = "halftime_http_requests_in_flight"
WORKER = """
import sys
from bentos.instruments import IN_FLIGHT
IN_FLIGHT.inc({place})
print("counted", flush=True)
sys.stdin.read()
"""
PAGE = """
from bentos.instruments import exposition, forget_dead_workers
forget_dead_workers()
print(exposition()[0].decode())
"""


async def look(_: Request) -> Response:
    return PlainTextResponse(str(REGISTRY.get_sample_value(NAME)))


async def crash(_: Request) -> Response:
    raise RuntimeError("broken")


@pytest.mark.parametrize("path", ["/look", "/crash", "/nowhere"])
async def test_a_request_is_in_flight_until_it_is_answered_however_it_ends(path: str) -> None:
    before = REGISTRY.get_sample_value(NAME)
    assert before is not None
    app = Edge(Starlette(routes=[Route("/look", look), Route("/crash", crash)]))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get(path)
    assert path != "/look" or float(answer.text) == before + 1
    assert REGISTRY.get_sample_value(NAME) == before


def shown(environment: dict[str, str]) -> float:
    """What the page says, asked of a process of its own."""
    command = [sys.executable, "-c", PAGE]
    text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in text.splitlines() if line.startswith(f"{NAME} ")]
    return float(line.split()[1])


def test_the_workers_of_a_pod_are_added_up_and_a_killed_one_is_forgotten(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    workers = []
    try:
        for place in (3, 4):
            command = [sys.executable, "-c", WORKER.format(place=place)]
            worker = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            workers.append(worker)
            assert worker.stdout is not None
            assert worker.stdout.readline() == "counted\n"
        assert shown(environment) == 7
        workers[0].kill()
        workers[0].wait()
        assert shown(environment) == 4
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
