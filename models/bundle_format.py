"""What a bundle folder holds and every way one can be refused.

A bundle is ``manifest.json`` and one ``.npy`` file for each array; nothing in it is ever executed.

    BundleError
    ├── BundleExists         the folder to write to is already there
    ├── MissingFile          a file the format needs is not there, or is not a plain file
    ├── TooLarge             a file is larger than the limit, checked before it is read
    ├── DigestMismatch       the bytes are not those the digest was taken of
    ├── BadManifest          not the JSON this format writes, or values that do not fit together
    │   └── UnknownFormat    written by another version of the format
    ├── BadArray             wrong type, shape or values in an array
    └── GoldenMismatch       the loaded model does not give the answers it gave when it was written
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

FORMAT = 3
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 2 * 1024 * 1024
MAX_ARRAY_BYTES = 64 * 1024 * 1024

_KEYS = {
    "format", "source", "trained_through", "ratings_as_of", "calibration_id", "weights", "possession_value",
    "neighbours", "ledgers", "ratings", "arrays", "golden", "code_version", "extra",
}  # fmt: skip


class BundleError(Exception):
    """A bundle that cannot be written or must not be used."""


class BundleExists(BundleError):
    """The target folder is there already; a bundle is never written over."""


class MissingFile(BundleError):
    """A file is missing or is not a plain file."""


class TooLarge(BundleError):
    """A file is over its limit."""


class DigestMismatch(BundleError):
    """Bytes and digest do not belong together."""


class BadManifest(BundleError):
    """The manifest is not what this format writes."""


class UnknownFormat(BadManifest):
    """A format version this code does not read."""


class BadArray(BundleError):
    """An array is not what its name promises."""


class GoldenMismatch(BundleError):
    """The golden inputs are answered differently."""


@dataclass(frozen=True)
class Manifest:
    """The manifest's facts. ``digest`` is the sha256 of the file, which names the bundle; ``extra`` is what training
    added (spec, figures); ``body`` is the whole of it."""

    digest: str
    source: str
    trained_through: date
    ratings_as_of: date | None
    calibration_id: str
    code_version: str
    extra: Mapping[str, Any]
    body: Mapping[str, Any]


def canonical_json(body: Mapping[str, Any]) -> bytes:
    """The one spelling of ``body``: sorted keys, one space of indent, no NaN. Raises BadManifest."""
    try:
        return (json.dumps(body, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=True) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise BadManifest(f"the manifest cannot be written as JSON: {error}") from error


def sha256(content: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def read_limited(path: Path, limit: int) -> bytes:
    """The bytes of a plain file of at most ``limit`` bytes. Raises MissingFile, TooLarge."""
    if path.is_symlink() or not path.is_file():
        raise MissingFile(f"{path} is missing or not a plain file: fetch the bundle again")
    try:
        size = path.stat().st_size
        if size > limit:
            raise TooLarge(f"{path} has {size} bytes, at most {limit} are read")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise MissingFile(f"{path} cannot be read: {error}") from error
    if len(content) > limit:
        raise TooLarge(f"{path} grew over {limit} bytes while it was read")
    return content


def parse_manifest(content: bytes, expect_digest: str | None = None) -> Manifest:
    """Raises DigestMismatch, BadManifest, UnknownFormat."""
    digest = sha256(content)
    if expect_digest is not None and digest != expect_digest:
        raise DigestMismatch(f"the manifest has digest {digest}, {expect_digest} was expected: fetch the bundle again")
    try:
        body = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadManifest(f"the manifest is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadManifest("the manifest is not a JSON object")
    if body.get("format") != FORMAT:
        raise UnknownFormat(f"the manifest says format {body.get('format')!r}, this code reads {FORMAT}: train again")
    if set(body) != _KEYS:
        raise BadManifest(f"the manifest has keys too many or too few: {', '.join(sorted(set(body) ^ _KEYS))}")
    if canonical_json(body) != content:
        raise BadManifest("the manifest is not in canonical form: it was edited after it was written")
    try:
        return Manifest(
            digest=digest,
            source=_text(body, "source"),
            trained_through=date.fromisoformat(_text(body, "trained_through")),
            ratings_as_of=None if body["ratings_as_of"] is None else date.fromisoformat(_text(body, "ratings_as_of")),
            calibration_id=_text(body, "calibration_id"),
            code_version=_text(body, "code_version"),
            extra=_object(body, "extra"),
            body=body,
        )
    except ValueError as error:
        raise BadManifest(f"the manifest holds a value that cannot be: {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body[key]
    if not isinstance(value, str) or not value:
        raise BadManifest(f"{key} is {value!r}: it must be a text")
    return value


def _object(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body[key]
    if not isinstance(value, dict):
        raise BadManifest(f"{key} is not a JSON object")
    return value
