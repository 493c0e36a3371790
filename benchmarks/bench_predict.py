"""Latency and throughput of POST /predict beside a bare Starlette route, both with two workers, in one run.

The bare route reads a body of the same size and answers a body of the same size: what HTTP alone costs here. Absolute
numbers belong to the machine and to what else runs on it; the ratios are what to compare.

    python -m benchmarks.bench_predict [requests] [connections]
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from models.bundle import write_bundle
from services.settings import ROOT
from tests.support.running_forecaster import PATTERN, running_forecaster
from tests.support.servers import end, free_port
from tests.support.small_model import small_ensemble

WORKERS = 2
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
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    request = head.encode() + BODY
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


def measure(port: int, requests: int, connections: int) -> dict[str, float]:
    """One connection for latency, several for throughput; a warm-up before."""
    asyncio.run(load(port, 200, 4))
    _, single = asyncio.run(load(port, max(200, requests // 5), 1))
    rate, _ = asyncio.run(load(port, requests, connections))
    return {
        "p50_ms": 1000 * statistics.median(single),
        "p95_ms": 1000 * statistics.quantiles(single, n=20)[-1],
        "requests_per_s": rate,
    }


def run(requests: int = 4000, connections: int = 16) -> dict[str, object]:
    """Measure both, the bare route before and after the forecaster, so that a change of the machine shows."""
    with tempfile.TemporaryDirectory(prefix="halftime-bench-") as name:
        folder = Path(name)
        # As large as ten seasons of games.
        ensemble = small_ensemble(games=13_000, calibration_games=1300)
        write_bundle(ensemble, folder / "bundle", {"code_version": "benchmark"})
        started = time.perf_counter()
        for _ in range(200):
            ensemble.forecast(PATTERN, 18, 0.05, 3.0)
        model_ms = 1000 * (time.perf_counter() - started) / 200
        with running_forecaster(folder / "home", folder / "bundle", workers=WORKERS) as running:
            size = len(running.predict(home="BOS", away="NYK").content)
            port = running.http.base_url.port
            assert port is not None
            with bare_route(folder, size) as bare_port:
                before = measure(bare_port, requests, connections)
                forecaster = measure(port, requests, connections)
                after = measure(bare_port, requests, connections)
    bare = {key: (before[key] + after[key]) / 2 for key in before}
    return {
        "cpus": os.cpu_count(),
        "workers": WORKERS,
        "answer_bytes": size,
        "model_alone_ms": model_ms,
        "forecaster": forecaster,
        "bare_starlette": bare,
        "bare_starlette_after_over_before": after["requests_per_s"] / before["requests_per_s"],
        "p50_ratio": forecaster["p50_ms"] / bare["p50_ms"],
        "throughput_ratio": forecaster["requests_per_s"] / bare["requests_per_s"],
    }


def main() -> None:
    """Print the result as JSON."""
    assert Path.cwd() == ROOT, f"run from {ROOT}"
    json.dump(run(*map(int, sys.argv[1:3])), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
