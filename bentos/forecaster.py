"""The forecaster as a BentoML service: ``bentoml serve bentos.forecaster:Forecaster``.

BentoML runs the workers, their socket and the thread pool. What it would do itself but not strictly enough is switched
off: its validation (the edge checks first), its metrics (their label is the raw path, which any sender can make grow
without end) and its access log.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

# Nothing is reported to anybody, and spans that nobody collects cost more than the forecast.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("OTEL_SDK_DISABLED", "true")

import bentoml
from starlette.responses import Response

from bentos.champion import NoModelError
from bentos.contracts import PredictRequest, RecordActualRequest, RequestRefused
from bentos.database import DatabaseDownError
from bentos.edge import ARRIVAL, Edge, error_response
from bentos.engine import Engine, sentence
from bentos.guard import Guard
from bentos.loading import finder, loader, substitute
from bentos.pages import pages
from services.answer import Prediction, Recorded
from services.idempotency import AnswersUnavailableError
from services.settings import get_settings
from services.spool import SpoolError
from services.telemetry import configure_logging
from services.trace_spans import exporting

THREADS = 16
RETRY_AFTER_S = 2
PR_SET_PDEATHSIG = 1
FIRST_LOOK_S = 10.0

log = logging.getLogger(__name__)


@bentoml.service(
    name="halftime",
    workers=get_settings().forecaster_workers,
    threads=THREADS,
    traffic={"timeout": 30},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(pages(lambda: running().engine), path="/")
class Forecaster:
    """Forecasts the margin at halftime of an NBA game being played. See /docs."""

    def __init__(self) -> None:
        die_with_server()
        configure_logging(get_settings().log_level)
        _no_access_log()
        self._open = ExitStack()
        self._open.enter_context(exporting(get_settings().otlp_endpoint, "forecaster"))
        self.engine = Engine(get_settings(), loader(get_settings()), finder(get_settings()), substitute(get_settings()))
        # The workers share one socket: a worker that has no model yet must not take requests from those that have one.
        self.engine.start(FIRST_LOOK_S)

    @bentoml.api(route="/predict", output_spec=Prediction)
    def predict(self, request: PredictRequest, /) -> Response:
        """Forecast the margin at halftime from the margins of the minutes played."""
        try:
            arrival = ARRIVAL.get()
            body = self.engine.predict(request, arrival.idempotency_key, arrival.trace)
        except Exception as error:  # noqa: BLE001 - the service's edge: every error gets its status and sentence
            return failure(error)
        return Response(body, media_type="application/json")

    @bentoml.api(route="/record_actual", output_spec=Recorded)
    async def record_actual(self, request: RecordActualRequest, /) -> Response:
        """Record the margin at halftime of a game and settle its official forecasts."""
        try:
            recorded = await self.engine.record_actual(request)
        except Exception as error:  # noqa: BLE001 - as above
            return failure(error)
        return Response(recorded.model_dump_json(), media_type="application/json")

    async def __is_ready__(self) -> bool:
        return self.engine.unready() is None

    @bentoml.on_shutdown
    def close(self) -> None:
        """Leave nothing half done."""
        self.engine.close()
        self._open.close()


def die_with_server() -> None:
    """A worker ends when its ``bentoml serve`` is killed; left behind it would hold the port against the next one."""
    if not sys.argv[0].endswith("_bentoml_impl/worker/service.py") or not Path("/proc/self").exists():
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if b"bentoml" not in Path(f"/proc/{os.getppid()}/cmdline").read_bytes():  # it was killed before we asked
        os.kill(os.getpid(), signal.SIGTERM)


def _no_access_log() -> None:
    """uvicorn writes a line for every request as long as its access logger leads anywhere."""
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False


def running() -> Forecaster:
    """The service of this worker process."""
    service: Forecaster = bentoml.get_current_service()
    return service


def failure(error: Exception) -> Response:
    """An error as an answer: what the sender can change, what will pass, or an id and a line in the log."""
    http_id = ARRIVAL.get().http_id
    if isinstance(error, RequestRefused):
        return error_response(error.status, error.sentence, error.problems, http_id=http_id)
    if isinstance(error, NoModelError | SpoolError | AnswersUnavailableError | DatabaseDownError):
        log.warning("request %s: %s", http_id, error)
        return error_response(503, f"{sentence(error)}.", http_id=http_id, retry_after_s=RETRY_AFTER_S)
    log.error("request %s failed", http_id, exc_info=error)
    return error_response(
        500, f"The forecaster failed to answer; its log has the reason under {http_id}.", http_id=http_id
    )


def explain(path: str, status: int) -> str | None:
    """The reason behind /readyz's plain 503, and what is to be known of a 200."""
    if path != "/readyz":
        return None
    engine = running().engine
    return engine.unready() if status == 503 else engine.fallback_note() if status == 200 else None


# The decorator makes a bentoml.Service of the class; type checkers still see the class.
add_middleware: Callable[..., None] = Forecaster.add_asgi_middleware  # type: ignore[attr-defined]
add_middleware(Edge, explain=explain, guard=Guard.of(get_settings()))
