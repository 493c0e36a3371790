"""Requests at a steady pace, whatever becomes of them: what a crowd of callers asks and gets."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np


@dataclass(frozen=True)
class Ask:
    """One request; ``body`` is sent as JSON."""

    method: str
    path: str
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Answer:
    """What a caller got, and after how many seconds; status 0 and the error as ``text`` when it got no answer."""

    ask: Ask
    status: int
    seconds: float
    text: str


async def load(url: str, asks: Iterator[Ask], rate: float, stop: threading.Event) -> list[Answer]:
    """``rate`` requests a second until ``asks`` end or ``stop`` is set; one that waits holds up no other."""
    answers: list[Answer] = []

    async def send(client: httpx.AsyncClient, ask: Ask) -> None:
        began = time.perf_counter()
        try:
            got = await client.request(ask.method, ask.path, json=ask.body)
            status, text = got.status_code, got.text
        except httpx.HTTPError as error:
            status, text = 0, repr(error)
        answers.append(Answer(ask, status, time.perf_counter() - began, text))

    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(base_url=url, timeout=20, limits=limits) as client, asyncio.TaskGroup() as group:
        began, sent = time.monotonic(), 0
        while not stop.is_set():
            while sent < (time.monotonic() - began) * rate:
                if (ask := next(asks, None)) is None:
                    return answers
                sent += 1
                group.create_task(send(client, ask))
            await asyncio.sleep(0.005)
    return answers


def latency(answers: Sequence[Answer]) -> str:
    """Median, 99th percentile and longest of the callers' waits, in words."""
    half, most = np.quantile([answer.seconds for answer in answers], (0.5, 0.99)) * 1000
    longest = max(answer.seconds for answer in answers) * 1000
    return f"{len(answers)} requests, p50 {half:.0f} ms, p99 {most:.0f} ms, longest {longest:.0f} ms"
