"""Who may ask the forecaster, and how much at once: hosts, keys for outcomes and figures, a limit, a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hmac import compare_digest
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
    """One a worker; ``names`` are further hosts it is known by. Each of the ``keys`` is good for what is guarded;
    without any this machine alone may ask for it."""

    names: Collection[str] = ()
    keys: tuple[SecretStr, ...] = ()
    max_waiting: int = MAX_WAITING
    deadline_s: float = DEADLINE_S
    waiting: int = field(default=0, init=False)

    @classmethod
    def of(cls, settings: Settings) -> Guard:
        """The guard that the settings ask for.

        Raises SettingsError when the service would be reached from elsewhere without a key, or a key cannot be used.
        """
        keys = () if settings.api_key_file is None else read_keys(settings.api_key_file)
        if not keys and not is_loopback(settings.host):
            raise SettingsError(
                f"HALFTIME_HOST={settings.host} lets other machines in, and without a key each of them may write"
                f" outcomes: set HALFTIME_API_KEY_FILE to a file with at least {MIN_KEY} characters, or use 127.0.0.1"
            )
        return cls((settings.host, *settings.allowed_hosts), keys)

    def check(self, scope: Scope) -> None:
        """Raises RequestRefused: 421 for a strange host, 401 or 403 for who may not ask this."""
        headers = Headers(scope=scope)
        if not host_known(headers, self.names):
            raise RequestRefused(MISDIRECTED, strange_host(headers))
        if scope["path"] not in GUARDED:
            return
        if not self.keys:
            client = scope.get("client")
            if client is None or not is_loopback(client[0]):
                raise RequestRefused(
                    403, f"{scope['path']} is for this machine alone, as long as HALFTIME_API_KEY_FILE names no key."
                )
        elif not self._good(headers.get("authorization", "").encode()):
            raise RequestRefused(401, f"{scope['path']} needs a key: send the header Authorization: Bearer KEY.")

    def _good(self, sent: bytes) -> bool:
        # Every key is compared, the good one too: how long it takes tells neither which one it is nor how near.
        equal = [compare_digest(sent, b"Bearer " + key.get_secret_value().encode()) for key in self.keys]
        return any(equal)

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


def read_keys(path: Path) -> tuple[SecretStr, ...]:
    """The keys in the file, one a line, one at least; blank lines are none.

    Raises SettingsError, which names a bad line by its number and repeats no key.
    """
    try:
        lines = path.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"HALFTIME_API_KEY_FILE={path} cannot be read ({type(error).__name__}): name a file of plain ASCII that"
            " this user may read"
        ) from error
    keys = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    wanted = f"{MIN_KEY} printable characters at least, as from `openssl rand -hex 32`"
    if not keys:
        raise SettingsError(f"HALFTIME_API_KEY_FILE={path} holds no key: write one a line, of {wanted}")
    for number, key in keys.items():
        if len(key) < MIN_KEY or not key.isprintable():
            raise SettingsError(
                f"line {number} of HALFTIME_API_KEY_FILE={path} has {len(key)} characters: a key needs {wanted}"
            )
    return tuple(map(SecretStr, keys.values()))


def _forget(task: asyncio.Future[None]) -> None:
    # Whatever became of it, nobody waits for it any more.
    if not task.cancelled():
        task.exception()
