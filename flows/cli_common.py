"""What the commands share: options they have in common, settings, JSON on standard output."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any

import typer

from services.settings import Settings, get_settings

Json = Annotated[bool, typer.Option("--json", help="print JSON on standard output, and nothing else there")]
Speed = Annotated[float | None, typer.Option(help="how many times faster the replay's clock runs", min=1.0, max=600.0)]


def settings_with(**changes: Any) -> Settings:
    """The settings with ``changes`` that are not None; Prefect's address is set from them."""
    settings = get_settings().model_copy(update={name: value for name, value in changes.items() if value is not None})
    # Prefect reads its address when it is imported, and this process must not start a server of its own.
    os.environ.setdefault("PREFECT_API_URL", settings.resolved_prefect_api_url)
    os.environ.setdefault("PREFECT_HOME", str(settings.home / "prefect"))
    return settings


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, allow_nan=False, default=str)
    sys.stdout.write("\n")
