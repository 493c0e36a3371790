"""Alembic's entry: runs the migrations on the connection that ``services.migrate`` holds the lock on."""

from __future__ import annotations

from alembic import context

from services.schema import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("run migrations with `python -m services.migrate`, which takes the lock that keeps them single")

context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
