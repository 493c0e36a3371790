"""One holder at a time: a lease in PostgreSQL, kept by whoever renews it in time."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import Protocol

import structlog
from sqlalchemy.exc import OperationalError

log = structlog.get_logger("lease")


class Leases(Protocol):
    """What a keeper needs of the store."""

    def acquire_lease(self, name: str, holder: str, ttl_s: float) -> int | None: ...

    def release_lease(self, name: str, holder: str) -> bool: ...


def holder_name() -> str:
    """Who holds a lease: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class LeaseKeeper:
    """Acquires and renews the lease ``name`` in the background of an event loop.

    The database's clock decides. While the database cannot be reached nobody can take the lease over, so a holder goes
    on until its own time to live has passed twice, then stands by.
    """

    def __init__(self, leases: Leases, name: str, holder: str, ttl_s: float = 10.0) -> None:
        self._leases, self.name, self.holder, self.ttl_s = leases, name, holder, ttl_s
        self.retry_s = ttl_s / 10
        self.epoch: int | None = None
        self._renewed = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def held(self) -> bool:
        """Whether this process holds the lease; renewed after a third of its time, beside the event loop."""
        if self.epoch is None:
            await asyncio.to_thread(self._renew)
        elif time.monotonic() - self._renewed > self.ttl_s / 3 and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(asyncio.to_thread(self._renew))
        return self._still_held()

    def _still_held(self) -> bool:
        if self.epoch is not None and time.monotonic() - self._renewed > 2 * self.ttl_s:
            log.warning("lease lost: not renewed in time", lease=self.name)
            self.epoch = None
        return self.epoch is not None

    def _renew(self) -> None:
        asked = time.monotonic()
        try:
            epoch = self._leases.acquire_lease(self.name, self.holder, self.ttl_s)
        except OperationalError as error:
            log.warning("lease not renewed: database unreachable", lease=self.name, error=str(error.orig))
            return
        if epoch is not None and self.epoch is None:
            log.info("lease taken", lease=self.name, holder=self.holder, epoch=epoch)
        if epoch is None and self.epoch is not None:
            log.warning("lease lost to another holder", lease=self.name)
        self.epoch = epoch
        if epoch is not None:
            self._renewed = asked

    async def release(self) -> None:
        """Gives the lease back so that the next holder need not wait, after a renewal under way has ended."""
        if self._task is not None:
            await self._task
        await asyncio.to_thread(self._give_back)

    def _give_back(self) -> None:
        if self.epoch is None:
            return
        try:
            self._leases.release_lease(self.name, self.holder)
        except OperationalError as error:
            log.warning("lease not released: it runs out by itself", lease=self.name, error=str(error.orig))
        self.epoch = None


def lease_ttl_s(speed: float) -> float:
    """Time to live in wall seconds: 30 s of feed time, but no less than 2 s and no more than 15."""
    return min(15.0, max(2.0, 30.0 / speed))
