"""Tables of models: versions, who was champion, how they did, what watches them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Double,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.schema_columns import metadata, now, row_id, words

registered_versions = Table(
    "registered_versions",
    metadata,
    words("model_name"),
    words("version"),
    words("digest"),
    words("lineage"),
    words("parent_version", nullable=True),
    words("kind"),
    Column("trained_through", Date, nullable=False),
    Column("ratings_as_of", Date),
    words("calibration_id"),
    now("registered_at"),
    Column("reference", JSONB),
    PrimaryKeyConstraint("model_name", "version", name="registered_versions_pkey"),
    UniqueConstraint("model_name", "digest", name="registered_versions_digest_key"),
    Index("registered_versions_lineage_idx", "model_name", "lineage"),
)

evaluations = Table(
    "evaluations",
    metadata,
    row_id(),
    words("model_name"),
    Column("league_date", Date, nullable=False),
    words("champion_lineage"),
    words("challenger_lineage"),
    words("challenger_version"),
    words("decision"),
    Column("n", Integer, nullable=False),
    Column("evidence", JSONB, nullable=False),
    now("decided_at"),
    UniqueConstraint(
        "model_name", "champion_lineage", "challenger_lineage", "league_date", name="evaluations_identity_key"
    ),
)

promotions = Table(
    "promotions",
    metadata,
    row_id(),
    words("model_name"),
    words("alias"),
    words("model_version"),
    words("model_digest"),
    words("previous_version", nullable=True),
    words("reason"),
    Column("evidence", JSONB, nullable=False),
    words("decided_by"),
    now("decided_at"),
    words("action"),
    words("decided_kind"),
    words("previous_digest", nullable=True),
    words("decision_key"),
    now("effective_at"),
    UniqueConstraint("model_name", "alias", "decision_key", name="promotions_decision_key"),
    Index("promotions_model_idx", "model_name", "alias", "id"),
)

calibrations = Table(
    "calibrations",
    metadata,
    words("model_digest"),
    words("calibration_id"),
    Column("settlement_ids", ARRAY(BigInteger), nullable=False),
    now("made_at"),
    PrimaryKeyConstraint("model_digest", "calibration_id", name="calibrations_pkey"),
)

model_performance = Table(
    "model_performance",
    metadata,
    row_id(),
    words("model_name"),
    words("model_version"),
    Column("minute", SmallInteger, nullable=False),
    Column("alpha", Double, nullable=False),
    words("scope"),
    Column("as_of", Date, nullable=False),
    Column("n", Integer, nullable=False),
    Column("figures", JSONB, nullable=False),
    now("computed_at"),
    UniqueConstraint(
        "model_name", "model_version", "minute", "alpha", "scope", "as_of", name="model_performance_identity_key"
    ),
)

alarm_states = Table(
    "alarm_states",
    metadata,
    words("source"),
    words("lineage"),
    Column("alpha", Double, nullable=False),
    words("alarm"),
    words("kind"),
    Column("state", JSONB, nullable=False),
    now("updated_at"),
    PrimaryKeyConstraint("source", "lineage", "alpha", "alarm", "kind", name="alarm_states_pkey"),
)
