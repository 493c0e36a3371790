"""Who may ask the forecaster, how much at once, and for how long."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bentos.edge import Edge
from bentos.guard import GUARDED, Guard, read_keys
from services.settings import Settings, SettingsError

KEY = "0123456789abcdef0123"
NEXT = "another-key-of-this-test"
OUTCOME = {"game_id": "0022200776", "actual_differential": 7}
PATTERN = {"pattern": [0] * 18}
Answer = Callable[[Request], Awaitable[Response]]


async def good(_: Request) -> Response:
    return JSONResponse({"ok": True})


def edge(guard: Guard, answer: Answer = good) -> Edge:
    paths = ("/predict", "/record_actual", "/metrics/summary", "/livez", "/model")
    return Edge(Starlette(routes=[Route(path, answer, methods=["GET", "POST"]) for path in paths]), guard=guard)


async def ask(
    app: Edge, method: str, path: str, *, client: str = "127.0.0.1", host: str | None = None, **more: Any
) -> httpx.Response:
    headers = more.pop("headers", {}) | ({} if host is None else {"Host": host})
    transport = httpx.ASGITransport(app=app, client=(client, 5), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        return await http.request(method, path, headers=headers, **more)


def guarded(path: str) -> dict[str, Any]:
    """Method, path and body of a guarded call."""
    return (
        {"method": "POST", "path": path, "json": OUTCOME}
        if path == "/record_actual"
        else {"method": "GET", "path": path}
    )


@pytest.mark.parametrize("path", sorted(GUARDED))
async def test_without_a_key_this_machine_alone_may_write_outcomes_and_read_figures(path: str) -> None:
    app = edge(Guard())
    assert (await ask(app, **guarded(path))).status_code == 200
    assert (await ask(app, **guarded(path), client="::1")).status_code == 200
    refused = await ask(app, **guarded(path), client="10.0.0.7")
    assert refused.status_code == 403
    assert "HALFTIME_API_KEY_FILE" in refused.json()["error"]
    assert (await ask(app, "POST", "/predict", json=PATTERN, client="10.0.0.7")).status_code == 200


@pytest.mark.parametrize("path", sorted(GUARDED))
@pytest.mark.parametrize(
    "sent",
    [None, "", "Bearer", f"bearer {KEY}", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", KEY, f"Basic {KEY}", "Bearer \xff"],
)
async def test_with_a_key_nobody_may_without_it_not_even_this_machine(path: str, sent: str | None) -> None:
    headers = {} if sent is None else {"Authorization": sent.encode("latin-1")}
    refused = await ask(edge(Guard(keys=(SecretStr(KEY),))), **guarded(path), headers=headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert KEY not in refused.text
    assert refused.json()["request_id"] == refused.headers["x-request-id"]


@pytest.mark.parametrize("path", sorted(GUARDED))
async def test_the_key_lets_in_from_anywhere(path: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    app = edge(Guard(keys=(SecretStr(KEY),)))
    assert (await ask(app, **guarded(path), headers=headers, client="10.0.0.7")).status_code == 200


@pytest.mark.parametrize("path", sorted(GUARDED))
async def test_each_of_several_keys_lets_in_and_nothing_made_of_them_does(path: str) -> None:
    app = edge(Guard(keys=(SecretStr(KEY), SecretStr(NEXT))))
    for sent, status in (
        (KEY, 200), (NEXT, 200), (KEY + NEXT, 401), (f"{KEY} {NEXT}", 401), (f"{KEY}, Bearer {NEXT}", 401),
        (KEY[:-1], 401), (NEXT[:-1], 401), ("", 401),
    ):  # fmt: skip
        answered = await ask(app, **guarded(path), headers={"Authorization": f"Bearer {sent}"}, client="10.0.0.7")
        assert answered.status_code == status, sent


@pytest.mark.parametrize("sent", [KEY, NEXT, "neither-of-the-two-keys"])
async def test_each_request_is_compared_with_every_key_in_constant_time(
    sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return hmac.compare_digest(one, other)

    monkeypatch.setattr("bentos.guard.compare_digest", compare)
    app = edge(Guard(keys=(SecretStr(KEY), SecretStr(NEXT))))
    await ask(app, "GET", "/metrics/summary", headers={"Authorization": f"Bearer {sent}"})
    assert compared == [f"Bearer {KEY}".encode(), f"Bearer {NEXT}".encode()]


async def test_another_method_or_a_trailing_slash_does_not_come_past_the_key() -> None:
    app = edge(Guard(keys=(SecretStr(KEY),)))
    assert (await ask(app, "GET", "/record_actual")).status_code == 401
    assert (await ask(app, "POST", "/record_actual/", json=OUTCOME)).status_code != 200
    assert (await ask(app, "POST", "//record_actual", json=OUTCOME)).status_code != 200


def test_without_a_key_it_serves_on_loopback_alone(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        assert Guard.of(Settings(host=host, home=tmp_path)).keys == ()
    for host in ("0.0.0.0", "10.0.0.7", "::", "halftime.example"):
        with pytest.raises(SettingsError, match=f"HALFTIME_HOST={host}.*HALFTIME_API_KEY_FILE"):
            Guard.of(Settings(host=host, home=tmp_path))
    (tmp_path / "key").write_text(f"{KEY}\n")
    made = Guard.of(Settings(host="0.0.0.0", home=tmp_path, api_key_file=tmp_path / "key"))
    assert made.keys == (SecretStr(KEY),)
    assert KEY not in repr(made)


@pytest.mark.parametrize("content", [b"", b"short\n", "schlüssel-schlüssel".encode(), b"0123456789\x00abcdef0123"])
def test_a_key_that_cannot_be_used_is_refused_without_being_repeated(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError, match="HALFTIME_API_KEY_FILE") as caught:
        read_keys(tmp_path / "key")
    assert "short" not in str(caught.value)
    with pytest.raises(SettingsError, match="FileNotFoundError"):
        read_keys(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"\n", b" \n\t\r\n\n"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError, match=r"HALFTIME_API_KEY_FILE=.*holds no key"):
        read_keys(tmp_path / "key")


@pytest.mark.parametrize("content", [f"{KEY}\n{NEXT}", f"{KEY}\r\n{NEXT}\r\n", f"\n  {KEY} \n\n\t\n{NEXT}\n\n"])
def test_a_file_holds_a_key_a_line_and_blank_lines_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_bytes(content.encode())
    assert read_keys(tmp_path / "key") == (SecretStr(KEY), SecretStr(NEXT))
    made = Guard.of(Settings(host="0.0.0.0", home=tmp_path, api_key_file=tmp_path / "key"))
    assert made.keys == (SecretStr(KEY), SecretStr(NEXT))
    assert KEY not in repr(made)
    assert NEXT not in repr(made)


@pytest.mark.parametrize("bad", ["short", f"{NEXT}\x00", f"a{NEXT}\x1cb{NEXT}"])
def test_one_bad_line_refuses_the_file_by_its_number_and_no_line_is_repeated(tmp_path: Path, bad: str) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n\n{bad}\n{NEXT}\n")
    with pytest.raises(
        SettingsError, match=rf"line 3 of HALFTIME_API_KEY_FILE=\S+ has {len(bad)} characters"
    ) as caught:
        read_keys(tmp_path / "key")
    for word in (KEY, NEXT, "short"):
        assert word not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8080", True), ("localhost:1", True), ("LOCALHOST", True), ("[::1]:8080", True), ("10.1.2.3", True),
        ("forecaster.halftime", True), ("Forecaster.Halftime.:8080", True), ("attacker.example", False),
        ("127.0.0.1.attacker.example", False), ("localhost.attacker.example:8080", False), ("", False),
    ],
)  # fmt: skip
async def test_only_addresses_and_known_names_are_answered(host: str, known: bool) -> None:
    app = edge(Guard(names=("forecaster.halftime",)))
    answered = await ask(app, "GET", "/model", host=host)
    assert answered.status_code == (200 if known else 421)
    if not known:
        assert "HALFTIME_ALLOWED_HOSTS" in answered.json()["error"]


async def test_too_many_at_once_are_asked_to_come_back_and_probes_still_pass() -> None:
    begun, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def slow(request: Request) -> Response:
        if request.url.path == "/predict":
            begun.release()
            await go_on.wait()
        return JSONResponse({})

    app = edge(Guard(max_waiting=2), slow)
    both = [asyncio.create_task(ask(app, "POST", "/predict", json=PATTERN)) for _ in range(2)]
    for _ in both:
        await begun.acquire()
    refused = await ask(app, "POST", "/predict", json=PATTERN)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "busy" in refused.json()["error"]
    assert (await ask(app, "GET", "/livez")).status_code == 200
    go_on.set()
    assert [answer.status_code for answer in await asyncio.gather(*both)] == [200, 200]
    assert (await ask(app, "POST", "/predict", json=PATTERN)).status_code == 200


async def test_a_body_that_comes_slowly_takes_nobodys_place() -> None:
    app = edge(Guard(max_waiting=1))
    asked, rest = asyncio.Event(), asyncio.Event()

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    chunks = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.request", "body": json.dumps(PATTERN).encode()[1:], "more_body": False},
    ]

    async def receive() -> Any:
        if len(chunks) == 1:
            asked.set()
            await rest.wait()
        return chunks.pop(0)

    scope = {
        "type": "http", "method": "POST", "path": "/predict", "query_string": b"", "client": ("127.0.0.1", 5),
        "headers": [(b"content-type", b"application/json")],
    }  # fmt: skip
    slow = asyncio.create_task(app(scope, receive, send))
    await asked.wait()
    assert (await ask(app, "POST", "/predict", json=PATTERN)).status_code == 200
    rest.set()
    await slow
    assert sent[0]["status"] == 200


async def test_after_the_deadline_it_is_503_once_whatever_comes_later() -> None:
    late, ended = asyncio.Event(), asyncio.Event()

    async def stubborn(_: Request) -> Response:
        # As a thread that computes: being cancelled does not end it.
        while not late.is_set():
            try:
                await late.wait()
            except asyncio.CancelledError:
                continue
        ended.set()
        return JSONResponse({"error": "late", "detail": []}, 500)

    app = edge(Guard(deadline_s=0.01), stubborn)
    answered = await ask(app, "POST", "/predict", json=PATTERN)
    assert (answered.status_code, answered.headers["retry-after"]) == (503, "1")
    assert "same request_id" in answered.json()["error"]
    late.set()
    await ended.wait()
    assert (await ask(edge(Guard(deadline_s=0.01)), "POST", "/predict", json=PATTERN)).status_code == 200


async def test_a_fault_while_answering_is_still_a_500_with_an_id() -> None:
    async def broken(_: Request) -> Response:
        raise RuntimeError("secret")

    answered = await ask(edge(Guard(), broken), "POST", "/predict", json=PATTERN)
    assert answered.status_code == 500
    assert "secret" not in answered.text


async def test_no_other_origin_is_let_in_by_a_preflight() -> None:
    asked = {"Origin": "https://attacker.example", "Access-Control-Request-Method": "POST"}
    answered = await ask(edge(Guard()), "OPTIONS", "/record_actual", headers=asked)
    assert answered.status_code == 405
    assert [name for name in answered.headers if name.startswith("access-control")] == []
