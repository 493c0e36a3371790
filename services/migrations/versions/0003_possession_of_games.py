"""Who has the ball at minutes 0..23 of a game in the history; absent where no plays are recorded.

Games loaded before have none until the history is loaded again.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, empty."""
    op.execute(
        """
        ALTER TABLE games ADD COLUMN possession smallint[] CONSTRAINT games_possession_check CHECK (
            cardinality(possession) = 24 AND array_position(possession, NULL) IS NULL
            AND -1 <= ALL (possession) AND 1 >= ALL (possession) AND possession[1] = 0)
        """
    )


def downgrade() -> None:
    """Drop the column: the plays still tell it."""
    op.execute("ALTER TABLE games DROP COLUMN possession")
