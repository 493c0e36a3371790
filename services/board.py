"""The live board: one page, its WebSocket, and a few reads. ``python -m services.board`` serves it.

/            the page                   /api/games?date=   a night as JSON
/ws          state, then events         /api/nights        league dates played here
/reports     reports, newest first      /livez /readyz /metrics
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from services.board_live import Live, NightStore
from services.board_routes import PAGE, Routes
from services.board_security import SecurityHeaders
from services.board_socket import BoardSocket


def create_app(
    live: Live, store: NightStore, *, allowed_origins: tuple[str, ...] = (), on_stop: Callable[[], None] | None = None
) -> Starlette:
    """The ASGI app over ``live`` and ``store``; its lifespan runs ``live`` and at the end calls ``on_stop``."""
    routes = Routes(live, store)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        following = asyncio.create_task(live.run())
        try:
            yield
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
            if on_stop is not None:
                on_stop()

    return Starlette(
        routes=[
            Route("/", routes.home),
            Route("/api/games", routes.games),
            Route("/api/nights", routes.nights),
            Route("/api/reports/{report_id:int}", routes.report_json),
            Route("/reports", routes.reports),
            Route("/reports/{report_id:int}", routes.report),
            Route("/livez", routes.livez),
            Route("/readyz", routes.readyz),
            Route("/metrics", routes.metrics),
            WebSocketRoute("/ws", BoardSocket(live.hub, allowed_origins)),
            Mount("/static", StaticFiles(directory=PAGE), name="static"),
        ],
        middleware=[Middleware(SecurityHeaders), Middleware(GZipMiddleware, minimum_size=1000)],
        lifespan=lifespan,
    )
