"""The board's HTTP routes: the page, nights and reports as JSON or HTML, probes and counters."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from services.board_live import Live
from services.board_night import night_body
from services.board_reads import SourceDownError
from services.board_reports import list_page, page, report_page

PAGE = Path(__file__).with_name("board_page")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
Read = TypeVar("Read")


class PageFiles(StaticFiles):
    """The page's own files. Each is asked for again (304 when unchanged): modules of two releases never mix."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, to be checked by whoever keeps it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["cache-control"] = "no-cache"
        return response


class LiveCollector(Collector):
    """The hub's own counters, read when scraped."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def collect(self) -> list[Metric]:
        """Clients, messages sent, clients dropped, events refused, whether the stream answers."""
        hub = self._live.hub
        return [
            GaugeMetricFamily("halftime_board_clients", "WebSocket clients connected", value=hub.clients),
            CounterMetricFamily("halftime_board_messages_sent", "Messages queued to clients", value=hub.sent),
            CounterMetricFamily("halftime_board_clients_dropped", "Clients dropped for being slow", value=hub.dropped),
            CounterMetricFamily(
                "halftime_board_events_refused", "Events that were malformed", value=self._live.refused
            ),
            GaugeMetricFamily(
                "halftime_board_stream_up", "1 when the event stream answers", value=self._live.stream_up
            ),
        ]


class Routes:
    """The HTTP routes; database reads run in threads, with a named answer when the database is away.

    ``plotly_url`` is where the page finds plotly.js, ``evidently_url`` where a browser finds Evidently's pages.
    """

    def __init__(self, live: Live, plotly_url: str, evidently_url: str | None = None) -> None:
        self._evidently_url = evidently_url
        self._page = (PAGE / "index.html").read_text(encoding="utf-8").replace("{{plotly}}", plotly_url)
        self._live = live
        self._store = live.store
        self._registry = CollectorRegistry()
        self._registry.register(LiveCollector(live))
        self._registry.register(live.lag)

    async def home(self, request: Request) -> Response:
        """The page."""
        return HTMLResponse(self._page, headers={"cache-control": "no-cache"})

    async def games(self, request: Request) -> Response:
        """The night that is on, or the one that ``?date=YYYY-MM-DD`` names."""
        wanted = request.query_params.get("date")
        nights = self._live.nights
        if not self._live.ready.is_set():
            return _json({"error": "the board is starting and has no state yet; ask again"}, 503)
        if wanted is None or wanted == nights.league_date:
            return _json({"last_id": self._live.hub.newest, **night_body(nights.league_date, nights.games())})
        if not _is_date(wanted):
            return _json({"error": f"date={wanted[:20]!r} is not a league date: write it as 2023-02-03"}, 400)
        found = await self._read(lambda: self._store.games(wanted))
        return found if isinstance(found, Response) else _json(night_body(wanted, found))

    async def nights(self, request: Request) -> Response:
        """League dates that have games, newest first."""
        found = await self._read(self._store.nights)
        return found if isinstance(found, Response) else _json({"nights": found})

    async def reports(self, request: Request) -> Response:
        """The list of reports."""
        found = await self._read(self._store.reports)
        if isinstance(found, Response):
            return HTMLResponse(page("Reports", "<h2>Reports cannot be read</h2><p>The database is down.</p>"), 503)
        return HTMLResponse(list_page(found, self._evidently_url))

    async def report(self, request: Request) -> Response:
        """One report as HTML."""
        found = await self._read(lambda: self._store.report(request.path_params["report_id"]))
        if isinstance(found, Response):
            return HTMLResponse(page("Report", "<h2>The report cannot be read</h2><p>The database is down.</p>"), 503)
        if found is None:
            return HTMLResponse(page("Report", "<h2>No such report</h2>"), 404)
        return HTMLResponse(report_page(found, self._evidently_url))

    async def report_json(self, request: Request) -> Response:
        """One report as it is stored."""
        found = await self._read(lambda: self._store.report(request.path_params["report_id"]))
        if isinstance(found, Response):
            return found
        return _json(found) if found is not None else _json({"error": "no such report"}, 404)

    async def livez(self, request: Request) -> Response:
        """This process runs; nothing else is asked."""
        return _json({"status": "live"})

    async def readyz(self, request: Request) -> Response:
        """200 once the state has been read and while the stream answers; the database is named but not required."""
        database = await self._read(self._store.ping)
        parts = {
            "state": "read" if self._live.ready.is_set() else "not read yet",
            "stream": "up" if self._live.stream_up else "down",
            "database": "down" if isinstance(database, Response) else "up",
        }
        ready = self._live.ready.is_set() and self._live.stream_up
        return _json({"status": "ready" if ready else "not ready", **parts}, 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Prometheus text of this process's hub."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    async def _read(self, call: Callable[[], Read]) -> Read | Response:
        try:
            return await self._live.reads(call)
        except SourceDownError:
            return _json({"error": "the database cannot be read just now; the live board goes on without it"}, 503)


def _json(body: Any, status: int = 200) -> Response:
    if status >= 400:
        return JSONResponse(body, status)
    return Response(msgspec.json.encode(body), media_type="application/json", headers={"cache-control": "no-store"})


def _is_date(text: str) -> bool:
    if not DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
