"""The service's edge: what every request passes before BentoML sees it, and every answer on its way out.

In: a request id, the content type, the size and the time of the body, its strict validation. Out: one shape for every
error, whoever made it; counts and latency for every status.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.contracts import REQUEST_ID, PredictRequest, RecordActualRequest, Request, RequestRefused, read_request
from bentos.guard import Guard
from bentos.instruments import IN_FLIGHT, observe_request
from services.answer import ErrorBody, Problem
from services.trace import Ids, parent_of

MAX_BODY_BYTES = 16 * 1024
BODY_TIMEOUT_S = 10.0
BODIES: Mapping[str, type[Request]] = {"/predict": PredictRequest, "/record_actual": RecordActualRequest}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the edge knows of the request being answered."""

    http_id: str
    idempotency_key: str | None
    trace: Ids | None = None


ARRIVAL: ContextVar[Arrival] = ContextVar("halftime_arrival")

Explain = Callable[[str, int], str | None]
"""(path, status) -> the sentence for an error that the framework gave no reason for, if there is one."""


def error_response(
    status: int,
    sentence: str,
    problems: tuple[Problem, ...] = (),
    *,
    http_id: str | None = None,
    retry_after_s: int = 0,
) -> Response:
    """An error in the one shape of this API."""
    body = ErrorBody(error=sentence, detail=list(problems), request_id=http_id)
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else None
    return Response(body.model_dump_json(exclude_none=True), status, headers=headers, media_type="application/json")


class Edge:
    """ASGI middleware; outermost of ours, inside BentoML's own."""

    def __init__(
        self, app: ASGIApp, explain: Explain = lambda _path, _status: None, guard: Guard | None = None
    ) -> None:
        self._app = app
        self._explain = explain
        self._guard = guard or Guard()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        path, method = scope["path"], scope["method"]
        arrival = _arrival(Headers(scope=scope))
        outcome = _Outcome(send, arrival.http_id, lambda status: self._explain(path, status))
        token = ARRIVAL.set(arrival)
        IN_FLIGHT.inc()
        try:
            await self._answer(scope, receive, outcome, arrival)
        finally:
            ARRIVAL.reset(token)
            IN_FLIGHT.dec()
            observe_request(path, method, outcome.status, time.perf_counter() - started_s)

    async def _answer(self, scope: Scope, receive: Receive, outcome: _Outcome, arrival: Arrival) -> None:
        try:
            self._guard.check(scope)
            model = BODIES.get(scope["path"])
            if model is not None and scope["method"] == "POST":
                headers = Headers(scope=scope)
                _check_headers(headers)
                body = await _read_body(headers, receive)
                read_request(model, body)
                # Only now: a body that comes slowly takes nobody's place.
                with self._guard.place():
                    await self._guard.in_time(self._app(scope, _replay(body, receive), outcome.send_while_open))
                return
            await self._app(scope, receive, outcome.send)
        except RequestRefused as refused:
            if outcome.started:
                raise
            outcome.close()
            response = error_response(
                refused.status,
                refused.sentence,
                refused.problems,
                http_id=arrival.http_id,
                retry_after_s=refused.retry_after_s,
            )
            if refused.status == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
            await response(scope, receive, outcome.send)
        except Exception:
            log.exception("request %s failed in the framework", arrival.http_id)
            if outcome.started:
                raise
            await error_response(500, _fault(arrival.http_id), http_id=arrival.http_id)(scope, receive, outcome.send)


def _fault(http_id: str) -> str:
    return f"The forecaster failed to answer; its log has the reason under {http_id}."


def _arrival(headers: Headers) -> Arrival:
    http_id = headers.get("x-request-id", "")
    known = http_id if re.fullmatch(REQUEST_ID, http_id) else uuid4().hex
    return Arrival(known, headers.get("idempotency-key"), parent_of(headers.get("traceparent")))


def _check_headers(headers: Headers) -> None:
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise RequestRefused(415, "The content type is not JSON: send the header Content-Type: application/json.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestRefused(415, "The body is compressed: send it as it is, without Content-Encoding.")
    key = headers.get("idempotency-key")
    if key is not None and not re.fullmatch(REQUEST_ID, key):
        raise RequestRefused(400, "Idempotency-Key must be 1 to 128 letters, digits or . _ : -.")


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise RequestRefused(400, "The connection closed before the whole body had come.")
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > MAX_BODY_BYTES:
                    raise _too_large()
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError as error:
        raise RequestRefused(408, f"The body did not come within {BODY_TIMEOUT_S:g} seconds: send it again.") from error


def _too_large() -> RequestRefused:
    return RequestRefused(413, f"The body is larger than {MAX_BODY_BYTES} bytes: a request has 18 numbers.")


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()  # the disconnect, when it comes
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class _Outcome:
    """The way out: holds an error's body back until it has our shape, and remembers the status."""

    def __init__(self, send: Send, http_id: str, explain: Callable[[int], str | None]) -> None:
        self._send = send
        self._http_id = http_id
        self._explain = explain
        self._held: Message | None = None
        self._body = bytearray()
        self._closed = False
        self.status = 500
        self.started = False

    async def send_while_open(self, message: Message) -> None:
        """As ``send``, for an answer that may come when nobody waits for it any more."""
        if not self._closed:
            await self.send(message)

    def close(self) -> None:
        """Take nothing more from ``send_while_open``: another answer is given."""
        self._closed = True
        self._held = None
        self._body.clear()

    async def send(self, message: Message) -> None:
        """As ASGI's send."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = self._http_id
            if self.status >= 400 or self._explain(self.status) is not None:
                self._held = message
                return
            self.started = True
        elif self._held is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if message.get("more_body", False):
                return
            message = {"type": "http.response.body", "body": self._shaped()}
            headers = MutableHeaders(scope=self._held)
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(message["body"]))
            start, self._held, self.started = self._held, None, True
            await self._send(start)
        await self._send(message)

    def _shaped(self) -> bytes:
        try:
            body = json.loads(bytes(self._body))
        except ValueError:
            body = None
        if isinstance(body, dict) and body.keys() >= {"error", "detail"}:
            return bytes(self._body)
        if self.status < 400:
            return json.dumps({"status": "ready", "note": self._explain(self.status)}).encode()
        sentence = self._explain(self.status) or _FRAMEWORK.get(self.status)
        if sentence is None:
            sentence = _fault(self._http_id) if self.status >= 500 else f"{HTTPStatus(self.status).phrase}: see /docs."
        return ErrorBody(error=sentence, request_id=self._http_id).model_dump_json().encode()


_FRAMEWORK = {
    404: "There is nothing at this address: /docs lists what there is.",
    405: "This address does not take this method: /docs lists which it takes.",
    503: "The forecaster is not ready: try again shortly.",
}
