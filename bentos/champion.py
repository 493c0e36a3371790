"""The model that is being served: loaded in the background, replaced whole, never half.

Until a bundle has been fetched, its digests checked and its golden answers given, there is no model and the service
says that it is not ready and why. Afterwards the registry is asked now and then; when its champion changed, the new
bundle is loaded beside the old one and takes its place in one assignment. A registry that is down changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from bentos.answering import ServedModel
from services.telemetry import mask_secrets

Find = Callable[[str], ServedModel]
"""The model with a digest. Raises LookupError when it cannot be had."""

Load = Callable[[ServedModel | None], ServedModel]
"""Given the model in use (None at first), the model to use now: the same object when nothing changed."""

# Former champions that games of tonight may still have to be asked of; each holds its history in memory.
KEPT = 3

log = logging.getLogger(__name__)


class NoModelError(RuntimeError):
    """No model has been loaded yet."""


def nobody(digest: str) -> ServedModel:
    """Finds no model."""
    raise LookupError(f"no model with the digest {digest} is here")


class Champion:
    """Holds the served model and keeps it fresh in a daemon thread; the last few it served can still be asked."""

    def __init__(
        self,
        load: Load,
        *,
        refresh_s: float = 10.0,
        retry_s: float = 1.0,
        on_change: Callable[[ServedModel | None, ServedModel], None] = lambda _old, _new: None,
        on_look: Callable[[str | None], None] = lambda _trouble: None,
        find: Find = nobody,
        fallback: Callable[[], ServedModel] | None = None,
    ) -> None:
        self._fallback = fallback
        self._substitute: ServedModel | None = None
        self._find = find
        self._on_look = on_look
        self._kept: OrderedDict[str, ServedModel] = OrderedDict()
        self._keeping = threading.Lock()
        self._swapping = threading.Lock()
        self._load = load
        self._on_change = on_change
        self._refresh_s = refresh_s
        self._retry_s = retry_s
        self._model: ServedModel | None = None
        self._trouble = "the model is still being loaded"
        self._looked = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)

    @property
    def model(self) -> ServedModel:
        """The model to answer with; what stands in for one when none can be had. Raises NoModelError."""
        model = self._model or self._substitute
        if model is None:
            raise NoModelError("No model is loaded yet: /health has the reason")
        return model

    def of(self, digest: str) -> ServedModel:
        """The model with this digest, which need not be champion any more. Raises LookupError, NoModelError."""
        model = self.model
        if model.digest == digest:
            return model
        with self._keeping:
            kept = self._kept.get(digest)
            if kept is not None:
                self._kept.move_to_end(digest)
                return kept
        found = self._find(digest)
        self._keep(found)
        return found

    def _keep(self, model: ServedModel) -> None:
        with self._keeping:
            self._kept[model.digest] = model
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    @property
    def current(self) -> ServedModel | None:
        """The model in use, if any."""
        return self._model

    @property
    def on_fallback(self) -> bool:
        """Whether what answers only stands in for a model."""
        return self._model is None and self._substitute is not None

    @property
    def trouble(self) -> str | None:
        """Why there is no model, or why the newest could not be loaded; None when all is well."""
        return self._trouble or None

    def move(self, old: ServedModel, new: ServedModel) -> bool:
        """Serve ``new``, which is ``old`` with its calibration moved on; False when ``old`` is not served any more."""
        with self._swapping:
            if self._model is not old:
                return False
            self._model = new
            return True

    def start(self, wait_s: float = 0.0) -> None:
        """Begin to load, and to look for a new champion; wait at most ``wait_s`` for the first look to end."""
        self._thread.start()
        self._looked.wait(wait_s)

    def close(self) -> None:
        """Look no more."""
        self._stop.set()

    def refresh(self) -> None:
        """Load once, now. Trouble is kept for ``trouble`` and logged, never raised."""
        given = self._model
        try:
            model = self._load(given)
        except Exception as error:  # noqa: BLE001 - the thread's edge: a model in use stays in use whatever happened
            trouble = mask_secrets(str(error) or type(error).__name__)
            if trouble != self._trouble:
                log.warning("champion not loaded: %s: %s", type(error).__name__, trouble)
            self._trouble = trouble
            if self._model is None and self._substitute is None and self._fallback is not None:
                self._substitute = self._fallback()
                log.warning("answering with persistence until a model can be loaded")
            self._on_look(trouble)
            return
        if model is not given:
            self._on_change(given, model)
            with self._swapping:
                before, self._model = self._model, model
            if before is not None and before.digest != model.digest:
                self._keep(before)
            log.info("serving version %s, digest %s, from %s", model.version, model.digest, model.origin)
        self._substitute = None
        self._trouble = ""
        self._on_look(None)

    def _run(self) -> None:
        while True:
            self.refresh()
            self._looked.set()
            if self._stop.wait(self._retry_s if self._model is None else self._refresh_s):
                return
