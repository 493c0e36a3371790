"""Waiting for a fact instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(fact: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Return when the fact holds; AssertionError when it does not come true (generous: machines are busy)."""
    deadline = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
