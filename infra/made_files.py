"""Files that code makes and nobody edits: written, or compared with what would be written."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_or_check(module: str, texts: Mapping[Path, str], arguments: Sequence[str]) -> int:
    """Write each file's text; with ``--check`` among the arguments write nothing, and 1 when a file differs, which a
    line names with the ``module`` to run. Raises OSError."""
    if "--check" not in arguments:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return 0
    different = [
        path.name for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if different:
        print(f"run `python -m {module}`: {', '.join(different)} would change", file=sys.stderr)  # noqa: T201
    return 1 if different else 0
