"""The work pool in Prefect that our one worker serves; it must exist before deployments are applied."""

from __future__ import annotations

import httpx

POOL = "halftime"


class PrefectPoolError(RuntimeError):
    """The Prefect server would not make the work pool; the message has its answer."""


def ensure_pool(api_url: str, pool: str = POOL) -> None:
    """Make the process work pool unless it exists. The worker fills in its job template. Raises PrefectPoolError."""
    try:
        answer = httpx.post(f"{api_url}/work_pools/", json={"name": pool, "type": "process"}, timeout=15.0)
    except httpx.HTTPError as error:
        raise PrefectPoolError(
            f"the Prefect server at {api_url} does not answer: {error or type(error).__name__}"
        ) from error
    if answer.status_code not in (200, 201, 409):
        raise PrefectPoolError(f"the Prefect server refused work pool {pool}: {answer.status_code} {answer.text[:300]}")
