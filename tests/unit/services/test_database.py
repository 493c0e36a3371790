"""The engine's rules and the names of errors, without a database."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from services.database import (
    DatabaseUnavailable,
    DriverError,
    RowRefused,
    StoreError,
    UnknownGame,
    dump_json,
    make_engine,
)


@pytest.mark.parametrize("url", ["postgresql://u:secret@h/d", "postgres://u:secret@h/d", "sqlite://", ""])
def test_a_url_without_the_one_driver_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(DriverError, match=r"postgresql\+psycopg2://") as caught:
        make_engine(url)
    assert "secret" not in str(caught.value)


def test_the_pool_is_small_and_checks_its_connections() -> None:
    engine = make_engine("postgresql+psycopg2://u:p@127.0.0.1:1/d")
    assert engine.pool.size() == 3  # type: ignore[attr-defined]
    assert engine.pool._pre_ping
    assert engine.dialect.driver == "psycopg2"


def test_an_unavailable_database_is_also_an_operational_error() -> None:
    error = DatabaseUnavailable(ConnectionError("refused\nhint below"))
    assert isinstance(error, OperationalError)
    assert isinstance(error, StoreError)
    assert str(error) == "database unavailable, try again: refused"


def test_an_unknown_game_is_a_refused_row() -> None:
    assert issubclass(UnknownGame, RowRefused)


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"x": {1, 2}}])
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(RowRefused):
        dump_json(value)
