"""What went wrong, as the sentence that the person at the terminal reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from services.client import ForecasterUnavailable
from services.database import DatabaseUnavailable
from services.registry_http import RegistryUnavailable
from services.settings import Settings

AWAY = (DatabaseUnavailable, ForecasterUnavailable, RegistryUnavailable)
OURS = frozenset({"flows", "bentos", "monitoring", "services", "models", "infra"})


def sentence(error: BaseException) -> str | None:
    """Our own errors name what to do, and so does a setting that cannot be used; None for a bug, whose traceback tells.

    The values of settings that may hold a password are never repeated.
    """
    if isinstance(error, ValidationError) and error.title == Settings.__name__:
        return "; ".join(_setting(found) for found in error.errors(include_url=False))
    if isinstance(error, AWAY):
        return f"{error}; `./halftime status` says what is wrong"
    return str(error) if type(error).__module__.partition(".")[0] in OURS else None


def _setting(found: Mapping[str, Any]) -> str:
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])  # a sentence of services.settings, which names the variable
    name, said = str(found["loc"][0]), str(found["msg"])
    if name.isupper():
        return f"{name} cannot be used: {said}"
    return f"HALFTIME_{name.upper()}={found['input']!r} cannot be used: {said}"
