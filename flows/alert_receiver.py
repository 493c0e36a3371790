"""Alertmanager's webhook: ``python -m flows.alert_receiver`` takes alerts at POST /alerts and acts on them.

/alerts   POST: Alertmanager's message; GET: the newest alerts and what was done       /livez
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus

import httpx
import structlog
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from flows.alert_actions import Notification, Start, handle
from flows.deployments import DeploymentFailed, start_deployed
from services.settings import Settings, SettingsError, get_settings
from services.store import Store, StoreError
from services.telemetry import configure_logging

log = structlog.get_logger("alerts")

MAX_BODY_BYTES = 1024 * 1024


def create_app(store: Store, settings: Settings, *, start: Start = start_deployed) -> Starlette:
    """The receiver over ``store``. A message that cannot be dealt with now is answered 503, and told again."""

    async def take(request: Request) -> Response:
        try:
            body = await _body(request)
            told = Notification.model_validate_json(body)
        except ClientDisconnect:
            return _error(HTTPStatus.BAD_REQUEST, "the message broke off")
        except ValueError as error:
            return _error(HTTPStatus.BAD_REQUEST, _first(error))
        handled = 0
        for alert in told.alerts:
            try:
                handled += await asyncio.to_thread(handle, store, settings, alert, start=start) is not None
            except (StoreError, DeploymentFailed, httpx.HTTPError) as error:
                log.warning(
                    "an alert waits to be told again", alertname=alert.labels.get("alertname"), error=str(error)
                )
                return _error(HTTPStatus.SERVICE_UNAVAILABLE, f"not handled yet: {error}")
        return JSONResponse({"alerts": len(told.alerts), "handled": handled})

    async def show(_: Request) -> Response:
        try:
            found = await asyncio.to_thread(store.alert_history)
        except StoreError as error:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return JSONResponse(
            [
                {
                    "alertname": one.alertname, "status": one.status, "labels": dict(one.labels),
                    "starts_at": one.starts_at.isoformat(), "actions": [dict(action) for action in one.actions],
                    "received_at": one.received_at.isoformat() if one.received_at else None,
                }
                for one in found
            ]
        )  # fmt: skip

    async def alive(_: Request) -> Response:
        return PlainTextResponse("alive")

    return Starlette(
        routes=[
            Route("/alerts", take, methods=["POST"]),
            Route("/alerts", show, methods=["GET"]),
            Route("/livez", alive),
        ]
    )


async def _body(request: Request) -> bytes:
    """Raises ValueError for a message that is too large."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"the message has more than {MAX_BODY_BYTES} bytes")
    return body


def _first(error: ValueError) -> str:
    """What is wrong with a message, as one sentence."""
    if not isinstance(error, ValidationError):
        return str(error)
    one = error.errors(include_url=False, include_input=False)[0]
    return f"not Alertmanager's message: {'.'.join(map(str, one['loc'])) or 'the body'}: {one['msg']}"


def _error(status: HTTPStatus, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)


def main() -> int:
    """Serve until a signal comes; 2 when a setting cannot be used."""
    try:
        settings = get_settings()
        configure_logging(settings.log_level)
        store = Store.open(settings.resolved_database_url, application="halftime-alerts", pool_size=2)
    except SettingsError as error:
        print(f"alert receiver: {error}", file=sys.stderr)  # noqa: T201 - logging may not be configured yet
        return 2
    with store:
        app = create_app(store, settings)
        config = uvicorn.Config(
            app, host=settings.host, port=settings.alerts_port, log_config=None, access_log=False, server_header=False
        )
        uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
