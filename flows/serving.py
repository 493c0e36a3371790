"""Waits until the forecaster serves what the registry names, with all of its workers.

A forecaster that was started before the first model was trained answers with persistence meanwhile, and each worker
finds the new champion by itself: the first game of a night must not be forecast by the one that has not looked yet.
"""

from __future__ import annotations

import time

import httpx
import structlog

from services.settings import Settings

log = structlog.get_logger("serving")

# Which worker answers is chance: so many answers in a row miss one of two workers once in sixty thousand.
IN_A_ROW_PER_WORKER = 8


def await_champion(settings: Settings, digest: str, *, timeout_s: float = 60.0, pause_s: float = 0.2) -> bool:
    """Whether every answer of the forecaster came from the model with ``digest`` before ``timeout_s`` wall seconds were
    over. Not waited for when a bundle folder is served."""
    if settings.bundle is not None:
        return True
    wanted, seen = IN_A_ROW_PER_WORKER * settings.forecaster_workers, 0
    deadline = time.monotonic() + timeout_s
    with httpx.Client(base_url=settings.forecaster_url, timeout=5.0) as http:
        while time.monotonic() < deadline:
            try:
                served = http.get("/model", headers={"Connection": "close"}).json().get("digest")
            except (httpx.HTTPError, ValueError):
                served = None
            seen = seen + 1 if served == digest else 0
            if seen >= wanted:
                return True
            if seen == 0:
                time.sleep(pause_s)
    log.warning("the forecaster does not serve the champion yet", digest=digest, waited_s=timeout_s)
    return False
