"""The edge: wrong requests never reach the service, and every error has one shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bentos import edge
from bentos.edge import ARRIVAL, Edge

GOOD = {"pattern": [0] * 18}
seen: list[bytes] = []


async def predict(request: Request) -> Response:
    seen.append(await request.body())
    return JSONResponse({"id": ARRIVAL.get().http_id, "key": ARRIVAL.get().idempotency_key})


async def crash(_: Request) -> Response:
    raise RuntimeError("secret of the database")


async def framework_fault(_: Request) -> Response:
    return JSONResponse([{"error": "internal wording"}], 500)


async def not_ready(_: Request) -> Response:
    return PlainTextResponse("Service is not ready because", 503)


def app() -> Edge:
    routes = [
        Route("/predict", predict, methods=["POST"]),
        Route("/crash", crash),
        Route("/fault", framework_fault),
        Route("/readyz", not_ready),
    ]
    return Edge(Starlette(routes=routes), explain=lambda path, status: "No model." if path == "/readyz" else None)


async def ask(method: str, path: str, **kwargs: Any) -> httpx.Response:
    seen.clear()
    transport = httpx.ASGITransport(app=app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, **kwargs)


def assert_error(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    body: dict[str, Any] = response.json()
    assert body["error"].endswith(".")
    assert isinstance(body["detail"], list)
    assert body["request_id"] == response.headers["x-request-id"]
    return body


async def test_good_request_passes_with_its_body_and_ids() -> None:
    headers = {"X-Request-ID": "trace-1", "Idempotency-Key": "k:1"}
    response = await ask("POST", "/predict", json=GOOD, headers=headers)
    assert response.status_code == 200
    assert response.json() == {"id": "trace-1", "key": "k:1"}
    assert response.headers["x-request-id"] == "trace-1"
    assert json.loads(seen[0]) == GOOD


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/vnd.bentoml+pickle",
        "application/vnd.bentoml+json",
        "application/json; charset=latin-1",
        "application/jsonp",
    ],
)
async def test_other_content_type_is_415_and_never_reaches_the_service(kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    response = await ask("POST", "/predict", content=json.dumps(GOOD).encode(), headers=headers)
    assert "Content-Type: application/json" in assert_error(response, 415)["error"]
    assert seen == []


async def test_charset_utf_8_is_json_and_compression_is_415() -> None:
    body = json.dumps(GOOD).encode()
    assert (
        await ask("POST", "/predict", content=body, headers={"Content-Type": 'Application/JSON; charset="UTF-8"'})
    ).is_success
    response = await ask("POST", "/predict", json=GOOD, headers={"Content-Encoding": "gzip"})
    assert "compressed" in assert_error(response, 415)["error"]


async def test_large_body_is_413_whether_its_size_is_declared_or_not() -> None:
    big = b"[" + b"1," * 20_000 + b"1]"
    kind = {"Content-Type": "application/json"}
    assert_error(await ask("POST", "/predict", content=big, headers=kind), 413)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 1000):
            yield big[start : start + 1000]

    assert_error(await ask("POST", "/predict", content=chunks(), headers=kind), 413)
    assert seen == []


async def test_slow_body_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "BODY_TIMEOUT_S", 0.01)

    async def never() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": [(b"content-type", b"application/json")]}
    await app()(scope, never, send)
    assert sent[0]["status"] == 408


async def test_wrong_body_is_400_with_field_and_sentence() -> None:
    body = assert_error(await ask("POST", "/predict", json={"pattern": [1]}), 400)
    assert body["detail"][0]["field"] == "pattern"


async def test_wrong_ids_are_refused_or_replaced() -> None:
    response = await ask("POST", "/predict", json=GOOD, headers={"Idempotency-Key": "a b"})
    assert "Idempotency-Key" in assert_error(response, 400)["error"]
    response = await ask("POST", "/predict", json=GOOD, headers={"X-Request-ID": 'x"forged'})
    assert response.headers["x-request-id"] == response.json()["id"] != 'x"forged'


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/predict", 405), ("/fault", 500), ("/crash", 500)])
async def test_errors_of_the_framework_get_our_shape_and_leak_nothing(path: str, status: int) -> None:
    response = await ask("GET", path)
    body = assert_error(response, status)
    assert "secret" not in response.text
    assert "internal wording" not in response.text
    if status == 500:
        assert body["request_id"] in body["error"]


async def test_reason_for_not_ready_is_given() -> None:
    assert assert_error(await ask("GET", "/readyz"), 503)["error"] == "No model."
