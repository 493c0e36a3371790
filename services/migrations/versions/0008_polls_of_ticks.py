"""Which poll last made a state the newest of its game: what tells two processes in which order states came."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of states that are there, the first poll that showed them."""
    op.execute(
        """
        ALTER TABLE ticks ADD COLUMN polled_at timestamptz;
        UPDATE ticks SET polled_at = seen_at;
        ALTER TABLE ticks ALTER COLUMN polled_at SET NOT NULL;
        """
    )


def downgrade() -> None:
    """Drop it: the first poll of each state is kept."""
    op.execute("ALTER TABLE ticks DROP COLUMN polled_at")
