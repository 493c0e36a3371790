"""A durable spool: rows are on disk before the caller goes on, and reach the database when it can take them.

One append-only file of JSON lines per process ("segment"), fsynced; a lock on it says that its writer lives. A thread
seals the segment, hands its rows to ``insert`` and removes the file only after that returned. So:

- a database outage, or a frozen server, stops nothing and loses nothing;
- after kill -9 the next spool on the same folder, in any process, finds the unlocked segment and drains it;
- a row may be inserted twice (a crash between insert and removal), so ``insert`` must be idempotent;
- a torn last line was never acknowledged and is dropped; any other bad line is kept under ``rejected/``.

Errors::

    SpoolError          the row is NOT safe: disk full, folder not writable, closed
    InsertRefused       raised by ``insert``: the rows themselves are wrong, trying again cannot help
    (anything else from ``insert`` means: not now, try again)
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.spool_files import Segment, abandoned, keep_refused, read_lines

Row = dict[str, object]
Insert = Callable[[Sequence[Row]], None]

MAX_SEGMENT_BYTES = 8 * 2**20
MIN_FREE_BYTES = 16 * 2**20
BATCH_ROWS = 200

log = logging.getLogger(__name__)


class SpoolError(RuntimeError):
    """The row could not be made durable; the message says why and what to do."""


class InsertRefused(ValueError):
    """Raised by an insert function for rows that no retry can save."""


@dataclass(frozen=True, slots=True)
class SpoolStats:
    """What the spool has done and what it still holds.

    ``oldest_s`` is the age of its oldest waiting row, ``last_error`` why the newest write or drain failed, if it did,
    ``disk_size`` and ``disk_free`` are bytes of the disk it is on, None while that cannot be asked.
    """

    appended: int
    drained: int
    rejected: int
    waiting: int
    oldest_s: float
    last_error: str | None
    disk_size: int | None
    disk_free: int | None


@dataclass(eq=False)
class _Group:
    """Lines that one write and one fsync make durable together."""

    lines: list[bytes] = field(default_factory=list)
    done: bool = False
    error: SpoolError | None = None


class Spool:
    """Durable rows on their way to ``insert``. Thread-safe; one per process and folder, any number of processes."""

    def __init__(
        self,
        folder: Path,
        insert: Insert,
        *,
        interval_s: float = 0.25,
        max_backoff_s: float = 5.0,
        scan_interval_s: float = 5.0,
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
        observe: Callable[[SpoolStats], None] = lambda _stats: None,
    ) -> None:
        self._folder = folder
        self._insert = insert
        self._interval_s = interval_s
        self._max_backoff_s = max_backoff_s
        self._scan_interval_s = scan_interval_s
        self._max_segment_bytes = max_segment_bytes
        self._observe = observe
        self._group = _Group()
        self._group_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._active: Segment | None = None
        self._sealed: list[Segment] = []
        self._appended = self._drained = self._rejected = 0
        self._last_error: str | None = None
        self._stop = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SpoolError(
                f"the spool folder {folder} cannot be made ({error.strerror}): set HALFTIME_HOME to a place for data"
            ) from error

    # -- writing ------------------------------------------------------------------------------------------------

    def append(self, row: Mapping[str, object]) -> None:
        """Return once ``row`` (JSON values, no NaN) is on disk. Raises SpoolError when it is not."""
        line = json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        with self._group_lock:
            if self._closed:
                raise SpoolError("the spool is closed: this process is shutting down; send the request again")
            group = self._group
            group.lines.append(line)
        # Whoever comes first writes for all who wait: one fsync serves every concurrent request.
        with self._write_lock:
            if not group.done:
                with self._group_lock:
                    self._group = _Group()
                self._commit(group)
        if group.error is not None:
            raise group.error

    def _commit(self, group: _Group) -> None:
        try:
            segment = self._active = self._active or Segment.create(self._folder)
            segment.append(group.lines)
        except OSError as error:
            group.error = SpoolError(f"the spool cannot be written ({error.strerror}): free some disk space")
            self._last_error = str(group.error)
            log.error("spool %s cannot be written: %s", self._folder, error.strerror)
            self._seal()
        else:
            self._appended += len(group.lines)
            if segment.size >= self._max_segment_bytes:
                self._seal()
        finally:
            group.done = True

    def _seal(self) -> None:
        if self._active is not None:
            self._sealed.append(self._active)
            self._active = None

    def probe(self) -> None:
        """Raises SpoolError when rows could not be written now: no right to, or less than 16 MiB free."""
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise SpoolError("the spool folder is not writable: give this user the right to write there")
        free = shutil.disk_usage(self._folder).free
        if free < MIN_FREE_BYTES:
            raise SpoolError(f"the disk of the spool is nearly full ({free // 2**20} MiB free): free some space")

    # -- draining -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Drain in a daemon thread from now on, dead processes' segments included, and tell what waits in another: a
        frozen database holds the first one up for as long as it is frozen."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spool-drain", daemon=True)
            self._thread.start()
            threading.Thread(target=self._tell, name="spool-tell", daemon=True).start()

    def close(self, timeout_s: float = 2.0) -> None:
        """Take no more rows, try once more to drain, and leave the rest, unlocked, for the next process."""
        with self._group_lock:
            self._closed = True
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():  # an insert hangs; our locks end with the process
                return
        with self._write_lock:
            self._seal()
            for segment in self._sealed:
                segment.close()
            self._sealed.clear()

    def stats(self) -> SpoolStats:
        """Counts since this process began and what waits now."""
        with self._write_lock:
            waiting = [s for s in (*self._sealed, self._active) if s is not None and s.rows]
        try:
            disk = shutil.disk_usage(self._folder)
        except OSError:
            disk = None
        return SpoolStats(
            appended=self._appended,
            drained=self._drained,
            rejected=self._rejected,
            waiting=sum(s.rows for s in waiting),
            oldest_s=max((time.monotonic() - s.opened_s for s in waiting), default=0.0),
            last_error=self._last_error,
            disk_size=disk and disk.total,
            disk_free=disk and disk.free,
        )

    def drain(self, *, scan: bool = True) -> None:
        """One pass: own rows, then (``scan``) the segments of dead processes. Raises what ``insert`` raises."""
        with self._write_lock:
            # While older rows cannot be inserted the active segment grows: an outage leaves few files, not many.
            if self._active is not None and self._active.rows and not self._sealed:
                self._seal()
            mine = list(self._sealed)
        for segment in mine:
            self._drain_file(segment.path)
            with self._write_lock:
                self._sealed.remove(segment)
            segment.remove()
        if scan:
            for path in abandoned(self._folder):
                self._drain_file(path)

    def _drain_file(self, path: Path) -> None:
        lines = read_lines(path)
        # Batch by batch: while the database is away each try reads one batch, not the whole file.
        for start in range(0, len(lines), BATCH_ROWS):
            rows = [row for line in lines[start : start + BATCH_ROWS] if (row := self._row(path, line)) is not None]
            if rows:
                self._insert_some(path, rows)

    def _row(self, path: Path, line: bytes) -> Row | None:
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("not an object")
        except ValueError as error:
            self._reject(path, line.decode(errors="replace"), f"not JSON: {error}")
            return None
        return row

    def _insert_some(self, path: Path, rows: list[Row]) -> None:
        """Insert; a refused batch is halved until the wrong row stands alone, so it cannot hold up the others."""
        try:
            self._insert(rows)
        except InsertRefused as error:
            if len(rows) == 1:
                self._reject(path, json.dumps(rows[0]), str(error))
                return
            half = len(rows) // 2
            self._insert_some(path, rows[:half])
            self._insert_some(path, rows[half:])
        else:
            self._drained += len(rows)

    def _reject(self, path: Path, text: str, reason: str) -> None:
        if keep_refused(path, text, reason):
            self._rejected += 1

    def _run(self) -> None:
        pause_s, next_scan_s = self._interval_s, 0.0
        while True:
            stopping = self._stop.is_set()
            try:
                scan = time.monotonic() >= next_scan_s
                self.drain(scan=scan)
                if scan:
                    next_scan_s = time.monotonic() + self._scan_interval_s
                pause_s, trouble = self._interval_s, None
            except Exception as error:  # noqa: BLE001 - whatever insert raises, the rows stay and the thread goes on
                pause_s, trouble = min(2 * pause_s, self._max_backoff_s), f"{type(error).__name__}: {error}"
            if trouble and trouble != self._last_error:
                log.warning("spool not drained, rows are kept and tried again: %s", trouble)
            elif self._last_error and not trouble:
                log.info("spool drains again")
            self._last_error = trouble
            if stopping:
                return
            self._stop.wait(pause_s)

    def _tell(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._observe(self.stats())
