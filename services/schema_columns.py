"""Columns that the tables share, and the metadata they are all part of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, MetaData, Text, func

metadata = MetaData()
MOMENT = DateTime(timezone=True)


def row_id() -> Column[int]:
    """A row's number, given by the database."""
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def now(name: str) -> Column[Any]:
    """When the row was written, by the database's clock."""
    return Column(name, MOMENT, nullable=False, server_default=func.clock_timestamp())


def words(name: str, *, nullable: bool = False) -> Column[str]:
    """Text of any length."""
    return Column(name, Text, nullable=nullable)


def of_game(constraint: str) -> Column[str]:
    """The game a row is about; ``constraint`` names its foreign key."""
    return Column("game_id", Text, ForeignKey("games.game_id", name=constraint), nullable=False)
