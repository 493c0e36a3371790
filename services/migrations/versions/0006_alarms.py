"""Alarms whose states move with the settlements, and what a model's errors were when it was trained.

``alarm_states`` was there and nothing wrote it. ``reference`` is how a version erred on games that fitted nothing, by
what was known of a game: drift is judged against that of a line's first version.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The table anew, empty; the column, empty."""
    op.execute(
        """
        DROP TABLE alarm_states;
        CREATE TABLE alarm_states (
            source text NOT NULL,
            lineage text NOT NULL,
            alpha double precision NOT NULL CONSTRAINT alarm_states_alpha_check CHECK (alpha > 0 AND alpha < 1),
            alarm text NOT NULL,
            kind text NOT NULL,
            state jsonb NOT NULL,
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT alarm_states_pkey PRIMARY KEY (source, lineage, alpha, alarm, kind)
        );
        ALTER TABLE registered_versions ADD COLUMN reference jsonb;
        """
    )


def downgrade() -> None:
    """The table as it was; what the states said can be computed again from the settlements."""
    op.execute(
        """
        DROP TABLE alarm_states;
        CREATE TABLE alarm_states (
            name text NOT NULL,
            subject text NOT NULL,
            state jsonb NOT NULL,
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT alarm_states_pkey PRIMARY KEY (name, subject)
        );
        ALTER TABLE registered_versions DROP COLUMN reference;
        """
    )
