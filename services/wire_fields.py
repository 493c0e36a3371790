"""Reading single values of the live feed, and the one error that says which value was wrong."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")
GAME_ID: Final = re.compile(r"00[1-6][0-9]{7}")
MAX_SCORE: Final = 400
_FAULT = re.compile(r"(?P<expected>.*) - at `\$\.?(?P<path>.*)`", re.DOTALL)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[([0-9]+)\]")
_MISSING = re.compile(r"Object missing required field `(.*)`")


class WireError(ValueError):
    """Bytes that are not what the feed sends. ``game_id``, ``field`` and ``value`` say where."""

    def __init__(self, game_id: str | None, field: str, value: object, expected: str) -> None:
        self.game_id, self.field, self.value = game_id, field, value
        shown = repr(value)
        shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
        super().__init__(f"{f'game {game_id}' if game_id else 'feed'}: {field} is {shown}, expected {expected}")


class WireSyntaxError(WireError):
    """Bytes that are no JSON document at all: cut off, HTML, or not text."""


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw, game_id: str | None) -> T:
    """``data`` as the decoder's type. Raises WireSyntaxError when it is no JSON, WireError when a field is wrong."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _located(str(error), data, game_id) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json(data, game_id, error) from error


def _no_json(data: bytes | msgspec.Raw, game_id: str | None, error: Exception) -> WireSyntaxError:
    start = bytes(data[:60]) if isinstance(data, bytes) else b"a part of the file"
    return WireSyntaxError(game_id, "body", start, f"a whole JSON document ({error})")


def _located(message: str, data: bytes | msgspec.Raw, game_id: str | None) -> WireError:
    """Fetch the value that msgspec only gives the path of; a slow path, taken once an error."""
    fault = _FAULT.fullmatch(message)
    expected, path = (fault["expected"], fault["path"]) if fault else (message, "")
    missing = _MISSING.fullmatch(expected)
    if missing:
        return WireError(game_id, f"{path}.{missing[1]}".lstrip("."), None, "a value")
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _no_json(data, game_id, error)
    for name, index in _STEP.findall(path):
        value = value[int(index)] if index else value[name]
    return WireError(game_id, path or "body", value, expected.removeprefix("Expected "))


def score(game_id: str, field: str, value: str | int | None, missing: int) -> int:
    """Points from the feed's string (or number); ``missing`` where the feed leaves them out. Raises WireError."""
    if value is None or value == "":
        return missing
    if isinstance(value, int):
        return value
    if value.isascii() and value.isdigit() and len(value) <= 3 and int(value) <= MAX_SCORE:
        return int(value)
    raise WireError(game_id, field, value, f"points, 0..{MAX_SCORE}")


def instant(game_id: str, field: str, text: str) -> datetime:
    """Aware UTC; the feed writes UTC, also where it leaves the zone out. Raises WireError."""
    try:
        at = datetime.fromisoformat(text)
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise WireError(game_id, field, text, "a time such as 2023-02-04T00:41:07Z") from error
    if not 1946 <= at.year <= 2200:
        raise WireError(game_id, field, text, "a time in the league's years")
    return at
