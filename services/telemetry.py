"""Logging: one JSON object a line on standard error, whatever a value holds.

The supervisor or the cluster keeps the lines; the program itself opens no file. Every value goes through the JSON
encoder, so a newline in a game id cannot forge a line; NaN is written as null, since it is not JSON; passwords inside
URLs are masked.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Callable
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

# A password may hold a slash or an at sign that nobody escaped: drivers take such URLs too.
_URL_PASSWORD = re.compile(r"(?P<head>[a-z0-9+]+://[^:/@\s]*):[^@\s]+@(?:[^@/\s]*@)*")


def mask_secrets(text: str) -> str:
    """``text`` with the password of every URL in it replaced."""
    return _URL_PASSWORD.sub(r"\g<head>:***@", text)


def _clean(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, dict):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item) for item in value]
    return value


def _clean_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: _clean(value) for key, value in event.items()}


def _line(event: Any, default: Callable[[Any], Any] | None = None, **_: Any) -> str:
    return json.dumps(event, default=lambda value: mask_secrets(str(value)), ensure_ascii=True, allow_nan=False)


def configure_logging(level: str = "INFO") -> None:
    """One configuration for structlog and the standard library's loggers; calling it again changes nothing."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _clean_event,
                structlog.processors.JSONRenderer(serializer=_line),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "urllib3", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
