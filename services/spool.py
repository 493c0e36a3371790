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

import fcntl
import json
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
    """What the spool has done and what it still holds; ``oldest_s`` is the age of its oldest waiting row."""

    appended: int
    drained: int
    rejected: int
    waiting: int
    oldest_s: float
    last_error: str | None


@dataclass(eq=False)
class _Segment:
    path: Path
    fd: int
    size: int = 0
    rows: int = 0
    opened_s: float = field(default_factory=time.monotonic)


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
        self._active: _Segment | None = None
        self._sealed: list[_Segment] = []
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
        segment: _Segment | None = None
        try:
            segment = self._active or self._open_segment()
            self._active = segment
            _write_all(segment.fd, b"".join(group.lines))
            os.fdatasync(segment.fd)  # the data and the size it needs to be read again; not the times
        except OSError as error:
            group.error = SpoolError(f"the spool cannot be written ({error.strerror}): free some disk space")
            self._last_error = str(group.error)
            log.error("spool %s cannot be written: %s", self._folder, error.strerror)
            if segment is not None:
                self._give_up(segment)
        else:
            segment.size += sum(map(len, group.lines))
            segment.rows += len(group.lines)
            self._appended += len(group.lines)
            if segment.size >= self._max_segment_bytes:
                self._seal()
        finally:
            group.done = True

    def _open_segment(self) -> _Segment:
        """A new locked segment. It gets its name only once it is locked, so nobody takes it for a dead one."""
        name = f"{time.time_ns():020d}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        young, path = self._folder / f"{name}.young", self._folder / f"{name}.jsonl"
        fd = os.open(young, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(young, path)
            _sync_folder(self._folder)
        except OSError:
            os.close(fd)
            young.unlink(missing_ok=True)
            raise
        return _Segment(path, fd)

    def _give_up(self, segment: _Segment) -> None:
        """After a failed write: cut the torn tail off and use a new segment, since its pages cannot be trusted."""
        try:
            os.ftruncate(segment.fd, segment.size)
        except OSError as error:
            log.warning("spool segment %s keeps a torn tail: %s", segment.path.name, error)
        self._seal()

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
        """Drain in a daemon thread from now on, dead processes' segments included."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spool-drain", daemon=True)
            self._thread.start()

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
                os.close(segment.fd)
                if segment.rows == 0:
                    segment.path.unlink(missing_ok=True)
            self._sealed.clear()

    def stats(self) -> SpoolStats:
        """Counts since this process began and what waits now."""
        with self._write_lock:
            waiting = [s for s in (*self._sealed, self._active) if s is not None and s.rows]
        return SpoolStats(
            appended=self._appended,
            drained=self._drained,
            rejected=self._rejected,
            waiting=sum(s.rows for s in waiting),
            oldest_s=max((time.monotonic() - s.opened_s for s in waiting), default=0.0),
            last_error=self._last_error,
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
            segment.path.unlink(missing_ok=True)
            os.close(segment.fd)
        if scan:
            self._drain_dead()

    def _drain_dead(self) -> None:
        for path in sorted(self._folder.glob("*.jsonl")):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_nlink:  # zero: another process drained and removed it meanwhile
                    self._drain_file(path)
                    path.unlink(missing_ok=True)
            except BlockingIOError:
                continue  # its writer lives
            finally:
                os.close(fd)

    def _drain_file(self, path: Path) -> None:
        rows: list[Row] = []
        lines = path.read_bytes().split(b"\n")
        if lines.pop():
            log.warning("spool segment %s: torn last line dropped (its request was never answered)", path.name)
        for line in lines:
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("not an object")
            except ValueError as error:
                self._reject(path, line.decode(errors="replace"), f"not JSON: {error}")
            else:
                rows.append(row)
        for start in range(0, len(rows), BATCH_ROWS):
            self._insert_some(path, rows[start : start + BATCH_ROWS])

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
        folder = self._folder / "rejected"
        folder.mkdir(exist_ok=True)
        with (folder / path.name).open("a", encoding="utf-8") as out:
            out.write(json.dumps({"reason": reason, "row": text}) + "\n")
            out.flush()
            os.fsync(out.fileno())
        self._rejected += 1
        self._last_error = f"row refused: {reason}"
        log.error("spool row refused and kept in rejected/%s: %s", path.name, reason)

    def _run(self) -> None:
        pause_s, next_scan_s = self._interval_s, 0.0
        while True:
            stopping = self._stop.is_set()
            try:
                scan = time.monotonic() >= next_scan_s
                self.drain(scan=scan)
                if scan:
                    next_scan_s = time.monotonic() + self._scan_interval_s
                pause_s = self._interval_s
            except Exception as error:  # noqa: BLE001 - the thread's edge: whatever insert raises, rows stay and we try again
                self._last_error = f"{type(error).__name__}: {error}"
                log.warning("spool not drained, next try in %.2g s: %s", pause_s, self._last_error)
                pause_s = min(2 * pause_s, self._max_backoff_s)
            self._observe(self.stats())
            if stopping:
                return
            self._stop.wait(pause_s)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
