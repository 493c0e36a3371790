"""The database as the service may use it: beside the request path, never in it, and never for longer than a deadline.

A server that is frozen answers nothing, not even an error; so calls run in threads of their own, few of them, and who
waits gets a sentence after the deadline. Predictions do not come here: they go to the spool.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from services.database import DatabaseNotReady, DatabaseUnavailable, RowRefused, make_engine
from services.settings import Settings, SettingsError
from services.spool import InsertRefused, Row
from services.store import Store
from services.store_rows import PredictionRow

T = TypeVar("T")

CALLS = 3
DEADLINE_S = 4.0
STATEMENT_S = 3.0


class DatabaseDownError(RuntimeError):
    """The database did not answer in time, or at all."""


class Database:
    """A store that is opened when first needed, behind a deadline."""

    def __init__(self, settings: Settings, *, deadline_s: float = DEADLINE_S) -> None:
        self._settings = settings
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._slots = threading.BoundedSemaphore(CALLS)

    def store(self) -> Store:
        """The store. Raises SettingsError while the local cluster does not exist."""
        with self._lock:
            if self._store is None:
                url = self._settings.resolved_database_url
                engine = make_engine(url, application="forecaster", pool_size=2, statement_timeout_s=STATEMENT_S)
                self._store = Store(engine)
            return self._store

    async def call(self, work: Callable[[Store], T]) -> T:
        """``work(store)`` in a thread. Raises DatabaseDownError after the deadline, and what ``work`` raises else."""
        if not self._slots.acquire(blocking=False):
            raise DatabaseDownError("The database is busy: all connections of this worker wait for it. Try again.")
        future: Future[T] = Future()
        # A thread of its own, and a daemon: one that hangs in a frozen server must not keep the process from ending.
        threading.Thread(target=self._work, args=(work, future), name="database", daemon=True).start()
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.shield(asyncio.wrap_future(future))
        except TimeoutError as error:
            raise DatabaseDownError(
                f"The database did not answer in {self._deadline_s:g} seconds. Try again."
            ) from error
        except (DatabaseUnavailable, SettingsError) as error:
            raise DatabaseDownError("The database cannot be reached. Try again.") from error
        except DatabaseNotReady as error:
            raise DatabaseDownError("The database has no tables yet: its migrations must run first.") from error

    def _work(self, work: Callable[[Store], T], future: Future[T]) -> None:
        try:
            future.set_result(work(self.store()))
        except Exception as error:  # noqa: BLE001 - carried to whoever waits for the future
            future.set_exception(error)
        finally:
            self._slots.release()

    def insert(self, rows: Sequence[Row]) -> None:
        """What the spool drains into. Raises InsertRefused for rows that no retry can save."""
        try:
            self.store().record_prediction([PredictionRow.from_json(row) for row in rows])
        except RowRefused as error:
            raise InsertRefused(str(error)) from error
