"""What `doctor` asks of the servers: do they answer, are the tables current, is there history and a champion."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import redis

from infra.check import Check, bad, good
from services import migrate
from services.settings import Settings, SettingsError
from services.store import Store, StoreError

TIMEOUT_S = 4.0


def check_servers(settings: Settings) -> list[Check]:
    """Every check of the servers. Those that need one that does not answer are left out: its finding is enough."""
    found = check_database(settings)
    found += [check_redis(settings), check_prefect(settings), check_mlflow(settings)]
    if found[-1].ok:
        found.append(check_champion(settings))
    found.append(check_forecaster(settings))
    return found


def check_database(settings: Settings) -> list[Check]:
    """The database answers, its tables are as this code expects them, and there are games to learn from."""
    remedy = _remedy(settings.database_url, "DATABASE_URL", "postgres")
    try:
        url = settings.resolved_database_url
        store = Store.open(url, application="halftime-doctor", pool_size=1)
    except (SettingsError, StoreError) as error:
        return [bad("database", str(error), remedy)]
    try:
        store.ping()
        found = [good("database", url.rpartition("@")[2])]
        present, expected = migrate.current(url), migrate.expected()
        if present != expected:
            text = f"the database is at revision {present}, this code wants {expected}"
            return [*found, bad("migrations", text, "`make down up`, or `python -m services.migrate`")]
        return [*found, good("migrations", f"revision {present}"), _history(store, settings.league_source)]
    except StoreError as error:
        return [bad("database", str(error), remedy)]
    finally:
        store.engine.dispose()


def _history(store: Store, source: str) -> Check:
    count = store.history_count(source)
    if count:
        return good("history", f"{count} {source} games")
    return bad("history", f"the database holds no {source} games to learn from", "./halftime backfill")


def check_redis(settings: Settings) -> Check:
    """Redis answers."""
    client = redis.Redis.from_url(
        settings.resolved_redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    try:
        memory = client.info("memory")
    except (redis.RedisError, OSError) as error:
        return bad("redis", f"does not answer: {error}", _remedy(settings.redis_url, "REDIS_URL", "redis"))
    finally:
        client.close()
    return good("redis", f"answers; {memory['used_memory_human']} in use")


def check_prefect(settings: Settings) -> Check:
    """The Prefect server answers. The live path goes on without it."""
    trouble = _get(f"{settings.resolved_prefect_api_url}/health")
    if trouble is None:
        return good("prefect", settings.resolved_prefect_api_url)
    return bad("prefect", trouble, _remedy(settings.prefect_api_url, "PREFECT_API_URL", "prefect"))


def check_mlflow(settings: Settings) -> Check:
    """The MLflow server answers, and to the name we call it by (its health page answers to any)."""
    query = urlencode({"max_results": 1})
    trouble = _get(f"{settings.resolved_mlflow_uri}/api/2.0/mlflow/experiments/search?{query}")
    if trouble is None:
        return good("mlflow", settings.resolved_mlflow_uri)
    return bad("mlflow", trouble, _remedy(settings.mlflow_tracking_uri, "MLFLOW_TRACKING_URI", "mlflow"))


def check_champion(settings: Settings) -> Check:
    """The registry names a champion."""
    query = urlencode({"name": settings.model_name, "alias": "champion"})
    try:
        answer = httpx.get(
            f"{settings.resolved_mlflow_uri}/api/2.0/mlflow/registered-models/alias?{query}", timeout=TIMEOUT_S
        )
    except httpx.HTTPError as error:
        return bad("champion", f"the registry does not answer: {_words(error)}", "see logs/mlflow.log")
    if answer.status_code == httpx.codes.OK:
        version = answer.json()["model_version"]["version"]
        return good("champion", f"{settings.model_name} version {version}")
    return bad("champion", f"{settings.model_name} has no champion", "./halftime train --promote")


def check_forecaster(settings: Settings) -> Check:
    """The forecaster has a checked model and can write its spool."""
    try:
        answer = httpx.get(f"{settings.forecaster_url}/readyz", timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        return bad("forecaster", f"does not answer: {_words(error)}", "see logs/forecaster.log; `make down up`")
    if answer.is_success:
        return good("forecaster", "ready")
    return bad(
        "forecaster", f"not ready: {answer.text.strip()[:200]}", "see logs/forecaster.log; ./halftime train --promote"
    )


def _get(url: str) -> str | None:
    try:
        answer = httpx.get(url, timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        return f"{url.split('?')[0]} does not answer: {_words(error)}"
    return None if answer.is_success else f"{url.split('?')[0]} answers {answer.status_code}"


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _remedy(outside: str | None, variable: str, service: str) -> str:
    return f"check {variable} and its server" if outside else f"see logs/{service}.log; `make down up`"
