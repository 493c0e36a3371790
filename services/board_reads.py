"""Database reads of the board: in a few threads of their own, with a time limit, never on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from services.board_game import Game

WORKERS = 4
LIMIT_S = 5.0
Read = TypeVar("Read")


class SourceDownError(Exception):
    """The event stream or the database cannot be reached just now."""


class NightStore(Protocol):
    """Reads of the database. Every method may raise SourceDownError; none is called on the event loop."""

    def newest_night(self) -> str | None: ...
    def nights(self, limit: int = 60) -> list[str]: ...
    def games(self, league_date: str) -> list[Game]: ...
    def reports(self, limit: int = 100) -> list[dict[str, Any]]: ...
    def report(self, report_id: int) -> dict[str, Any] | None: ...
    def ping(self) -> None: ...


class Reads:
    """Runs calls of a NightStore. A database that is frozen holds WORKERS threads and nothing else."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="board-read")
        self._limit_s = limit_s

    async def __call__(self, call: Callable[[], Read]) -> Read:
        """What ``call`` returns. Raises SourceDownError when it does, or when it takes too long."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            return await asyncio.wait_for(running, self._limit_s)
        except TimeoutError as error:
            raise SourceDownError(f"the database did not answer within {self._limit_s:g} s") from error

    def close(self) -> None:
        """Takes no more calls and waits for none."""
        self._threads.shutdown(wait=False, cancel_futures=True)
