"""The live board: one page, its WebSocket, and a few reads. ``python -m services.board`` serves it.

/            the page                   /api/games?date=   a night as JSON
/ws          state, then events         /api/nights        league dates played here
/reports     reports, newest first      /livez /readyz /metrics
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from types import FrameType
from typing import Annotated, NoReturn

import typer
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Route, WebSocketRoute

from services.board_live import Live
from services.board_plotly import PlotlyMissingError, plotly_script
from services.board_reads import SourceDownError
from services.board_routes import PAGE, PageFiles, Routes
from services.board_security import SecurityHeaders
from services.board_server import listen, make_server
from services.board_socket import BoardSocket
from services.board_store import BoardStore
from services.broadcast import AsyncBroadcast, Batch, BroadcastUnavailable
from services.database import make_engine
from services.hosts import KnownHosts
from services.settings import Settings, SettingsError, get_settings
from services.telemetry import configure_logging
from services.trace_spans import exporting

log = logging.getLogger("board")


class CrashError(RuntimeError):
    """The board ended by a fault of its own."""


class StreamSource:
    """The Redis event stream as the board reads it."""

    def __init__(self, broadcast: AsyncBroadcast) -> None:
        self._broadcast = broadcast

    async def read_after(self, last_id: str, *, block_ms: int, count: int) -> Batch:
        """Events after ``last_id``, and where to read on. Raises SourceDownError."""
        try:
            return await self._broadcast.read_after(last_id, block_ms=block_ms, count=count)
        except BroadcastUnavailable as error:
            raise SourceDownError(str(error)) from error


def create_app(
    live: Live,
    *,
    allowed_origins: tuple[str, ...] = (),
    allowed_hosts: tuple[str, ...] = (),
    evidently_url: str | None = None,
    on_crash: Callable[[], None] | None = None,
    on_stop: Callable[[], Awaitable[None]] | None = None,
) -> Starlette:
    """The ASGI app over ``live``; its lifespan runs ``live``.

    ``evidently_url`` is where its reports link Evidently's own pages, nowhere when unset. ``on_crash`` is called when
    following the stream ends by a fault: a board that no longer follows must not go on serving an old state.
    ``on_stop`` is awaited at the end. Raises PlotlyMissingError.
    """
    plotly = plotly_script()
    routes = Routes(live, f"/plotly/{plotly.name}", evidently_url)

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("following the event stream failed", exc_info=error)
            live.stream_up = False
            if on_crash is not None:
                on_crash()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        following = asyncio.create_task(live.run())
        following.add_done_callback(ended)
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])
            if on_stop is not None:
                await on_stop()

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
            Route("/healthz", routes.livez),
            Route("/metrics", routes.metrics),
            WebSocketRoute("/ws", BoardSocket(live.hub, live.ready, allowed_origins)),
            Route("/plotly/{name}", plotly.respond),
            Mount("/static", PageFiles(directory=PAGE), name="static"),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(KnownHosts, allowed=allowed_hosts),
            Middleware(GZipMiddleware, minimum_size=1000),
        ],
        lifespan=lifespan,
    )


def serve(settings: Settings, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises SettingsError, PlotlyMissingError, CrashError, and OSError when the port is taken.
    """
    broadcast = AsyncBroadcast(settings.resolved_redis_url)
    engine = make_engine(settings.resolved_database_url, application="halftime-board")
    live = Live(StreamSource(broadcast), BoardStore(engine))
    crashed = asyncio.Event()

    def crash() -> None:
        crashed.set()
        server.should_exit = True

    app = create_app(
        live,
        allowed_origins=settings.allowed_origins,
        allowed_hosts=(settings.host, *settings.allowed_hosts),
        evidently_url=settings.resolved_evidently_url,
        on_crash=crash,
        on_stop=broadcast.close,
    )
    server = make_server(app, live.hub)
    with listen(host, port) as listener, exporting(settings.otlp_endpoint, "board"):
        bound = listener.getsockname()[1]
        log.info("board listens on http://%s:%s", host, bound)
        server.run(sockets=[listener])
    if crashed.is_set():
        raise CrashError("following the event stream failed; the log says why")


class _Left(BaseException):
    """A signal asked this process to end."""


def _leave(number: int, frame: FrameType | None) -> None:
    raise _Left


def main(
    host: Annotated[str | None, typer.Option(help="Address to bind; default HALFTIME_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port, 0 for a free one; default HALFTIME_BOARD_PORT.")] = None,
) -> None:
    """Serve the live board: the page, its WebSocket and a few reads."""
    settings = get_settings()
    configure_logging(settings.log_level)
    chosen = settings.board_port if port is None else port
    # uvicorn gives a signal back to the handler it found, after everything has ended in order.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        with contextlib.suppress(_Left):
            serve(settings, host or settings.host, chosen)
    except (SettingsError, PlotlyMissingError) as error:
        typer.echo(f"board: {error}", err=True)
        raise typer.Exit(2) from error
    except OSError as error:
        typer.echo(f"board: port {chosen} cannot be used ({error.strerror}); set HALFTIME_BOARD_PORT", err=True)
        raise typer.Exit(2) from error
    except CrashError:
        _end(1)
    _end(0)


def _end(code: int) -> NoReturn:
    # A frozen database still holds its reader threads, which a normal exit would wait for.
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    typer.run(main)
