"""What a worker is made of, and how it answers: the service without BentoML.

A prediction is computed, made the first answer to its request id, made durable, and only then answered. Nothing on
that way waits for the database.
"""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from structlog.contextvars import bound_contextvars

from bentos.answering import ServedModel, answer, code_version
from bentos.champion import Champion, Find, Load, nobody
from bentos.contracts import PredictRequest, RecordActualRequest, RequestRefused, identify, prediction_row
from bentos.database import Database
from bentos.following import Follower
from bentos.instruments import (
    PREDICTIONS,
    forget_dead_workers,
    observe_look,
    observe_model,
    observe_move,
    observe_spool,
)
from models.clock import OFFICIAL_MINUTE
from services.answer import Prediction, Problem, Recorded
from services.idempotency import Answers, KeyReusedError
from services.prediction_log import PredictionLog
from services.settings import Settings
from services.spool import Row, Spool, SpoolError
from services.store import ConflictingActual, Outcome, Store, UnknownGame
from services.store_shadows import SHADOW_REQUEST
from services.trace import Ids
from services.trace_spans import Later, Value, span

Fallback = Callable[[], ServedModel] | None

YOUNG_OBJECTS = 50_000
# The number goes up with the form of a prediction: an answer kept by an older release is not one of today's.
ANSWERS = "answers-2.sqlite"


class Engine:
    """One a worker process."""

    def __init__(self, settings: Settings, load: Load, find: Find = nobody, fallback: Fallback = None) -> None:
        folder = settings.home / "spool"
        self.database = Database(settings)
        self._storing = Later("store")
        self.spool = Spool(folder, self._insert, observe=observe_spool)
        self.answers = Answers(folder / ANSWERS)
        self.log = PredictionLog(settings.home / "logs", settings.prediction_log_days)
        self._serving = False
        self.champion = Champion(
            load,
            refresh_s=settings.champion_poll_s,
            on_change=self._changed,
            on_look=self._looked,
            find=find,
            fallback=fallback,
        )
        self.follower = Follower(
            self.champion,
            self.database.store,
            settings.feed_source,
            interval_s=settings.calibration_poll_s,
            on_move=observe_move,
        )

    def start(self, wait_s: float = 0.0) -> None:
        """Load the model and drain the spool, both in threads of their own; wait at most ``wait_s`` for the model.

        From then on the process is taken to do nothing else: what lives in it when a model comes is never looked
        through for garbage again.
        """
        self._serving = True
        forget_dead_workers()
        code_version()
        self.spool.start()
        self.champion.start(wait_s)
        self.follower.start()

    def _changed(self, old: ServedModel | None, new: ServedModel) -> None:
        """Before a model serves: show it. A collection that looks through all that stays would stop every request for a
        tenth of a second, several times a minute when many come; so do too frequent ones of what is young."""
        observe_model(old, new)
        if self._serving:
            gc.collect()
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS, 10, 10)

    def close(self) -> None:
        """Stop; what has not been drained stays on disk for the next worker."""
        self.follower.close()
        self.champion.close()
        self.spool.close()
        self.answers.close()
        self.log.close()

    def predict(self, request: PredictRequest, key: str | None, trace: Ids | None = None) -> bytes:
        """The answer to ``request`` as JSON; ``trace`` is what asked for it, and is told to the logs.

        Raises RequestRefused (400, 409), NoModelError, SpoolError, AnswersUnavailableError, BrokenForecast.
        """
        request_id, prediction_id = identify(request, key)
        if request_id.startswith(SHADOW_REQUEST):
            problem = f"begins with {SHADOW_REQUEST!r}, which is kept for shadows: choose another"
            raise RequestRefused(400, f"request_id {problem}.", [Problem(field="request_id", problem=problem)])
        named = key is not None or request.request_id is not None
        # Whatever is logged on the way says which request and game it was about.
        about: dict[str, Value] = {"request_id": request_id, "game_id": request.game_id}
        known = about | ({"trace_id": trace.trace_id} if trace is not None else {})
        about["minute"] = request.asked_minute
        with bound_contextvars(**known), span("predict", trace, about, kind="server"):
            return self._first_answer(request, request_id, prediction_id, named=named)

    def _first_answer(self, request: PredictRequest, request_id: str, prediction_id: UUID, *, named: bool) -> bytes:
        began_s = time.perf_counter()
        model = self._model(request)
        fingerprint = _fingerprint(request)
        try:
            body = self.answers.get(request_id, fingerprint) if named else None
            if body is None:
                now = datetime.now(UTC)
                given = answer(model, request, request_id=request_id, prediction_id=prediction_id, now=now)
                body = given.model_dump_json().encode()
                first = self.answers.claim(request_id, fingerprint, body) if named else body
            else:
                first, given = body, None
        except KeyReusedError as error:
            raise RequestRefused(409, f"{sentence(error)}.") from error
        new = given is not None and first == body  # the file of answers gives equal bytes, not the same ones
        if given is None or not new:
            given = Prediction.model_validate_json(first)
        # Also when the answer is an old one: its worker may have been killed before it was durable.
        row = prediction_row(request, given)
        self._storing.begin(row["id"])  # before the spool has it: its thread may be quick
        self.spool.append(row)
        PREDICTIONS.labels(str(given.minute)).inc()
        if new:
            margin = request.pattern[-1] if request.pattern else 0.0
            took_ms = 1000 * (time.perf_counter() - began_s)
            self.log.write(given, day=request.date, margin=margin, duration_ms=took_ms)
        return first

    def _insert(self, rows: Sequence[Row]) -> None:
        """What the spool drains into. Raises InsertRefused for rows that no retry can save."""
        self.database.insert(rows)
        self._storing.end(str(row["id"]) for row in rows)

    def _looked(self, trouble: str | None) -> None:
        # Without a model there is nothing to refuse: then the fallback says so.
        refused = trouble is not None and self.champion.current is not None
        observe_look(refused=refused, fallback=self.champion.on_fallback)

    def _model(self, request: PredictRequest) -> ServedModel:
        """The champion, or the model that the request names. Raises RequestRefused (404), NoModelError."""
        if request.model_digest is None:
            return self.champion.model
        try:
            return self.champion.of(request.model_digest)
        except LookupError as error:
            problem = "names a model that cannot be had: leave it out to ask the champion"
            raise RequestRefused(
                404, f"model_digest {problem} ({error}).", [Problem(field="model_digest", problem=problem)]
            ) from error

    async def record_actual(self, request: RecordActualRequest) -> Recorded:
        """Record an outcome and settle. Raises RequestRefused (404, 409), DatabaseDownError."""

        def work(store: Store) -> Recorded:
            stored = store.record_actual(
                request.game_id, request.actual_differential, source="api", refuse_conflict=True
            )
            new = store.settle(request.game_id)
            standing = store.settlement(request.game_id)
            return Recorded(
                game_id=request.game_id,
                actual_differential=request.actual_differential,
                status="settled" if stored.outcome is Outcome.RECORDED or new else "unchanged",
                settled=sum(one.minute == OFFICIAL_MINUTE for one in new),
                error=standing.error if standing else None,
                covered=standing.covered if standing else None,
            )

        try:
            return await self.database.call(work)
        except UnknownGame as error:
            raise RequestRefused(
                404,
                f"Game {request.game_id} is not known: only games that were polled or loaded can have an outcome.",
                [Problem(field="game_id", problem="is not in the table of games")],
            ) from error
        except ConflictingActual as error:
            raise RequestRefused(
                409,
                f"{sentence(error)}: a final outcome is not changed by this call.",
                [Problem(field="actual_differential", problem="contradicts the final outcome")],
            ) from error

    def unready(self) -> str | None:
        """Why predictions cannot be served now, as a sentence; None when they can."""
        if self.champion.current is None and not self.champion.on_fallback:
            return f"The forecaster is not ready: {sentence(self.champion.trouble or 'try again')}."
        try:
            self.spool.probe()
        except (SpoolError, OSError) as error:
            return f"The forecaster is not ready: {sentence(error)}."
        return None

    def fallback_note(self) -> str | None:
        """That persistence answers and why, as a sentence; None while a model does."""
        if not self.champion.on_fallback:
            return None
        why = sentence(self.champion.trouble or "no model could be loaded")
        return f"Persistence answers in place of a model: {why}."

    def health(self) -> dict[str, Any]:
        """What works and what does not, from memory alone."""
        unready = self.unready()
        stats = self.spool.stats()
        model = self.champion.current
        stale = (self.champion.trouble or model.note) if model else self.fallback_note()
        late = stats.waiting > 0 and stats.last_error is not None
        waiting = f"{stats.waiting} predictions wait for the database; the log says why" if late else None
        if self.champion.on_fallback:
            model = self.champion.model
        served = model and {"version": model.version, "digest": model.digest, "source": model.ensemble.source}
        trouble = [text for text in (unready, stale, waiting) if text]
        return {
            "status": "not ready" if unready else "degraded" if trouble else "ready",
            "trouble": trouble,
            "model": served,
            "spool": {
                "appended": stats.appended,
                "drained": stats.drained,
                "waiting": stats.waiting,
                "rejected": stats.rejected,
                "oldest_s": round(stats.oldest_s, 3),
            },
            "code_version": code_version(),
        }


def sentence(error: Exception | str) -> str:
    """An error's text as the beginning of a sentence."""
    text = str(error).rstrip(".")
    return text[:1].upper() + text[1:]


def _fingerprint(request: PredictRequest) -> str:
    body = request.model_dump(mode="json", exclude={"request_id"})
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
