"""Database migrations (Alembic); run them with services.migrate."""
