"""Python client of the forecaster's API.

Every prediction is sent under a request id, made here when none is given, so a retry can never become a second
prediction: the service answers the same bits under the same id. What can go wrong is in ``services.client_errors``.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx
from pydantic import BaseModel

from services.answer import HasBall, LeagueDate, Prediction, Recorded
from services.client_errors import (
    ForecasterBroken,
    ForecasterError,
    ForecasterRefused,
    ForecasterUnavailable,
    facts,
    judge,
    read,
    unavailable,
)
from services.trace import trace_headers

__all__ = [
    "AsyncForecasterClient",
    "ForecasterBroken",
    "ForecasterClient",
    "ForecasterError",
    "ForecasterRefused",
    "ForecasterUnavailable",
    "RetryPolicy",
    "predict_body",
]

A = TypeVar("A", bound=BaseModel)

MAX_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``tries`` in all; the pause doubles from ``first_pause_s``, with jitter, and honours Retry-After."""

    tries: int = 4
    first_pause_s: float = 0.1

    def pause_s(self, tried: int, asked_s: float) -> float:
        """Seconds to wait after the ``tried``-th try, at most five."""
        wanted = self.first_pause_s * 2.0 ** (tried - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret
        return min(max(wanted, asked_s), MAX_PAUSE_S)


def predict_body(
    pattern: Sequence[float],
    *,
    alpha: float = 0.05,
    game_id: str | None = None,
    home: str | None = None,
    away: str | None = None,
    minute: int | None = None,
    date: LeagueDate | None = None,
    possession: HasBall | None = None,
    above: Sequence[float] = (),
    levels: Sequence[float] = (),
    model_digest: str | None = None,
    request_id: str | None = None,
) -> dict[str, Any]:
    """The body of POST /predict; ``pattern`` is margin(1)..margin(m), home minus away, m = ``minute`` or 18.

    ``date`` is the league date, ``possession`` who has the ball. ``above`` asks for P(halftime margin > x), ``levels``
    for further intervals, as 0.99; ``model_digest`` names the model to answer, unset the champion.
    """
    fields = {"game_id": game_id, "home": home, "away": away, "minute": minute, "possession": possession}
    fields["model_digest"] = model_digest
    fields["date"] = date.isoformat() if date is not None else None
    body: dict[str, Any] = {"pattern": list(pattern), "alpha": alpha, "request_id": request_id or str(uuid4())}
    body |= {name: list(asked) for name, asked in (("above", above), ("levels", levels)) if asked}
    return body | {name: value for name, value in fields.items() if value is not None}


def _key(api_key: str | None) -> dict[str, str]:
    if api_key is None:
        return {}
    # While a key is changed its file has two lines. The old key comes first: every forecaster knows that one.
    keys = [line.strip() for line in api_key.splitlines() if line.strip()]
    if not keys:
        raise ValueError("api_key holds no key: give the key, or the text of its file, or None")
    return {"Authorization": f"Bearer {keys[0]}"}


class ForecasterClient:
    """Blocking client. One connection pool; thread-safe; close it or use ``with``.

    Outcomes and figures need ``api_key`` where the forecaster has keys: a key, or the text of a file of keys, whose
    first line is sent. ValueError when it holds none.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 5.0,
        retry: RetryPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        api_key: str | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s, transport=transport, headers=_key(api_key))
        self._retry = retry or RetryPolicy()
        self._sleep = sleep

    def predict(self, pattern: Sequence[float], **fields: Any) -> Prediction:
        """A forecast; keyword arguments as of ``predict_body``. Raises ForecasterError."""
        return self._ask(Prediction, "POST", "/predict", predict_body(pattern, **fields))

    def record_actual(self, game_id: str, actual_differential: int) -> Recorded:
        """Record a game's margin at halftime and settle its official forecasts. Raises ForecasterError."""
        body = {"game_id": game_id, "actual_differential": actual_differential}
        return self._ask(Recorded, "POST", "/record_actual", body)

    def model(self) -> dict[str, Any]:
        """Facts of the model being served. Raises ForecasterError."""
        return facts(self._send("GET", "/model", None))

    def summary(self) -> dict[str, Any]:
        """How the official forecasts did. Raises ForecasterError."""
        return facts(self._send("GET", "/metrics/summary", None))

    def is_ready(self) -> bool:
        """Whether /readyz says so now; no retries, no error."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    def _ask(self, kind: type[A], method: str, path: str, body: dict[str, Any]) -> A:
        return read(kind, self._send(method, path, body))

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        for tried in range(1, self._retry.tries + 1):
            try:
                outcome: httpx.Response | httpx.TransportError = self._http.request(
                    method, path, json=body, headers=trace_headers()
                )
            except httpx.TransportError as error:
                outcome = error
            done, trouble, asked_s = judge(outcome)
            if done is not None:
                return done
            if tried < self._retry.tries:
                self._sleep(self._retry.pause_s(tried, asked_s))
        raise unavailable(self._http, trouble, self._retry.tries)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncForecasterClient:
    """The same for asyncio."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 5.0,
        retry: RetryPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        api_key: str | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, timeout=timeout_s, transport=transport, headers=_key(api_key))
        self._retry = retry or RetryPolicy()

    async def predict(self, pattern: Sequence[float], **fields: Any) -> Prediction:
        """A forecast; keyword arguments as of ``predict_body``. Raises ForecasterError."""
        return read(Prediction, await self._send("POST", "/predict", predict_body(pattern, **fields)))

    async def record_actual(self, game_id: str, actual_differential: int) -> Recorded:
        """Record a game's margin at halftime and settle its official forecasts. Raises ForecasterError."""
        body = {"game_id": game_id, "actual_differential": actual_differential}
        return read(Recorded, await self._send("POST", "/record_actual", body))

    async def model(self) -> dict[str, Any]:
        """Facts of the model being served. Raises ForecasterError."""
        return facts(await self._send("GET", "/model", None))

    async def is_ready(self) -> bool:
        """Whether /readyz says so now; no retries, no error."""
        try:
            return (await self._http.get("/readyz")).is_success
        except httpx.HTTPError:
            return False

    async def _send(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        for tried in range(1, self._retry.tries + 1):
            try:
                outcome: httpx.Response | httpx.TransportError = await self._http.request(
                    method, path, json=body, headers=trace_headers()
                )
            except httpx.TransportError as error:
                outcome = error
            done, trouble, asked_s = judge(outcome)
            if done is not None:
                return done
            if tried < self._retry.tries:
                await asyncio.sleep(self._retry.pause_s(tried, asked_s))
        raise unavailable(self._http, trouble, self._retry.tries)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
