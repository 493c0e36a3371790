"""The environment the stack's programs run in: the settings in force, with every server's address resolved."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pydantic import AliasChoices

from services.settings import ROOT, Settings


def settings_env(settings: Settings) -> dict[str, str]:
    """The variables that make a child read exactly these settings. An unset one is absent."""
    variables = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if value is None:
            continue
        alias = field.validation_alias
        key = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"HALFTIME_{name.upper()}"
        variables[key] = json.dumps(list(value)) if isinstance(value, tuple) else str(value)
    return variables


def inherited_env(settings: Settings) -> dict[str, str]:
    """The caller's environment with its settings replaced by these, and this virtual environment's programs first."""
    ours = {f"HALFTIME_{name.upper()}" for name in type(settings).model_fields}
    ours |= {"DATABASE_URL", "REDIS_URL", "PREFECT_API_URL", "MLFLOW_TRACKING_URI", "DASK_ADDRESS"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= settings_env(settings)
    # Not resolved: a virtual environment's python is a link, and its folder is the one with the programs.
    programs = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])
    environment["PYTHONUNBUFFERED"] = "1"
    # Requests to our own servers must not go through a proxy that the machine may have.
    direct = [*filter(None, os.environ.get("no_proxy", os.environ.get("NO_PROXY", "")).split(",")), "localhost"]
    environment["NO_PROXY"] = environment["no_proxy"] = ",".join([*direct, "127.0.0.1", settings.host])
    return environment


def child_env(settings: Settings) -> dict[str, str]:
    """The environment of the stack's services, but for the database's address, whose password may not exist yet."""
    environment = inherited_env(settings)
    environment |= {
        "REDIS_URL": settings.resolved_redis_url,
        "PREFECT_API_URL": settings.resolved_prefect_api_url,
        "MLFLOW_TRACKING_URI": settings.resolved_mlflow_uri,
        "PYTHONPATH": str(ROOT),
        # Several programs share few cores; one thread each beats a crowd.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "DO_NOT_TRACK": "1",
    }
    return environment | prefect_env(settings)


def prefect_env(settings: Settings) -> dict[str, str]:
    """Prefect keeps everything in the data folder, calls nobody, asks nothing, and does not grow without limit."""
    return {
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P1D",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(30 * 86400),
    }


def mlflow_env(settings: Settings, store_uri: str) -> dict[str, str]:
    """The MLflow server's own variables. Addresses with a password stay off the command line, where others see them."""
    return {
        "MLFLOW_BACKEND_STORE_URI": store_uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"localhost:*,127.0.0.1:*,{settings.host}:{settings.mlflow_port}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def forecaster_env(settings: Settings) -> dict[str, str]:
    """BentoML keeps its files in the data folder; its tracing costs more than the model and is off."""
    return {
        "BENTOML_HOME": str(settings.home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "OTEL_SDK_DISABLED": "true",
    }
