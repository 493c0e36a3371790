"""The work pool in Prefect that deployments go to; it must exist before they are applied.

``python -m infra.prefect_pool TEMPLATE IMAGE`` makes or updates that of Kubernetes: TEMPLATE is a file with the form of
its Jobs, IMAGE what they run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import httpx

from services.settings import SettingsError, get_settings

POOL = "halftime"


class PrefectPoolError(RuntimeError):
    """The Prefect server would not make the work pool, or its template cannot be used; the message says why."""


def ensure_pool(
    api_url: str,
    pool: str = POOL,
    kind: Literal["process", "kubernetes"] = "process",
    template: dict[str, Any] | None = None,
) -> None:
    """Make the work pool unless it exists. Raises PrefectPoolError.

    With a ``template`` one that exists gets it; without, the worker fills in its own.
    """
    body: dict[str, Any] = {"name": pool, "type": kind}
    if template is not None:
        body["base_job_template"] = template
    try:
        with httpx.Client(base_url=api_url, timeout=15.0) as client:
            answer = client.post("/work_pools/", json=body)
            if answer.status_code == 409 and template is not None:
                present = client.get(f"/work_pools/{pool}").raise_for_status().json()["type"]
                if present != kind:
                    raise PrefectPoolError(
                        f"work pool {pool} is of type {present}, not {kind}: name another in HALFTIME_WORK_POOL"
                    )
                answer = client.patch(f"/work_pools/{pool}", json={"base_job_template": template})
    except httpx.HTTPError as error:
        raise PrefectPoolError(
            f"the Prefect server at {api_url} does not answer: {error or type(error).__name__}"
        ) from error
    if answer.status_code not in (200, 201, 204, 409):
        raise PrefectPoolError(f"the Prefect server refused work pool {pool}: {answer.status_code} {answer.text[:300]}")


def job_template(path: Path, image: str) -> dict[str, Any]:
    """What the file says, with ``image`` as what Jobs run unless told otherwise. Raises PrefectPoolError."""
    try:
        template: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        template["variables"]["properties"]["image"]["default"] = image
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PrefectPoolError(
            f"{path} is no template of Jobs with a variable `image` ({type(error).__name__}): see"
            " infra/kubernetes/base/base-job-template.json"
        ) from error
    return template


def main(arguments: list[str]) -> int:
    """Make or update the pool of Kubernetes that HALFTIME_WORK_POOL names; 2 when that cannot be done."""
    if len(arguments) != 2:
        print("usage: python -m infra.prefect_pool TEMPLATE IMAGE", file=sys.stderr)  # noqa: T201
        return 2
    try:
        settings = get_settings()
        template = job_template(Path(arguments[0]), arguments[1])
        ensure_pool(settings.resolved_prefect_api_url, settings.work_pool, "kubernetes", template)
    except (SettingsError, PrefectPoolError) as error:
        print(f"work pool: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
