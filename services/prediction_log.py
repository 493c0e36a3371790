"""The log of predictions: one JSON line for each one served, in a file a league date and on standard output.

It is for people and their tools; the table ``predictions`` is the record. So nothing here ever stops a prediction: a
file system that is full or read-only is said once in the service's log, and once more when it has passed.

Any number of processes write the same files. Each line is one ``write`` to a file opened with O_APPEND and shorter than
a pipe takes at once, so lines of two workers are never mixed. A line that a full disk or a power cut tore is ended by
whoever writes next, a second later or more: it alone cannot be read.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from structlog.typing import EventDict, WrappedLogger

from services.answer import Prediction
from services.telemetry import mask_secrets
from services.trace import HERE, trace_id_of

LEAGUE_TIME: Final = ZoneInfo("America/New_York")
NIGHT_ENDS_HOUR: Final = 6
# POSIX promises only 512, but where we run (Linux) PIPE_BUF is this.
MAX_LINE_BYTES: Final = 4096
# The longest request id that is taken has 128 characters, so nothing that was really sent is ever shortened.
TEXT_LIMITS: Final = (128, 40)
# No write of a line takes so long, in seconds of wall time.
SETTLED_S: Final = 1.0
# Without a standard output the number 1 may belong to anything that was opened since, a database too.
STDOUT: Final = 1 if sys.__stdout__ is not None else None

_NAME = re.compile(r"predictions_(\d{4}-\d{2}-\d{2})\.log", re.ASCII)

log = logging.getLogger(__name__)


def league_date(now: datetime) -> date:
    """The league date of an aware time: a night ends at 6:00 in New York, so before that it is still the day before."""
    local = now.astimezone(LEAGUE_TIME)
    return local.date() - timedelta(days=1 if local.hour < NIGHT_ENDS_HOUR else 0)


def log_path(folder: Path, day: date) -> Path:
    """Where the predictions of a league date are logged."""
    return folder / f"predictions_{day.isoformat()}.log"


def logged_days(folder: Path) -> dict[date, Path]:
    """The prediction logs in ``folder`` by league date, oldest first; other files are not named. Raises OSError unless
    the folder is merely not there."""
    found = {}
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return {}
    for name in names:
        if (match := _NAME.fullmatch(name)) is not None:
            try:
                found[date.fromisoformat(match[1])] = folder / name
            except ValueError:  # predictions_2026-02-31.log is not ours
                continue
    return dict(sorted(found.items()))


class PredictionLog:
    """Writes the log of predictions. Thread-safe; one a process, any number of processes.

    ``keep_days`` is how many days a log is kept, ``copy_to`` the file descriptor that gets every line too (None: none).
    """

    def __init__(self, folder: Path, keep_days: int, *, copy_to: int | None = STDOUT) -> None:
        self._folder, self._keep_days, self._copy_to = folder, keep_days, copy_to
        self._lock = threading.Lock()
        self._lost: dict[str, int] = {}
        self._day: date | None = None
        self._torn: date | None = None
        self._fd: int | None = None
        self._copy_ready = select.poll()
        if copy_to is not None:
            self._copy_ready.register(copy_to, select.POLLOUT)

    def write(self, answer: Prediction, *, day: date | None, margin: float, duration_ms: float) -> None:
        """Log a prediction; never raises OSError.

        ``day`` is the league date of the request, None when it named none; ``margin`` the pattern's last, home minus
        away in points; ``duration_ms`` how long the answer took in milliseconds.
        """
        today = league_date(answer.timestamp)
        shown = day or today
        bound = _LINES.bind(request_id=answer.request_id, game_id=answer.game_id)
        line = bound.info(
            "prediction",
            timestamp=answer.timestamp.astimezone(UTC).isoformat(),
            league_date=shown.isoformat(),
            prediction_id=str(answer.prediction_id),
            minute=answer.minute,
            home=answer.context.home,
            away=answer.context.away,
            margin=margin,
            point=answer.point_forecast,
            lower=answer.interval_lower,
            upper=answer.interval_upper,
            alpha=answer.alpha,
            model_version=answer.model_version,
            model_digest=answer.model_digest,
            calibration_id=answer.calibration_id,
            duration_ms=round(duration_ms, 3),
            trace_id=trace_id_of(HERE.get()),
        )
        with self._lock:
            self._attempt("the log of predictions", lambda: self._to_file(line, shown, today))
            if self._copy_to is not None:
                self._attempt("standard output", lambda: self._to_copy(line))

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        with self._lock:
            self._close()

    def _attempt(self, place: str, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            if not self._lost.get(place):
                log.warning("a prediction could not be written to %s (%s); predictions go on", place, error)
            self._lost[place] = self._lost.get(place, 0) + 1
        else:
            if lost := self._lost.pop(place, 0):
                log.warning("predictions are written to %s again; %d were not", place, lost)

    def _to_file(self, line: bytes, day: date, today: date) -> None:
        try:
            fd = self._opened(day, today)
            line = b"\n" + line if self._ends_torn(fd, day) else line
            self._torn = day  # until the line is known to be whole
            _write_whole(fd, line)
            self._torn = None
        except OSError:
            self._close()  # opened anew by the next line: the folder may have been made writable, or be another
            raise

    def _ends_torn(self, fd: int, day: date) -> bool:
        """Whether the file ends within a line that nobody will finish."""
        facts = os.fstat(fd)
        if facts.st_size == 0 or os.pread(fd, 1, facts.st_size - 1) in (b"\n", b""):
            return False
        # A line that another process is writing at this moment can be seen half, too: that one is no torn one.
        return self._torn == day or time.time() - facts.st_mtime > SETTLED_S

    def _opened(self, day: date, today: date) -> int:
        """The file of ``day``. Also anew when somebody deleted it: lines in a file without a name are lost."""
        if self._fd is not None and self._day == day and os.fstat(self._fd).st_nlink:
            return self._fd
        self._close()
        self._folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        self._fd, self._day = os.open(log_path(self._folder, day), flags, 0o640), day
        try:
            self._delete_old(today)
        except OSError as error:
            log.warning("old logs of predictions could not be deleted: %s", error)
        return self._fd

    def _delete_old(self, today: date) -> None:
        # A night replayed today carries its own date, perhaps years back, and a request may name one to come. So a log
        # goes when its date is not among the kept ones and nobody has written to it for as long.
        kept = timedelta(days=self._keep_days)
        for day, path in logged_days(self._folder).items():
            if today - kept <= day <= today or day == self._day:
                continue
            try:
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except FileNotFoundError:
                continue  # another worker was faster
            if league_date(written) < today - kept:
                path.unlink(missing_ok=True)

    def _to_copy(self, line: bytes) -> None:
        assert self._copy_to is not None
        # A pipe whose reader has stopped would otherwise hold up every prediction.
        if not self._copy_ready.poll(0):
            raise BlockingIOError(errno.EAGAIN, "nobody reads it")
        _write_whole(self._copy_to, line)

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd = self._day = None


def _write_whole(fd: int, line: bytes) -> None:
    # One write and no second one for the rest: another process's line might come between.
    if os.write(fd, line) != len(line):
        raise OSError(errno.ENOSPC, "only a part of the line could be written")


def _render(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    line = b""
    for limit in TEXT_LIMITS:
        # ASCII: neither a newline nor any other sign that some reader takes for the end of a line is left.
        text = json.dumps({key: _clean(value, limit) for key, value in event.items()}, allow_nan=False)
        line = text.encode("ascii") + b"\n"
        if len(line) < MAX_LINE_BYTES:  # with room for the newline that ends a torn line
            break
    return line


def _clean(value: Any, limit: int) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int):
        return value
    text = mask_secrets(str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"


# Processors of its own, no handler: how often a process configures its logging cannot double a line or change its form.
_LINES: Final = structlog.wrap_logger(
    structlog.ReturnLogger(),
    processors=[structlog.processors.add_log_level, _render],
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
).bind()
