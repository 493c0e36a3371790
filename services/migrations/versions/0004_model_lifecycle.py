"""The life of a model: which versions there are and where each came from, how challengers were judged, who was champion
when and by whose decision.

A lineage is what recalibration keeps: the components a point is made of. Evidence about points belongs to a lineage,
not to the version that a night's recalibration made of it.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

VERSIONS = """
CREATE TABLE registered_versions (
    model_name text NOT NULL,
    version text NOT NULL CONSTRAINT registered_versions_version_check CHECK (length(version) BETWEEN 1 AND 200),
    digest text NOT NULL CONSTRAINT registered_versions_digest_check CHECK (digest ~ '^[0-9a-f]{64}$'),
    lineage text NOT NULL CONSTRAINT registered_versions_lineage_check CHECK (lineage ~ '^[0-9a-f]{16}$'),
    parent_version text,
    kind text NOT NULL CONSTRAINT registered_versions_kind_check
        CHECK (kind IN ('trained', 'recalibrated', 'refreshed', 'found')),
    trained_through date NOT NULL,
    ratings_as_of date,
    calibration_id text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT registered_versions_pkey PRIMARY KEY (model_name, version),
    CONSTRAINT registered_versions_digest_key UNIQUE (model_name, digest)
);
CREATE INDEX registered_versions_lineage_idx ON registered_versions (model_name, lineage);
"""

EVALUATIONS = """
CREATE TABLE evaluations (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT evaluations_pkey PRIMARY KEY,
    model_name text NOT NULL,
    league_date date NOT NULL,
    champion_lineage text NOT NULL,
    challenger_lineage text NOT NULL,
    challenger_version text NOT NULL,
    decision text NOT NULL CONSTRAINT evaluations_decision_check CHECK (decision IN ('promote', 'keep', 'reject')),
    n integer NOT NULL CONSTRAINT evaluations_n_check CHECK (n >= 0),
    evidence jsonb NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT evaluations_identity_key UNIQUE (model_name, champion_lineage, challenger_lineage, league_date)
);
"""

# What was decided before had no key; the trigger that keeps the table append-only sleeps while it is given one.
PROMOTIONS = """
ALTER TABLE promotions
    ADD COLUMN action text NOT NULL DEFAULT 'promote'
        CONSTRAINT promotions_action_check CHECK (action IN ('promote', 'roll-back')),
    ADD COLUMN decided_kind text NOT NULL DEFAULT 'rule'
        CONSTRAINT promotions_kind_check CHECK (decided_kind IN ('rule', 'person')),
    ADD COLUMN previous_digest text,
    ADD COLUMN decision_key text,
    ADD COLUMN effective_at timestamptz;
ALTER TABLE promotions DISABLE TRIGGER promotions_append_only;
UPDATE promotions SET decision_key = 'before-0004:' || id, effective_at = decided_at;
ALTER TABLE promotions ENABLE TRIGGER promotions_append_only;
ALTER TABLE promotions
    ALTER COLUMN action DROP DEFAULT,
    ALTER COLUMN decided_kind DROP DEFAULT,
    ALTER COLUMN decision_key SET NOT NULL,
    ALTER COLUMN effective_at SET NOT NULL,
    ALTER COLUMN effective_at SET DEFAULT clock_timestamp(),
    ADD CONSTRAINT promotions_decision_key UNIQUE (model_name, alias, decision_key);
"""

# A challenger forecasts a game's minute once, whatever its calibration was meanwhile.
SHADOWS = """
CREATE UNIQUE INDEX forecasts_shadow_key ON forecasts (game_id, minute, revision, model_version)
    WHERE role = 'shadow';

CREATE VIEW standing_shadows AS
SELECT f.id AS forecast_id, f.game_id, f.minute, f.revision, f.prediction_id, f.model_version, f.persistence
FROM forecasts f WHERE f.role = 'shadow' AND NOT EXISTS (
    SELECT 1 FROM forecasts later WHERE later.role = 'shadow' AND later.game_id = f.game_id
        AND later.minute = f.minute AND later.model_version = f.model_version AND later.revision > f.revision);
"""


def upgrade() -> None:
    """Add the tables and columns; every row stays."""
    for block in (VERSIONS, EVALUATIONS, PROMOTIONS, SHADOWS):
        op.execute(block)
    for table in ("registered_versions", "evaluations"):
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    """Refused: it would drop who was champion by whose decision."""
    raise NotImplementedError("decisions about models have no place in the tables before: restore a backup")
