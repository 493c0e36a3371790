"""The first answer to a request id is the answer: shared by every worker on a machine, kept for a day.

A retry may reach another worker, or come after a new champion took over; it still gets the first answer, bit for bit.
One SQLite file carries that, because it must survive kill -9 of a worker but need not survive the machine: there the
UNIQUE request id of table ``predictions`` has the last word.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

KEEP_S = 86_400.0
PURGE_EVERY = 1000


class IdempotencyError(RuntimeError):
    """Base of what can go wrong here."""


class KeyReusedError(IdempotencyError):
    """The same request id was sent before with another body."""


class AnswersUnavailableError(IdempotencyError):
    """The file of answers cannot be read or written."""


class Answers:
    """First answers by request id. Thread-safe; one file for all processes of a machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._claims = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise AnswersUnavailableError(f"{path} cannot be opened: {error}") from error
            # Damaged by a power cut: older answers are in the database, so start with an empty file.
            path.unlink()
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=2.0, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(
            "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, answer BLOB NOT NULL,"
            " at REAL NOT NULL) WITHOUT ROWID"
        )
        db.execute("DELETE FROM answers WHERE at < ?", (time.time() - KEEP_S,))
        return db

    def get(self, key: str, fingerprint: str) -> bytes | None:
        """The first answer to ``key``, or None. Raises KeyReusedError when it belongs to another body."""
        try:
            with self._lock:
                row = self._db.execute("SELECT fingerprint, answer FROM answers WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise AnswersUnavailableError(f"{self._path} cannot be read: {error}") from error
        return None if row is None else _same(key, fingerprint, row)

    def claim(self, key: str, fingerprint: str, answer: bytes) -> bytes:
        """Make ``answer`` the first one unless there is one; returns the first. Raises KeyReusedError."""
        try:
            with self._lock:
                self._db.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (key, fingerprint, answer, time.time()),
                )
                row = self._db.execute("SELECT fingerprint, answer FROM answers WHERE key = ?", (key,)).fetchone()
                self._claims += 1
                if self._claims % PURGE_EVERY == 0:
                    self._db.execute("DELETE FROM answers WHERE at < ?", (time.time() - KEEP_S,))
        except sqlite3.Error as error:
            raise AnswersUnavailableError(f"{self._path} cannot be written: {error}") from error
        return _same(key, fingerprint, row)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _same(key: str, fingerprint: str, row: tuple[str, bytes]) -> bytes:
    if row[0] != fingerprint:
        raise KeyReusedError(f"request id {key} was sent before with another body: use a new id for a new request")
    return row[1]
