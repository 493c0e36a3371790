"""Calibration that follows the night: with every game that is settled the served model's intervals know more.

A thread asks PostgreSQL every second whether anything was settled. What it then serves is a function of the loaded
version and of all games settled since: the state that the nightly recalibration would register, had the night ended
here. A corrected outcome therefore corrects it, every worker and replica comes to the same state, and while the
database is away the last state stays. What it has moved over is stored before an interval cites it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from bentos.answering import ServedModel
from bentos.champion import Champion
from models.recalibration import LATE_DAYS, known_games, recalibrate
from services.store import CalibrationGame, Store
from services.telemetry import mask_secrets

SIMULATED = "simulated"

log = logging.getLogger(__name__)


class Follower:
    """Moves ``champion``'s calibration on. ``source`` is the kind of games the feed shows; ``on_move`` is told of every
    model that took another calibration."""

    def __init__(
        self,
        champion: Champion,
        store: Callable[[], Store],
        source: str,
        *,
        interval_s: float = 1.0,
        on_move: Callable[[ServedModel], None] = lambda _model: None,
    ) -> None:
        self._champion, self._store, self._source = champion, store, source
        self._interval_s, self._on_move = interval_s, on_move
        self._loaded: ServedModel | None = None
        self._known: frozenset[str] = frozenset()
        self._done: tuple[str, str, tuple[int, int]] | None = None
        self._trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="calibration", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()

    def look(self) -> None:
        """Look once, now. Trouble is logged when it is new, never raised: the calibration in use stays in use."""
        try:
            self.follow()
        except Exception as error:  # noqa: BLE001 - the thread's edge: forecasts go on whatever happened
            trouble = f"{type(error).__name__}: {mask_secrets(str(error))}"
            if trouble != self._trouble:
                log.warning("calibration stays as it is: %s", trouble)
            self._trouble = trouble
        else:
            self._trouble = ""

    def follow(self) -> bool:
        """Bring the calibration up to what is settled; whether it moved. Raises StoreError, SettingsError, ValueError
        for settled games that cannot calibrate this model."""
        model = self._champion.current
        if model is None or (model.ensemble.source == SIMULATED) != (self._source == SIMULATED):
            return False
        if self._loaded is None or self._loaded.digest != model.digest:
            self._loaded, self._known = model, frozenset(known_games(model.ensemble))
        store = self._store()
        done = (model.digest, model.ensemble.calibration_id, store.settled_mark())
        if done == self._done:
            return False
        begun = time.monotonic()
        found = store.calibration_games(
            self._loaded.ensemble.trained_through - timedelta(days=LATE_DAYS), source=self._source,
            minutes=self._loaded.ensemble.minutes, without=self._known, final_only=False,
        )  # fmt: skip
        moved = _moved(self._loaded, found)
        calibration_id = moved.ensemble.calibration_id
        if calibration_id == model.ensemble.calibration_id:
            self._done = done
            return False
        moved.ensemble.warm()
        if found:
            store.record_calibration(model.digest, calibration_id, [one.settlement_id for one in found])
        if not self._champion.move(model, moved):
            return False
        self._done = (model.digest, calibration_id, done[2])
        log.info(
            "calibration %s: version %s and %d games settled since, in %.0f ms",
            calibration_id, model.version, moved.games_since, 1000 * (time.monotonic() - begun),
        )  # fmt: skip
        self._on_move(moved)
        return True

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.look()


def _moved(loaded: ServedModel, found: list[CalibrationGame]) -> ServedModel:
    if not found:
        return loaded
    ensemble = recalibrate(loaded.ensemble, [one.game for one in found], minimum=1).ensemble
    return replace(loaded, ensemble=ensemble, games_since=len({one.game.game_id for one in found}))
