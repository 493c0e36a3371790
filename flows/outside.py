"""Servers that somebody else runs have to answer before anything of ours is started."""

from __future__ import annotations

from collections.abc import Callable

from infra.check import Check
from infra.server_checks import check_database, check_mlflow, check_prefect, check_redis
from infra.services_table import external
from services.settings import Settings

# Of the database only whether it answers: its tables and games are made later.
CHECKS: dict[str, Callable[[Settings], Check]] = {
    "postgres": lambda settings: check_database(settings)[0],
    "redis": check_redis,
    "prefect": check_prefect,
    "mlflow": check_mlflow,
}


class ServerAway(ConnectionError):
    """A server whose address is set does not answer; the message names the variable."""


def require_outside(settings: Settings) -> None:
    """Asks every server whose address is set. Raises ServerAway, which names all that do not answer."""
    named = external(settings)
    findings = [check(settings) for name, check in CHECKS.items() if name in named]
    if away := [f"{each.name}: {each.detail} ({each.remedy})" for each in findings if not each.ok]:
        raise ServerAway("; ".join(away))
