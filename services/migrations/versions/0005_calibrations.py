"""Calibrations within the night: which settlements a served model's calibration had moved over.

A version's own calibration is in its bundle; what it became before the next version was made is here, so that every
interval can be computed again.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, empty."""
    op.execute(
        """
        CREATE TABLE calibrations (
            model_digest text NOT NULL CONSTRAINT calibrations_digest_check CHECK (model_digest ~ '^[0-9a-f]{64}$'),
            calibration_id text NOT NULL CONSTRAINT calibrations_id_check CHECK (calibration_id ~ '^[0-9a-f]{16}$'),
            settlement_ids bigint[] NOT NULL CONSTRAINT calibrations_settlements_check
                CHECK (cardinality(settlement_ids) > 0 AND array_position(settlement_ids, NULL) IS NULL),
            made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT calibrations_pkey PRIMARY KEY (model_digest, calibration_id)
        );
        CREATE TRIGGER calibrations_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON calibrations
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
        """
    )


def downgrade() -> None:
    """Refused: intervals made within a night could not be computed again."""
    raise NotImplementedError("calibrations made within a night have no place in the tables before: restore a backup")
