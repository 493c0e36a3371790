"""The replay over HTTP: the live feed's paths, and a few of its own under ``/replay``.

GET  /static/json/liveData/scoreboard/todaysScoreboard_00.json
GET  /static/json/liveData/playbyplay/playbyplay_{game_id}.json     404 before the game's first play
GET  /replay/state                                                  ReplayState as JSON
POST /replay/start                                                  let the clock run
POST /replay/misbehave                                              rules as text or JSON; an empty body ends faults
"""

from __future__ import annotations

import asyncio
import re
import zlib
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.replay_night import STALE_S, Night
from services.replay_rules import Kind, RuleError, parse_rules

LIVE_DATA: Final = "/static/json/liveData"
_PLAYS_FILE = re.compile(r"playbyplay_(00[1-6][0-9]{7})\.json")
_HANG_S: Final = 60.0
_RETRY_AFTER_S: Final = 2
_FORBIDDEN: Final = b"<HTML><HEAD><TITLE>Access Denied</TITLE></HEAD><BODY><H1>Access Denied</H1></BODY></HTML>"


def create_app(night: Night) -> Starlette:
    """The ASGI application that shows ``night``."""

    async def scoreboard(request: Request) -> Response:
        fault = night.fault("scoreboard", None)
        at_s = _shown_at(night, fault)
        return await _answer(request, night.scoreboard(at_s), at_s, fault)

    async def playbyplay(request: Request) -> Response:
        named = _PLAYS_FILE.fullmatch(request.path_params["file"])
        game_id = named[1] if named else None
        fault = night.fault("playbyplay", game_id)
        at_s = _shown_at(night, fault)
        return await _answer(request, night.playbyplay(game_id, at_s) if game_id else None, at_s, fault)

    async def state(request: Request) -> Response:
        return _json(night)

    async def start(request: Request) -> Response:
        night.clock.start()
        return _json(night)

    async def misbehave(request: Request) -> Response:
        try:
            rules = parse_rules((await request.body()).decode())
            if rules:
                night.misbehave(rules)
            else:
                night.behave()
        except (RuleError, UnicodeDecodeError) as error:
            return Response(f"{error}\n", 400, media_type="text/plain")
        return Response(msgspec.json.encode(night.rules), media_type="application/json")

    return Starlette(
        routes=[
            Route(f"{LIVE_DATA}/scoreboard/todaysScoreboard_00.json", scoreboard),
            Route(f"{LIVE_DATA}/playbyplay/{{file}}", playbyplay),
            Route("/replay/state", state),
            Route("/replay/start", start, methods=["POST"]),
            Route("/replay/misbehave", misbehave, methods=["POST"]),
        ]
    )


def _json(night: Night) -> Response:
    return Response(msgspec.json.encode(night.state()), media_type="application/json")


def _shown_at(night: Night, fault: Kind | None) -> float:
    """Feed time of the file to show; a stale copy is older than the clock."""
    return night.clock.now_s() - (STALE_S if fault == "stale" else 0.0)


async def _answer(request: Request, body: bytes | None, at_s: float, fault: Kind | None) -> Response:
    if fault == "timeout":
        await asyncio.sleep(_HANG_S)
    if fault == "blocked":
        return Response(_FORBIDDEN, 403, media_type="text/html")
    if fault == "throttled":
        return Response(b"Too Many Requests", 429, {"Retry-After": str(_RETRY_AFTER_S)}, "text/plain")
    if fault == "server_error":
        return Response(b"Internal Server Error", 500, media_type="text/plain")
    if body is None:
        return Response(b"Not Found", 404, media_type="text/plain")
    if fault == "truncated":
        return Response(body[: len(body) * 2 // 3], media_type="application/json")
    etag = f'"{zlib.crc32(body):08x}-{len(body):x}"'
    modified = format_datetime(datetime.fromtimestamp(int(at_s), UTC), usegmt=True)
    headers = {"ETag": etag, "Last-Modified": modified, "Cache-Control": "max-age=0"}
    if request.headers.get("If-None-Match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")
