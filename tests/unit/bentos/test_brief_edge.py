"""Rows of docs/brief-defects.md about the way in and out of the service."""

from __future__ import annotations

import math
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bentos.edge import Edge
from bentos.guard import Guard
from services.answer import Explanation, Prediction

reached: list[str] = []


async def answer(request: Request) -> Response:
    reached.append(request.url.path)
    return JSONResponse({})


async def crash(_: Request) -> Response:
    raise RuntimeError("broken")


def app(guard: Guard | None = None) -> Edge:
    routes = [Route(path, answer, methods=["POST"]) for path in ("/predict", "/record_actual")]
    return Edge(Starlette(routes=[*routes, Route("/model", crash)]), guard=guard)


async def ask(app: Edge, method: str, path: str, **more: Any) -> httpx.Response:
    reached.clear()
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, **more)


def counted(route: str, method: str, code: int) -> tuple[float, float]:
    """(requests, measured latencies) so far."""
    labels = {"route": route, "method": method, "code": str(code)}
    requests = REGISTRY.get_sample_value("halftime_http_requests_total", labels)
    times = REGISTRY.get_sample_value("halftime_http_request_seconds_count", {"route": route})
    return requests or 0.0, times or 0.0


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("POST", "/predict", {"json": {"pattern": [0] * 18}}, 200),
        ("POST", "/predict", {"json": {"pattern": [0]}}, 400),
        ("POST", "/predict", {"content": b"x" * 20_000, "headers": {"Content-Type": "application/json"}}, 413),
        ("GET", "/model", {}, 500),
        ("GET", "/model", {"headers": {"Host": "attacker.example"}}, 421),
    ],
)
async def test_every_answer_is_counted_and_measured_whatever_its_status(
    method: str, path: str, more: dict[str, Any], status: int
) -> None:
    before = counted(path, method, status)
    assert (await ask(app(), method, path, **more)).status_code == status
    assert counted(path, method, status) == (before[0] + 1, before[1] + 1)


async def test_what_is_turned_away_because_of_the_crowd_is_counted_too() -> None:
    before = counted("/predict", "POST", 503)
    answered = await ask(app(Guard(max_waiting=0)), "POST", "/predict", json={"pattern": [0] * 18})
    assert answered.status_code == 503
    assert counted("/predict", "POST", 503) == (before[0] + 1, before[1] + 1)


async def test_an_outcome_is_a_body_and_none_in_the_address_is_read() -> None:
    good = {"game_id": "0022200776", "actual_differential": 7}
    nothing = await ask(app(), "POST", "/record_actual", params=good)
    assert nothing.status_code == 415
    empty = await ask(app(), "POST", "/record_actual", params=good, json={})
    assert {problem["field"] for problem in empty.json()["detail"]} == set(good)
    assert reached == []
    assert (await ask(app(), "POST", "/record_actual", json=good)).status_code == 200


def test_an_explanation_is_typed_and_holds_no_number_that_json_does_not_have() -> None:
    good = {
        "dejavu": 4.0, "lstm": 5.0, "persistence": 3.0, "weights": {"dejavu": 0.2, "lstm": 0.7, "persistence": 0.1},
        "similar": [],
    }  # fmt: skip
    assert Explanation.model_validate(good).dejavu == 4.0
    for wrong in (math.nan, math.inf, "four", None, {}):
        with pytest.raises(ValidationError):
            Explanation.model_validate(good | {"dejavu": wrong})
    assert Prediction.model_fields["explanation"].annotation is Explanation
