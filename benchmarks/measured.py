"""Files of measurements under ``benchmarks/data/``: read strictly, written so that a change can be read as one.

A figure that cannot be is refused with the file, the place in it and what to do; nothing is guessed or left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from services.settings import ROOT

DATA = ROOT / "benchmarks" / "data"
_Kind = TypeVar("_Kind", bound=msgspec.Struct)


class MeasuredFileError(ValueError):
    """A file of measurements that cannot be used; the message names file, fault and remedy."""


def read_measured(path: Path, kind: type[_Kind], again: str) -> _Kind:
    """The file as ``kind``. ``again`` is the command that makes such a file. Raises MeasuredFileError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise MeasuredFileError(f"{path.name} cannot be read ({error.strerror}): make it with `{again}`") from error
    except msgspec.DecodeError as error:
        raise MeasuredFileError(f"{path.name}: {error}: make it anew with `{again}`") from error


def write_measured(path: Path, value: msgspec.Struct) -> None:
    """One line a field, and one for each item of a field that is a list."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    lines = ",\n".join(f" {json.dumps(name)}: {_shown(field)}" for name, field in plain.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{{\n{lines}\n}}\n", encoding="ascii")


def _shown(field: object) -> str:
    if not isinstance(field, list | tuple):
        return json.dumps(field, allow_nan=False)
    items = ",\n".join(f"  {json.dumps(item, allow_nan=False)}" for item in field)
    return f"[\n{items}\n ]"
