"""What an HTTP answer of the forecaster means: an answer, "try again", or one of these errors.

ForecasterError
+-- ForecasterRefused        4xx: the request cannot be served as it is; ``sentence`` says what to change
+-- ForecasterUnavailable    no connection, time-out, 429, 502, 503, 504 after all tries: try again later
+-- ForecasterBroken         any other status, or an answer that cannot be read: tell the operator
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from services.answer import ErrorBody, Problem

A = TypeVar("A", bound=BaseModel)

RETRIED = frozenset({429, 502, 503, 504})


class ForecasterError(Exception):
    """The forecaster gave no usable answer."""


class ForecasterRefused(ForecasterError):
    """The request cannot be served as it is."""

    def __init__(self, status: int, sentence: str, detail: Sequence[Problem] = ()) -> None:
        super().__init__(f"{status}: {sentence}")
        self.status, self.sentence, self.detail = status, sentence, tuple(detail)


class ForecasterUnavailable(ForecasterError):
    """Nobody answered, or the answer was "not now", at every try."""


class ForecasterBroken(ForecasterError):
    """The forecaster failed, or answered something that is no answer."""


def judge(outcome: httpx.Response | httpx.TransportError) -> tuple[httpx.Response | None, str, float]:
    """(the answer, or None to try again; what the trouble is; seconds the server asks to wait).

    Raises ForecasterRefused and ForecasterBroken for what no retry can change.
    """
    if isinstance(outcome, httpx.TransportError):
        return None, f"{type(outcome).__name__}: {outcome}", 0.0
    if outcome.is_success:
        return outcome, "", 0.0
    body = _error_body(outcome)
    if outcome.status_code in RETRIED:
        asked = outcome.headers.get("retry-after", "")
        return None, f"{outcome.status_code}: {body.error}", float(asked) if asked.isdigit() else 0.0
    if 400 <= outcome.status_code < 500:
        raise ForecasterRefused(outcome.status_code, body.error, body.detail)
    raise ForecasterBroken(f"{outcome.status_code}: {body.error}")


def _error_body(response: httpx.Response) -> ErrorBody:
    try:
        return ErrorBody.model_validate_json(response.content)
    except ValidationError:
        return ErrorBody(error=f"no reason given ({response.text[:100]!r})")


def unavailable(http: httpx.Client | httpx.AsyncClient, trouble: str, tries: int) -> ForecasterUnavailable:
    """What to raise when every try was in vain; ``trouble`` is the last one's."""
    return ForecasterUnavailable(f"the forecaster at {http.base_url} gave no answer in {tries} tries: {trouble}")


def read(kind: type[A], response: httpx.Response) -> A:
    """The answer as a ``kind``. Raises ForecasterBroken."""
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise ForecasterBroken(f"the forecaster's answer is not a {kind.__name__}: {error}") from error


def facts(response: httpx.Response) -> dict[str, Any]:
    """The answer as a JSON object. Raises ForecasterBroken."""
    try:
        found = response.json()
    except ValueError as error:
        raise ForecasterBroken(f"the forecaster's answer is not JSON: {response.text[:100]!r}") from error
    if not isinstance(found, dict):
        raise ForecasterBroken("the forecaster's answer is not a JSON object")
    return found
