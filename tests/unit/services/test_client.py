"""The client: one prediction however often it must ask, and errors that say whose move it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.client import (
    AsyncForecasterClient,
    ForecasterBroken,
    ForecasterClient,
    ForecasterRefused,
    ForecasterUnavailable,
    RetryPolicy,
)

PATTERN = [1.0] * 18
Reply = httpx.Response | httpx.TransportError


def prediction(request: httpx.Request) -> httpx.Response:
    asked = json.loads(request.content)
    weights = {"dejavu": 0.5, "lstm": 0.5, "persistence": 0.0}
    body: dict[str, Any] = {
        "game_id": asked.get("game_id"), "point_forecast": 1.5, "interval_lower": -9.5, "interval_upper": 12.5,
        "coverage_probability": 0.95, "model_version": "3", "timestamp": datetime.now(UTC).isoformat(),
        "prediction_id": str(uuid4()), "request_id": asked["request_id"], "minute": asked.get("minute", 18),
        "model_digest": "d" * 64, "calibration_id": "c" * 16, "alpha": asked["alpha"], "code_version": "x",
        "explanation": {"dejavu": 1.0, "lstm": 2.0, "persistence": 1.0, "weights": weights, "similar": []},
        "distribution": {
            "first": -1, "probabilities": [0.25, 0.25, 0.5], "mean": 0.25, "sd": 0.83, "home_leads": 0.5, "tied": 0.25,
            "away_leads": 0.25, "quantiles": {"0.5": 0}, "intervals": [{"level": 0.5, "lower": -1.0, "upper": 1.0}],
            "above": [{"margin": margin, "probability": 0.5} for margin in asked.get("above", [])],
        },
        "context": {}, "logged": "spool", "a_field_of_tomorrow": 1,
    }  # fmt: skip
    return httpx.Response(200, json=body)


def refusal(status: int, **headers: str) -> httpx.Response:
    detail = [{"field": "pattern", "problem": "is short"}]
    return httpx.Response(status, json={"error": "Send 18.", "detail": detail}, headers=headers)


class Server:
    """Answers with the given replies in turn, then with predictions; remembers what was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies: Iterator[Reply] = iter(replies)
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content or b"{}"))
        reply = next(self.replies, None)
        if isinstance(reply, httpx.TransportError):
            raise reply
        return reply or prediction(request)


def client(server: Callable[[httpx.Request], httpx.Response], pauses: list[float] | None = None) -> ForecasterClient:
    sleep = (pauses if pauses is not None else []).append
    return ForecasterClient("http://forecaster", transport=httpx.MockTransport(server), sleep=sleep)


def test_prediction_is_typed_and_sent_with_only_what_was_given() -> None:
    server = Server()
    answer = client(server).predict(PATTERN, home="BOS", away="NYK", alpha=0.1)
    assert (answer.alpha, answer.minute, answer.logged) == (0.1, 18, "spool")
    assert set(server.bodies[0]) == {"pattern", "alpha", "home", "away", "request_id"}


def test_a_distribution_is_asked_about_and_typed() -> None:
    server = Server()
    answer = client(server).predict(PATTERN, above=[0.5, 7], levels=(0.99,))
    assert server.bodies[0]["above"] == [0.5, 7]
    assert server.bodies[0]["levels"] == [0.99]
    assert [one.margin for one in answer.distribution.above] == [0.5, 7]
    assert answer.distribution.intervals[0].level == 0.5


def test_date_and_possession_are_sent_as_the_api_takes_them() -> None:
    server = Server()
    client(server).predict(PATTERN, date=date(2023, 2, 3), possession="away")
    assert (server.bodies[0]["date"], server.bodies[0]["possession"]) == ("2023-02-03", "away")


def test_every_try_carries_the_same_request_id() -> None:
    server = Server(httpx.ConnectError("refused"), refusal(503), httpx.ReadTimeout("slow"))
    answer = client(server).predict(PATTERN)
    assert {body["request_id"] for body in server.bodies} == {answer.request_id}
    assert len(server.bodies) == 4
    named = Server(refusal(503))
    assert client(named).predict(PATTERN, request_id="night:1").request_id == "night:1"


def test_pauses_grow_and_honour_retry_after() -> None:
    pauses: list[float] = []
    client(Server(refusal(503), refusal(503), refusal(429, **{"Retry-After": "3"})), pauses).predict(PATTERN)
    assert 0.05 <= pauses[0] <= 0.15
    assert 0.1 <= pauses[1] <= 0.3
    assert pauses[2] == 3.0
    assert RetryPolicy().pause_s(1, 3600.0) == 5.0


@pytest.mark.parametrize("reply", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), 429, 502, 503, 504])
def test_trouble_that_does_not_pass_is_unavailable(reply: int | httpx.TransportError) -> None:
    server = Server(*[refusal(reply) if isinstance(reply, int) else reply] * 4)
    with pytest.raises(ForecasterUnavailable, match="no answer in 4 tries"):
        client(server).predict(PATTERN)
    assert len(server.bodies) == 4


@pytest.mark.parametrize("status", [400, 404, 409, 413, 415])
def test_refusal_is_not_tried_again_and_says_what_to_change(status: int) -> None:
    server = Server(refusal(status))
    with pytest.raises(ForecasterRefused, match=r"Send 18\.") as caught:
        client(server).predict(PATTERN)
    assert (caught.value.status, caught.value.detail[0].field) == (status, "pattern")
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "reply", [refusal(500), httpx.Response(302), httpx.Response(200, text="<html>"), httpx.Response(200, json={})]
)
def test_answer_that_is_none_is_broken(reply: httpx.Response) -> None:
    with pytest.raises(ForecasterBroken):
        client(Server(reply)).predict(PATTERN)


def test_nan_in_an_answer_is_broken() -> None:
    def server(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=prediction(request).content.replace(b"1.5", b"NaN"))

    with pytest.raises(ForecasterBroken):
        client(server).predict(PATTERN)


def test_error_without_our_shape_still_has_a_text() -> None:
    with pytest.raises(ForecasterRefused, match="no reason given"):
        client(Server(httpx.Response(418, text="teapot"))).predict(PATTERN)


def test_facts_outcomes_and_readiness() -> None:
    recorded = {
        "game_id": "0022200776", "actual_differential": 3, "status": "settled", "settled": 1, "error": 1.5,
        "covered": True,
    }  # fmt: skip
    replies = (
        httpx.Response(200, json=recorded),
        httpx.Response(200, json={"version": "3"}),
        httpx.Response(200, json=[]),
    )
    with client(Server(*replies, httpx.Response(503), httpx.ConnectError("refused"))) as one:
        assert one.record_actual("0022200776", 3).covered is True
        assert one.model() == {"version": "3"}
        with pytest.raises(ForecasterBroken):
            one.summary()
        assert not one.is_ready()
        assert not one.is_ready()


async def test_of_a_key_files_text_the_first_line_is_sent() -> None:
    sent: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("authorization"))
        return httpx.Response(200, json={"version": "3"})

    transport = httpx.MockTransport(answer)
    for text in ("the-old-key\nthe-new-key\n", "\n  the-old-key \r\nthe-new-key", "the-old-key", None):
        with ForecasterClient("http://forecaster", transport=transport, api_key=text) as one:
            one.model()
        async with AsyncForecasterClient("http://forecaster", transport=transport, api_key=text) as other:
            await other.model()
    assert sent == ["Bearer the-old-key"] * 6 + [None, None]


@pytest.mark.parametrize("text", ["", "\n", " \n\t\n"])
def test_a_text_without_a_key_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="api_key holds no key"):
        ForecasterClient("http://forecaster", api_key=text)
    with pytest.raises(ValueError, match="api_key holds no key"):
        AsyncForecasterClient("http://forecaster", api_key=text)


async def test_async_client_does_the_same() -> None:
    server = Server(httpx.ConnectError("refused"), refusal(503))
    retry = RetryPolicy(tries=3, first_pause_s=0.001)
    transport = httpx.MockTransport(server)
    async with AsyncForecasterClient("http://forecaster", retry=retry, transport=transport) as one:
        answer = await one.predict(PATTERN, minute=18)
        assert {body["request_id"] for body in server.bodies} == {answer.request_id}
        server.replies = iter([refusal(400)])
        with pytest.raises(ForecasterRefused):
            await one.predict(PATTERN)
        server.replies = iter([refusal(503)] * 3)
        with pytest.raises(ForecasterUnavailable):
            await one.record_actual("0022200776", 3)
        server.replies = iter([httpx.Response(200, json={"version": "3"}), httpx.Response(200)])
        assert await one.model() == {"version": "3"}
        assert await one.is_ready()
