"""The pages that are read with GET: what is served, how it did, what works, and the documentation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bentos.champion import NoModelError
from bentos.database import DatabaseDownError
from bentos.edge import ARRIVAL, error_response
from bentos.engine import Engine
from bentos.instruments import exposition
from bentos.openapi import DOCS_PAGE, document
from bentos.summary import summary

Page = Callable[[Request], Awaitable[Response]]


def pages(engine: Callable[[], Engine]) -> Starlette:
    """The routes; ``engine`` gives the worker's engine once it runs."""

    async def model(_: Request) -> Response:
        try:
            return JSONResponse(engine().champion.model.facts())
        except NoModelError:
            return _not_now(engine().unready() or "The model has just been loaded. Try again.")

    async def figures(_: Request) -> Response:
        try:
            return JSONResponse(await engine().database.call(summary))
        except DatabaseDownError as error:
            return _not_now(str(error))

    async def health(_: Request) -> Response:
        body = engine().health()
        return JSONResponse(body, 503 if body["status"] == "not ready" else 200)

    async def metrics(_: Request) -> Response:
        text, kind = exposition()
        return Response(text, media_type=kind)

    async def docs(_: Request) -> Response:
        return HTMLResponse(DOCS_PAGE)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document())

    async def index(_: Request) -> Response:
        return RedirectResponse("./docs")

    routes: dict[str, Page] = {
        "/": index,
        "/docs": docs,
        "/openapi.json": openapi,
        "/model": model,
        "/metrics": metrics,
        "/metrics/summary": figures,
        "/health": health,
    }
    return Starlette(routes=[Route(path, page, methods=["GET"]) for path, page in routes.items()])


def _not_now(sentence: str) -> Response:
    return error_response(503, sentence, http_id=ARRIVAL.get().http_id, retry_after_s=2)
