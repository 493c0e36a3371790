"""The model that is being served: loaded in the background, replaced whole, never half.

Until a bundle has been fetched, its digests checked and its golden answers given, there is no model and the service
says that it is not ready and why. Afterwards the registry is asked now and then; when its champion changed, the new
bundle is loaded beside the old one and takes its place in one assignment. A registry that is down changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bentos.answering import ServedModel
from services.telemetry import mask_secrets

Load = Callable[[ServedModel | None], ServedModel]
"""Given the model in use (None at first), the model to use now: the same object when nothing changed."""

log = logging.getLogger(__name__)


class NoModelError(RuntimeError):
    """No model has been loaded yet."""


class Champion:
    """Holds the served model and keeps it fresh in a daemon thread."""

    def __init__(
        self,
        load: Load,
        *,
        refresh_s: float = 10.0,
        retry_s: float = 1.0,
        on_change: Callable[[ServedModel | None, ServedModel], None] = lambda _old, _new: None,
    ) -> None:
        self._load = load
        self._on_change = on_change
        self._refresh_s = refresh_s
        self._retry_s = retry_s
        self._model: ServedModel | None = None
        self._trouble = "the model is still being loaded"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)

    @property
    def model(self) -> ServedModel:
        """The model to answer with. Raises NoModelError."""
        model = self._model
        if model is None:
            raise NoModelError("No model is loaded yet: /health has the reason")
        return model

    @property
    def current(self) -> ServedModel | None:
        """The model in use, if any."""
        return self._model

    @property
    def trouble(self) -> str | None:
        """Why there is no model, or why the newest could not be loaded; None when all is well."""
        return self._trouble or None

    def start(self) -> None:
        """Begin to load, and to look for a new champion."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()

    def refresh(self) -> None:
        """Load once, now. Trouble is kept for ``trouble`` and logged, never raised."""
        try:
            model = self._load(self._model)
        except Exception as error:  # noqa: BLE001 - the thread's edge: a model in use stays in use whatever happened
            trouble = mask_secrets(str(error) or type(error).__name__)
            if trouble != self._trouble:
                log.warning("champion not loaded: %s: %s", type(error).__name__, trouble)
            self._trouble = trouble
            return
        if model is not self._model:
            self._on_change(self._model, model)
            log.info("serving version %s, digest %s, from %s", model.version, model.digest, model.origin)
        self._model = model
        self._trouble = ""

    def _run(self) -> None:
        while True:
            self.refresh()
            if self._stop.wait(self._retry_s if self._model is None else self._refresh_s):
                return
