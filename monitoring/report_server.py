"""Evidently's UI, and Evidently's page of any stored report. ``python -m monitoring.report_server`` serves both.

/html/7      the page of report 7, made from the table `reports` when somebody asks for it
/            Evidently's UI over the folder that `monitoring.workspace` fills

The board leads here; it never imports Evidently itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from html import escape
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
import uvicorn
from sqlalchemy import Engine, RowMapping, text
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from monitoring.report_page import SnapshotError, page_maker, report_html
from monitoring.reports import SNAPSHOT
from monitoring.workspace import workspace_path
from services.board_reads import Reads, SourceDownError
from services.board_security import SecurityHeaders
from services.board_server import listen
from services.database import StoreError, make_engine, transaction
from services.hosts import KnownHosts
from services.settings import Settings, SettingsError, get_settings
from services.telemetry import configure_logging

log = structlog.get_logger("report_server")

GRACE_S = 3
LARGEST_ID = 2**63 - 1
REPORT = "SELECT digest, kind, body FROM reports WHERE id = :id"
# A page's own policy names its scripts. This one, which a page cannot carry itself, makes of it a stranger to the UI
# beside it: whatever ran in it could reach neither the UI's API nor anything else.
PAGE_POLICY = "sandbox allow-scripts allow-downloads; frame-ancestors 'none'"
NOTE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
UI_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


class ReportPages:
    """Answers with the page of a stored report, or a sentence that says why there is none."""

    def __init__(self, engine: Engine, board_url: str, reads: Reads) -> None:
        self._engine, self._board_url, self._reads = engine, board_url, reads
        # A tenth of a second and 4 MB each: one at a time.
        self._one = asyncio.Lock()

    async def respond(self, request: Request) -> Response:
        """The page of ``report_id``; 404 where there is none, 503 while the database is away."""
        asked = request.path_params["report_id"]
        report_id = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 20 else 0
        if not 0 < report_id <= LARGEST_ID:
            return self._note(404, f"{asked[:40]!r} is not the number of a report: write it as /html/7.")
        try:
            row = await self._reads(lambda: self._row(report_id))
        except (StoreError, SourceDownError) as error:
            log.warning("a report cannot be read", report_id=report_id, error=str(error))
            return self._note(503, "The database cannot be read just now: try again when it answers.", report_id)
        if row is None:
            return self._note(404, f"There is no report {report_id}.")
        body: Mapping[str, Any] = row["body"]
        if body.get(SNAPSHOT) is None:
            about = body.get("message", f"a report of kind {row['kind']} has no page of Evidently's")
            return self._note(404, f"Report {report_id} has no such page: {about}.", report_id)
        board_page = self._board_page(report_id)
        # The digest and not the number: another database has other reports by the same numbers.
        made_of = "\0".join((row["digest"], page_maker(), board_page))
        etag = f'"{hashlib.sha256(made_of.encode()).hexdigest()[:32]}"'
        headers = {"content-security-policy": PAGE_POLICY, "cache-control": "private, no-cache", "etag": etag}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)

        def make() -> str:
            return report_html(body, board_page=board_page) or ""

        try:
            async with self._one:
                page = await run_in_threadpool(make)
        except SnapshotError as error:
            log.error("a snapshot cannot be shown", report_id=report_id, error=str(error))
            return self._note(500, f"{error}.", report_id)
        return HTMLResponse(page, headers=headers)

    def _row(self, report_id: int) -> RowMapping | None:
        with transaction(self._engine) as connection:
            return connection.execute(text(REPORT), {"id": report_id}).mappings().first()

    def _board_page(self, report_id: int) -> str:
        return f"{self._board_url}/reports/{report_id}"

    def _note(self, status: int, sentence: str, report_id: int | None = None) -> Response:
        where = self._board_page(report_id) if report_id else f"{self._board_url}/reports"
        name = "This report on the board" if report_id else "All reports on the board"
        page = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Report: Halftime</title>'
            "<style>body { font: 16px/1.5 system-ui, sans-serif; margin: 32px }</style></head><body>"
            f'<p>{escape(sentence)}</p><p><a href="{escape(where)}">{name}</a></p></body></html>'
        )
        return HTMLResponse(page, status, {"content-security-policy": NOTE_POLICY, "cache-control": "no-store"})


def evidently_ui(folder: Path) -> Any:
    """Evidently's own application over ``folder``; it tells nobody that it is used."""
    # Seconds and hundreds of megabytes: not for whoever only imports this module.
    from evidently.ui.service.app import create_app as make
    from evidently.ui.service.app import get_config

    config = get_config(workspace=str(folder))
    config.telemetry.enabled = False
    return make(config)


def create_app(pages: ReportPages, ui: Any, allowed_hosts: Collection[str] = ()) -> Starlette:
    """The pages beside ``ui``, an ASGI application with a ``lifespan()`` of its own.

    The UI asks for no password, and a page of elsewhere must not come to it under a name of its own: it answers under
    addresses, localhost and ``allowed_hosts`` alone.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with ui.lifespan():
            yield

    mounted: ASGIApp = ui
    return Starlette(
        routes=[Route("/html/{report_id}", pages.respond), Mount("/", mounted)],
        middleware=[Middleware(SecurityHeaders, policy=UI_POLICY), Middleware(KnownHosts, allowed=allowed_hosts)],
        lifespan=lifespan,
    )


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises SettingsError, and OSError when the port is taken."""
    engine = make_engine(settings.resolved_database_url, application="halftime-reports", pool_size=1)
    folder = workspace_path(settings)
    pages = ReportPages(engine, settings.board_url, Reads())
    with listen(settings.host, settings.evidently_port) as listener:
        app = create_app(pages, evidently_ui(folder), (settings.host, *settings.allowed_hosts))
        # Making the UI puts its own form of log in the place of ours.
        configure_logging(settings.log_level)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_S
        )
        log.info("reports are served", url=f"http://{settings.host}:{listener.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listener])


class _Left(BaseException):
    """A signal asked this process to end."""


def _leave(number: int, frame: FrameType | None) -> None:
    raise _Left


def main() -> int:
    """Serve until a signal; 2 when a setting cannot be used, 1 when the port is taken."""
    # uvicorn gives a signal back to the handler it found, after everything has ended in order.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        settings = get_settings()
        configure_logging(settings.log_level)
        with contextlib.suppress(_Left):
            serve(settings)
    except SettingsError as error:
        print(f"reports: {error}", file=sys.stderr)  # noqa: T201 - logging may not be configured yet
        return 2
    except OSError as error:
        log.error("the reports cannot be served: free the port or set HALFTIME_EVIDENTLY_PORT", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    # A frozen database still holds its reader threads, which a normal exit would wait for.
    logging.shutdown()
    os._exit(code)
