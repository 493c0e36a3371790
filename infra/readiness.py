"""Is a server ready? Each check is a function without arguments that answers None for yes, else why not."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import redis

Check = Callable[[], str | None]
TIMEOUT_S = 3.0


def always() -> str | None:
    """Living is enough."""
    return None


def http_ok(url: str, *, timeout_s: float = TIMEOUT_S) -> Check:
    """GET answers 2xx. Plain http on a known host, without proxies: a fresh httpx client would cost 30 ms a call."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def check() -> str | None:
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"no answer from {url}: {error or type(error).__name__}"
        finally:
            connection.close()
        return None if 200 <= status < 300 else f"{url} answers {status}"

    return check


def http_json(url: str, body: object = None, *, timeout_s: float = TIMEOUT_S) -> object:
    """The JSON a server answers to GET, or to POST when there is a body. Raises OSError or ValueError."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        if body is None:
            connection.request("GET", parts.path)
        else:
            connection.request("POST", parts.path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except http.client.HTTPException as error:
        raise OSError(f"no answer from {url}: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        raise ValueError(f"{url} answers {response.status}: {content[:200].decode('utf-8', 'replace')}")
    return json.loads(content)


def tcp_ok(host: str, port: int, *, timeout_s: float = TIMEOUT_S) -> Check:
    """Something accepts connections on host:port."""

    def check() -> str | None:
        try:
            socket.create_connection((host, port), timeout_s).close()
        except OSError as error:
            return f"nothing listens on {host}:{port} ({error})"
        return None

    return check


def redis_ok(url: str, *, timeout_s: float = TIMEOUT_S) -> Check:
    """Redis answers PING (and is not still loading its file)."""

    def check() -> str | None:
        client = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        try:
            client.ping()
        except (redis.RedisError, OSError) as error:
            return f"Redis does not answer: {error}"
        finally:
            client.close()
        return None

    return check


def worker_online(api_url: str, pool: str, worker: str) -> Check:
    """The Prefect server has heard a heartbeat of the worker and counts it as online."""

    def check() -> str | None:
        try:
            workers = http_json(f"{api_url}/work_pools/{pool}/workers/filter", {})
        except (OSError, ValueError) as error:
            return f"Prefect does not list its workers: {error}"
        states = {each["name"]: each["status"] for each in workers} if isinstance(workers, list) else {}
        return None if states.get(worker) == "ONLINE" else f"worker {worker} is {states.get(worker, 'not known yet')}"

    return check
