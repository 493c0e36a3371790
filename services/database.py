"""The connection to PostgreSQL: one engine a process, small, with time limits, and errors that say what to do.

StoreError                 what the database would not or could not do
+-- DatabaseUnavailable    not now: down, frozen, too slow; also an sqlalchemy OperationalError. Try again.
+-- DatabaseNotReady       tables are missing or old: run the migrations
+-- RowRefused             a row breaks a rule of its table; trying again cannot help
    +-- UnknownGame        the row names a game that is not in `games`
+-- Overtaken              a newer state of the game was stored meanwhile: read the game again and judge anew
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine, create_engine, exc

DRIVER = "postgresql+psycopg2://"


class StoreError(Exception):
    """The database would not or could not do what was asked."""


class DatabaseUnavailable(StoreError, exc.OperationalError):
    """The database cannot be used now; nothing was committed by this call."""

    def __init__(self, cause: BaseException) -> None:
        exc.OperationalError.__init__(self, None, None, cause)

    def __str__(self) -> str:
        return f"database unavailable, try again: {first_line(self.orig)}"


class DatabaseNotReady(StoreError):
    """Tables or columns are missing: the migrations have not run."""


class RowRefused(StoreError, ValueError):
    """The database refused a row; the message holds the rule it breaks."""


class UnknownGame(RowRefused):
    """A row names a game that is not in ``games``."""


class Overtaken(StoreError):
    """What was to be stored rests on a state of the game that is not the newest any more; nothing was stored."""


class DriverError(StoreError, ValueError):
    """The URL does not name the one driver that is used."""


def make_engine(
    url: str,
    *,
    application: str = "halftime",
    pool_size: int = 3,
    max_overflow: int = 2,
    statement_timeout_s: float = 10.0,
) -> Engine:
    """An engine for ``url``. Connects only when first used. Raises DriverError.

    The pool is small: a dozen processes of 5 connections stay below PostgreSQL's default of 100.
    """
    if not url.startswith(DRIVER):
        raise DriverError(
            f"DATABASE_URL must start with {DRIVER} (it starts {url.split('@')[0].split('//')[0]!r}): without a named "
            "driver SQLAlchemy may pick one that is not installed"
        )
    timeouts = f"-c statement_timeout={statement_timeout_s * 1000:.0f} -c lock_timeout={statement_timeout_s * 500:.0f}"
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=5.0,
        pool_recycle=1800,
        json_serializer=dump_json,
        connect_args={
            "connect_timeout": 5,
            "application_name": application,
            "options": f"{timeouts} -c idle_in_transaction_session_timeout=60000 -c timezone=UTC",
            "keepalives_idle": 30,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
    )


def dump_json(value: Any) -> str:
    """JSON without NaN or infinity, which are not JSON. Raises RowRefused."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError) as error:
        raise RowRefused(f"a value cannot be stored as JSON: {error}; convert it to a finite number or null") from error


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction: committed at the end, rolled back on any error. Raises StoreError and its kinds."""
    try:
        with engine.begin() as connection:
            yield connection
    except exc.DBAPIError as error:
        raise _named(error) from error
    except exc.TimeoutError as error:
        raise DatabaseUnavailable(error) from error
    except exc.StatementError as error:
        if isinstance(error.orig, StoreError):
            raise error.orig from error
        raise RowRefused(f"a value cannot be sent to the database: {first_line(error.orig or error)}") from error
    except ValueError as error:
        # The driver itself refuses this one, before the database sees it.
        if "NUL" in str(error) and not isinstance(error, StoreError):
            raise RowRefused(f"refused: {error}") from error
        raise


def first_line(error: BaseException | None) -> str:
    """The first line of an error's text; servers add hints and positions below."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _named(error: exc.DBAPIError) -> StoreError:
    cause = error.orig
    code = cause.pgcode if isinstance(cause, psycopg2.Error) else None
    said = first_line(cause)
    if isinstance(error, exc.IntegrityError | exc.DataError):
        if code == "23503" and "game_fkey" in str(cause):
            detail = cause.diag.message_detail if isinstance(cause, psycopg2.Error) else said
            return UnknownGame(f"unknown game: {detail} Load it into `games` first")
        return RowRefused(f"refused: {said}")
    if code in {"42P01", "42703", "42883"}:
        return DatabaseNotReady(f"{said}: run the migrations (`python -m services.migrate`)")
    if code == "42501":
        return StoreError(f"this database user lacks a right: {said}")
    if isinstance(error, exc.OperationalError | exc.InterfaceError) or error.connection_invalidated:
        return DatabaseUnavailable(cause or error)
    return StoreError(f"the database refused: {said}")
