"""JSON as the API takes it: UTF-8, one object, finite numbers, every name once.

The standard parser takes NaN and Infinity, keeps the last of two equal names and recurses without a limit of its own;
each of these would let a request mean something else than its sender thinks.
"""

from __future__ import annotations

import json
import math


class NotStrictJSONError(ValueError):
    """The body is not strict JSON; the message is a sentence for the sender."""


def parse_object(body: bytes) -> dict[str, object]:
    """The JSON object in ``body``. Raises NotStrictJSONError."""
    if not body:
        raise NotStrictJSONError("The body is empty: send a JSON object.")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotStrictJSONError(f"The body is not UTF-8 at byte {error.start}: send JSON encoded as UTF-8.") from error
    try:
        value = json.loads(text, object_pairs_hook=_each_name_once, parse_constant=_no_constant, parse_float=_finite)
    except NotStrictJSONError:
        raise
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise NotStrictJSONError(f"The body is not valid JSON ({error.msg}, {place}): send one JSON object.") from error
    except RecursionError as error:
        raise NotStrictJSONError("The JSON is nested far too deep: send one flat object.") from error
    except ValueError as error:  # an integer of thousands of digits
        raise NotStrictJSONError("The body holds a number that is far too long: margins lie in -100..100.") from error
    if not isinstance(value, dict):
        raise NotStrictJSONError(f"The body is a JSON {_kind(value)}: send a JSON object.")
    return value


def _each_name_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        shown = json.dumps(twice[0][:40])
        raise NotStrictJSONError(f"The field {shown} is given more than once: give every field once.")
    return out


def _no_constant(name: str) -> float:
    raise NotStrictJSONError(f"{name} is not a number in JSON: send finite numbers only.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotStrictJSONError(f"The number {text[:20]} is too large: margins lie in -100..100.")
    return value


def _kind(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return names.get(type(value), "value")
