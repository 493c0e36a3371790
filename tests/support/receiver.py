"""The receiver of alerts for tests: the real one on its port, in front of a Prefect that is stood in for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from flows.alert_receiver import create_app
from flows.deployments import DeploymentFailed
from services.settings import Settings
from services.store import Store
from tests.support.waiting import until


class Prefect:
    """Stands for the server: the first request finds it away, later ones are answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.runs: dict[str, tuple[str, dict[str, Any]]] = {}

    def __call__(self, settings: Settings, name: str, parameters: dict[str, Any], key: str) -> str:
        self.asked.append(name)
        if len(self.asked) == 1:
            raise DeploymentFailed("Prefect is away")
        self.runs.setdefault(key, (name, parameters))
        return f"run of {name}"


@contextmanager
def receiving(store: Store, settings: Settings, prefect: Prefect) -> Iterator[None]:
    """The receiver on its port, in a thread."""
    app = create_app(store, settings, start=prefect)
    server = uvicorn.Server(uvicorn.Config(app, host=settings.host, port=settings.alerts_port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=20.0)
