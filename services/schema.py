"""The tables as SQLAlchemy sees them: columns and types. Checks, triggers and views are in the migrations.

A test compares these definitions with the migrated database, so the two cannot drift apart.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = MetaData()
MOMENT = DateTime(timezone=True)


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def _now(name: str) -> Column[Any]:
    return Column(name, MOMENT, nullable=False, server_default=func.clock_timestamp())


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _game(name: str) -> Column[str]:
    return Column("game_id", Text, ForeignKey("games.game_id", name=name), nullable=False)


games = Table(
    "games",
    metadata,
    Column("game_id", Text, primary_key=True),
    _text("source"),
    Column("season", SmallInteger, nullable=False),
    _text("season_type"),
    Column("league_date", Date, nullable=False),
    _text("home"),
    _text("away"),
    Column("tip_at", MOMENT),
    Column("status", Text, nullable=False, server_default="scheduled"),
    Column("margins", ARRAY(SmallInteger)),
    Column("possession", ARRAY(SmallInteger)),
    Column("final_margin", SmallInteger),
    Column("home_24", SmallInteger),
    Column("away_24", SmallInteger),
    Column("home_final", SmallInteger),
    Column("away_final", SmallInteger),
    Column("n_periods", SmallInteger),
    Column("bubble_2020", Boolean, nullable=False, server_default=text("false")),
    _text("score_method", nullable=True),
    _now("loaded_at"),
    _now("updated_at"),
    Index("games_league_date_idx", "league_date"),
    Index("games_source_date_idx", "source", "league_date", postgresql_where=text("margins IS NOT NULL")),
)

ticks = Table(
    "ticks",
    metadata,
    _id(),
    _game("ticks_game_fkey"),
    _text("digest"),
    Column("event_at", MOMENT),
    Column("seen_at", MOMENT, nullable=False),
    _text("status"),
    Column("period", SmallInteger, nullable=False),
    Column("elapsed_s", Double, nullable=False),
    Column("home_score", SmallInteger, nullable=False),
    Column("away_score", SmallInteger, nullable=False),
    Column("snapshot", JSONB, nullable=False),
    UniqueConstraint("game_id", "digest", name="ticks_identity_key"),
    Index("ticks_seen_at_idx", "seen_at"),
)

predictions = Table(
    "predictions",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("request_id", Text, nullable=False),
    _text("game_id", nullable=True),
    Column("minute", SmallInteger, nullable=False),
    Column("pattern", ARRAY(Double), nullable=False),
    _text("home", nullable=True),
    _text("away", nullable=True),
    Column("context", JSONB, nullable=False),
    Column("alpha", Double, nullable=False),
    Column("point", Double, nullable=False),
    Column("lower", Double, nullable=False),
    Column("upper", Double, nullable=False),
    Column("components", JSONB, nullable=False),
    _text("model_version"),
    _text("model_digest"),
    _text("calibration_id"),
    _text("code_version"),
    Column("created_at", MOMENT, nullable=False),
    _now("stored_at"),
    UniqueConstraint("request_id", name="predictions_request_key"),
    Index("predictions_game_idx", "game_id", "minute"),
    Index("predictions_created_at_idx", "created_at"),
)

# The champion's forecasts of every completed minute, and a challenger's beside them; the champion's of minute 18 is the
# official one (view ``official_forecasts``).
forecasts = Table(
    "forecasts",
    metadata,
    _id(),
    _game("forecasts_game_fkey"),
    Column("minute", SmallInteger, nullable=False),
    Column("revision", SmallInteger, nullable=False),
    Column(
        "prediction_id",
        UUID(as_uuid=True),
        ForeignKey("predictions.id", name="forecasts_prediction_fkey"),
        nullable=False,
    ),
    _text("tick_digest"),
    Column("persistence", SmallInteger, nullable=False),
    Column("polled_at", MOMENT),
    Column("queued_at", MOMENT),
    Column("forecast_at", MOMENT, nullable=False),
    _now("committed_at"),
    _text("role"),
    _text("model_version"),
    _text("calibration_id"),
    _text("trace_id", nullable=True),
    UniqueConstraint(
        "game_id", "minute", "model_version", "calibration_id", "revision", "role", name="forecasts_identity_key"
    ),
    Index(
        "forecasts_champion_key",
        "game_id",
        "minute",
        "revision",
        unique=True,
        postgresql_where=text("role = 'champion'"),
    ),
    Index(
        "forecasts_shadow_key",
        "game_id",
        "minute",
        "revision",
        "model_version",
        unique=True,
        postgresql_where=text("role = 'shadow'"),
    ),
    Index("forecasts_prediction_idx", "prediction_id"),
)

dispositions = Table(
    "dispositions",
    metadata,
    Column("game_id", Text, ForeignKey("games.game_id", name="dispositions_game_fkey"), primary_key=True),
    _text("disposition"),
    _text("reason"),
    _now("decided_at"),
)

actuals = Table(
    "actuals",
    metadata,
    _id(),
    _game("actuals_game_fkey"),
    Column("revision", SmallInteger, nullable=False),
    Column("margin", SmallInteger, nullable=False),
    Column("home_24", SmallInteger),
    Column("away_24", SmallInteger),
    _text("state"),
    _text("source"),
    _now("recorded_at"),
    UniqueConstraint("game_id", "revision", name="actuals_identity_key"),
)

settlements = Table(
    "settlements",
    metadata,
    _id(),
    Column(
        "forecast_id",
        BigInteger,
        ForeignKey("forecasts.id", name="settlements_forecast_fkey"),
        nullable=False,
    ),
    Column("actual_id", BigInteger, ForeignKey("actuals.id", name="settlements_actual_fkey"), nullable=False),
    Column("error", Double, nullable=False),
    Column("covered", Boolean, nullable=False),
    Column("persistence_error", Double, nullable=False),
    _now("settled_at"),
    UniqueConstraint("forecast_id", "actual_id", name="settlements_identity_key"),
    Index("settlements_actual_idx", "actual_id"),
)

model_performance = Table(
    "model_performance",
    metadata,
    _id(),
    _text("model_name"),
    _text("model_version"),
    Column("minute", SmallInteger, nullable=False),
    Column("alpha", Double, nullable=False),
    _text("scope"),
    Column("as_of", Date, nullable=False),
    Column("n", Integer, nullable=False),
    Column("figures", JSONB, nullable=False),
    _now("computed_at"),
    UniqueConstraint(
        "model_name", "model_version", "minute", "alpha", "scope", "as_of", name="model_performance_identity_key"
    ),
)

reports = Table(
    "reports",
    metadata,
    _id(),
    _text("kind"),
    Column("league_date", Date, nullable=False),
    Column("model_version", Text, nullable=False, server_default=""),
    _text("digest"),
    Column("body", JSONB, nullable=False),
    _now("created_at"),
    UniqueConstraint("kind", "league_date", "model_version", "digest", name="reports_identity_key"),
    Index("reports_kind_date_idx", "kind", "league_date"),
)

promotions = Table(
    "promotions",
    metadata,
    _id(),
    _text("model_name"),
    _text("alias"),
    _text("model_version"),
    _text("model_digest"),
    _text("previous_version", nullable=True),
    _text("reason"),
    Column("evidence", JSONB, nullable=False),
    _text("decided_by"),
    _now("decided_at"),
    _text("action"),
    _text("decided_kind"),
    _text("previous_digest", nullable=True),
    _text("decision_key"),
    _now("effective_at"),
    UniqueConstraint("model_name", "alias", "decision_key", name="promotions_decision_key"),
    Index("promotions_model_idx", "model_name", "alias", "id"),
)

registered_versions = Table(
    "registered_versions",
    metadata,
    _text("model_name"),
    _text("version"),
    _text("digest"),
    _text("lineage"),
    _text("parent_version", nullable=True),
    _text("kind"),
    Column("trained_through", Date, nullable=False),
    Column("ratings_as_of", Date),
    _text("calibration_id"),
    _now("registered_at"),
    Column("reference", JSONB),
    PrimaryKeyConstraint("model_name", "version", name="registered_versions_pkey"),
    UniqueConstraint("model_name", "digest", name="registered_versions_digest_key"),
    Index("registered_versions_lineage_idx", "model_name", "lineage"),
)

evaluations = Table(
    "evaluations",
    metadata,
    _id(),
    _text("model_name"),
    Column("league_date", Date, nullable=False),
    _text("champion_lineage"),
    _text("challenger_lineage"),
    _text("challenger_version"),
    _text("decision"),
    Column("n", Integer, nullable=False),
    Column("evidence", JSONB, nullable=False),
    _now("decided_at"),
    UniqueConstraint(
        "model_name", "champion_lineage", "challenger_lineage", "league_date", name="evaluations_identity_key"
    ),
)

calibrations = Table(
    "calibrations",
    metadata,
    _text("model_digest"),
    _text("calibration_id"),
    Column("settlement_ids", ARRAY(BigInteger), nullable=False),
    _now("made_at"),
    PrimaryKeyConstraint("model_digest", "calibration_id", name="calibrations_pkey"),
)

alarm_states = Table(
    "alarm_states",
    metadata,
    _text("source"),
    _text("lineage"),
    Column("alpha", Double, nullable=False),
    _text("alarm"),
    _text("kind"),
    Column("state", JSONB, nullable=False),
    _now("updated_at"),
    PrimaryKeyConstraint("source", "lineage", "alpha", "alarm", "kind", name="alarm_states_pkey"),
)

alerts = Table(
    "alerts",
    metadata,
    _id(),
    _text("fingerprint"),
    _text("alertname"),
    _text("status"),
    Column("labels", JSONB, nullable=False),
    Column("annotations", JSONB, nullable=False),
    Column("starts_at", MOMENT, nullable=False),
    Column("actions", JSONB, nullable=False),
    _now("received_at"),
    UniqueConstraint("fingerprint", "starts_at", "status", name="alerts_identity_key"),
    Index("alerts_received_idx", "received_at"),
)

backups = Table(
    "backups",
    metadata,
    _id(),
    _text("kind"),
    Column("made_at", MOMENT, nullable=False),
    _text("file_name"),
    Column("bytes", BigInteger, nullable=False),
    _text("sha256"),
    Column("tables", Integer, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("took_s", Double, nullable=False),
    Column("ok", Boolean, nullable=False),
    UniqueConstraint("kind", "file_name", "made_at", name="backups_identity_key"),
    Index("backups_kind_made_idx", "kind", "made_at"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    _text("holder"),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
)
