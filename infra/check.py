"""One finding of `doctor`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do when it is not right.

    `warning`: Halftime works without it, or it will be right once the stack runs.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    warning: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


def good(name: str, detail: str) -> Check:
    """Nothing to do."""
    return Check(name, True, detail)


def bad(name: str, detail: str, remedy: str) -> Check:
    """Something to do before Halftime works."""
    return Check(name, False, detail, remedy)


def warn(name: str, detail: str, remedy: str) -> Check:
    """Something a person may want to know."""
    return Check(name, False, detail, remedy, warning=True)
