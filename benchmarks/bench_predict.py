"""Latency and throughput of POST /predict beside a bare Starlette route, both with two workers, in one run.

The bare route reads a body of the same size and answers a body of the same size: what HTTP alone costs here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np

from benchmarks.open_loop import post
from benchmarks.table import Row, say
from benchmarks.timing import Ratio
from models.bundle import write_bundle
from tests.support.running_forecaster import PATTERN, running_forecaster
from tests.support.servers import end, free_port
from tests.support.small_model import small_ensemble

WORKERS, REQUESTS, CONNECTIONS = 2, 4000, 16
GROUP = f"POST /predict, {WORKERS} workers"
BODY = json.dumps({"pattern": PATTERN, "home": "BOS", "away": "NYK"}).encode()
BARE = """
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
BODY = b"x" * {size}
async def predict(request):
    await request.body()
    return Response(BODY, media_type="application/json")
app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
"""


async def load(port: int, requests: int, connections: int) -> tuple[float, list[float]]:
    """(requests a second, seconds of each request) over keep-alive connections, each one request at a time."""
    request = post("/predict", BODY)
    seconds: list[float] = []

    async def connection(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            started = time.perf_counter()
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            size = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(size.partition(b":")[2]))
            seconds.append(time.perf_counter() - started)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(connection(requests // connections) for _ in range(connections)))
    return len(seconds) / (time.perf_counter() - started), seconds


@contextlib.contextmanager
def bare_route(folder: Path, size: int) -> Iterator[int]:
    """A Starlette route that answers ``size`` bytes, two uvicorn workers; its port."""
    (folder / "bare.py").write_text(BARE.replace("{size}", str(size)))
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bare:app", "--port", str(port), "--workers", str(WORKERS)]
    command += ["--no-access-log", "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    try:
        for _ in range(200):
            with contextlib.suppress(httpx.HTTPError):
                if httpx.post(f"http://127.0.0.1:{port}/predict").is_success:
                    break
            time.sleep(0.05)
        yield port
    finally:
        end(process)


def measure(port: int) -> dict[str, float]:
    """One connection for latency, several for throughput; a warm-up before."""
    asyncio.run(load(port, 200, 4))
    _, single = asyncio.run(load(port, REQUESTS // 5, 1))
    rate, _ = asyncio.run(load(port, REQUESTS, CONNECTIONS))
    return {
        "ms, median": 1000 * statistics.median(single),
        "ms, 95%": 1000 * statistics.quantiles(single, n=20)[-1],
        "requests a second": rate,
    }


def run() -> list[Row]:
    """Measure both, the bare route before and after the forecaster, so that a change of the machine shows."""
    say(f"bench_predict: {REQUESTS} requests to each, {WORKERS} workers")
    with tempfile.TemporaryDirectory(prefix="halftime-bench-") as name:
        folder = Path(name)
        # As large as ten seasons of games.
        ensemble = small_ensemble(games=13_000, calibration_games=1300)
        write_bundle(ensemble, folder / "bundle", {"code_version": "benchmark"})
        with running_forecaster(folder / "home", folder / "bundle", workers=WORKERS) as running:
            size = len(running.predict(home="BOS", away="NYK").content)
            port = running.http.base_url.port
            assert port is not None
            with bare_route(folder, size) as bare_port:
                before = measure(bare_port)
                forecaster = measure(port)
                after = measure(bare_port)
    rows = []
    for unit in forecaster:
        bare = np.array([before[unit], after[unit]])
        rows.append(Row(GROUP, "bare Starlette route", float(bare.mean()), unit))
        ratio = Ratio.of(np.full(2, forecaster[unit]), bare)
        rows.append(Row(GROUP, "forecaster", forecaster[unit], unit, "bare route, before and after", ratio))
    return rows
