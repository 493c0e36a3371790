"""Who may ask the forecaster, and how much at once: hosts, a key for outcomes and figures, a limit, a deadline."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import Scope

from bentos.contracts import RequestRefused
from services.hosts import MISDIRECTED, host_known, is_loopback, strange_host
from services.settings import Settings, SettingsError

# Outcomes settle forecasts and so move calibration; figures are for those who run this.
GUARDED = frozenset({"/record_actual", "/metrics/summary"})
# A worker answers a prediction in a few milliseconds: who comes behind so many would wait for longer than a try again.
MAX_WAITING = 64
DEADLINE_S = 5.0
RETRY_AFTER_S = 1
MIN_KEY = 16


@dataclass
class Guard:
    """One a worker; ``names`` are further hosts it is known by. Without a ``key`` this machine alone may ask for what
    is guarded."""

    names: Collection[str] = ()
    key: SecretStr | None = None
    max_waiting: int = MAX_WAITING
    deadline_s: float = DEADLINE_S
    waiting: int = field(default=0, init=False)

    @classmethod
    def of(cls, settings: Settings) -> Guard:
        """The guard that the settings ask for.

        Raises SettingsError when the service would be reached from elsewhere without a key, or the key cannot be used.
        """
        key = None if settings.api_key_file is None else read_key(settings.api_key_file)
        if key is None and not is_loopback(settings.host):
            raise SettingsError(
                f"HALFTIME_HOST={settings.host} lets other machines in, and without a key each of them may write"
                f" outcomes: set HALFTIME_API_KEY_FILE to a file with at least {MIN_KEY} characters, or use 127.0.0.1"
            )
        return cls((settings.host, *settings.allowed_hosts), key)

    def check(self, scope: Scope) -> None:
        """Raises RequestRefused: 421 for a strange host, 401 or 403 for who may not ask this."""
        headers = Headers(scope=scope)
        if not host_known(headers, self.names):
            raise RequestRefused(MISDIRECTED, strange_host(headers))
        if scope["path"] not in GUARDED:
            return
        if self.key is None:
            client = scope.get("client")
            if client is None or not is_loopback(client[0]):
                raise RequestRefused(
                    403, f"{scope['path']} is for this machine alone, as long as HALFTIME_API_KEY_FILE names no key."
                )
        elif not hmac.compare_digest(headers.get("authorization", "").encode(), self._expected(self.key)):
            raise RequestRefused(401, f"{scope['path']} needs a key: send the header Authorization: Bearer KEY.")

    @staticmethod
    def _expected(key: SecretStr) -> bytes:
        return b"Bearer " + key.get_secret_value().encode()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those being answered. Raises RequestRefused (503) when all are taken."""
        if self.waiting >= self.max_waiting:
            raise RequestRefused(503, "The forecaster is busy: try again in a second.", retry_after_s=RETRY_AFTER_S)
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    async def in_time(self, answering: Awaitable[None]) -> None:
        """Wait for an answer until the deadline. Raises RequestRefused (503) after it.

        A thread that computes cannot be stopped: it goes on, and its answer is the one that the same request id gets.
        """
        task = asyncio.ensure_future(answering)
        try:
            done, _ = await asyncio.wait({task}, timeout=self.deadline_s)
        finally:
            task.cancel()
        if not done:
            task.add_done_callback(_forget)
            raise RequestRefused(
                503,
                f"No answer within {self.deadline_s:g} seconds: send it again with the same request_id.",
                retry_after_s=RETRY_AFTER_S,
            )
        task.result()


def read_key(path: Path) -> SecretStr:
    """The key in the file. Raises SettingsError, which does not repeat it."""
    try:
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"HALFTIME_API_KEY_FILE={path} cannot be read ({type(error).__name__}): name a file of plain ASCII that"
            " this user may read"
        ) from error
    if len(key) < MIN_KEY or not key.isprintable():
        raise SettingsError(
            f"the key in HALFTIME_API_KEY_FILE={path} has {len(key)} characters: it needs {MIN_KEY} printable ones at"
            " least, as from `openssl rand -hex 32`"
        )
    return SecretStr(key)


def _forget(task: asyncio.Future[None]) -> None:
    # Whatever became of it, nobody waits for it any more.
    if not task.cancelled():
        task.exception()
