"""Real servers, started once a session when a test first asks for one."""

from tests.support.servers import (
    database_url,
    mlflow_url,
    postgres_server,
    redis_prefix,
    redis_server,
    redis_url,
    store,
)

__all__ = ["database_url", "mlflow_url", "postgres_server", "redis_prefix", "redis_server", "redis_url", "store"]
