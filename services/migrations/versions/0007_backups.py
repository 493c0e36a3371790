"""Backups made and restores tried: what the age of the newest one is read from, wherever its file went."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, empty."""
    op.execute(
        """
        CREATE TABLE backups (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT backups_pkey PRIMARY KEY,
            kind text NOT NULL CONSTRAINT backups_kind_check CHECK (kind IN ('backup', 'restore_test')),
            made_at timestamptz NOT NULL,
            file_name text NOT NULL CONSTRAINT backups_file_check
                CHECK (file_name ~ '^halftime-[0-9]{8}T[0-9]{6}Z[.]dump$'),
            bytes bigint NOT NULL CONSTRAINT backups_bytes_check CHECK (bytes > 0),
            sha256 text NOT NULL CONSTRAINT backups_sha256_check CHECK (sha256 ~ '^[0-9a-f]{64}$'),
            tables integer NOT NULL CONSTRAINT backups_tables_check CHECK (tables >= 0),
            rows bigint NOT NULL CONSTRAINT backups_rows_check CHECK (rows >= 0),
            took_s double precision NOT NULL CONSTRAINT backups_took_check CHECK (took_s BETWEEN 0 AND 1000000),
            ok boolean NOT NULL,
            CONSTRAINT backups_identity_key UNIQUE (kind, file_name, made_at)
        );
        CREATE INDEX backups_kind_made_idx ON backups (kind, made_at);
        CREATE TRIGGER backups_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON backups
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
        """
    )


def downgrade() -> None:
    """Refused: it would forget which backups were made and tried."""
    raise NotImplementedError("backups made and tried have no place in the tables before: restore a backup")
