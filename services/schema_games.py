"""Tables of games and of what was forecast about them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from services.schema_columns import MOMENT, metadata, now, of_game, row_id, words

games = Table(
    "games",
    metadata,
    Column("game_id", Text, primary_key=True),
    words("source"),
    Column("season", SmallInteger, nullable=False),
    words("season_type"),
    Column("league_date", Date, nullable=False),
    words("home"),
    words("away"),
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
    words("score_method", nullable=True),
    now("loaded_at"),
    now("updated_at"),
    Index("games_league_date_idx", "league_date"),
    Index("games_source_date_idx", "source", "league_date", postgresql_where=text("margins IS NOT NULL")),
)

ticks = Table(
    "ticks",
    metadata,
    row_id(),
    of_game("ticks_game_fkey"),
    words("digest"),
    Column("event_at", MOMENT),
    Column("seen_at", MOMENT, nullable=False),
    words("status"),
    Column("period", SmallInteger, nullable=False),
    Column("elapsed_s", Double, nullable=False),
    Column("home_score", SmallInteger, nullable=False),
    Column("away_score", SmallInteger, nullable=False),
    Column("snapshot", JSONB, nullable=False),
    Column("polled_at", MOMENT, nullable=False),
    UniqueConstraint("game_id", "digest", name="ticks_identity_key"),
    Index("ticks_seen_at_idx", "seen_at"),
)

predictions = Table(
    "predictions",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("request_id", Text, nullable=False),
    words("game_id", nullable=True),
    Column("minute", SmallInteger, nullable=False),
    Column("pattern", ARRAY(Double), nullable=False),
    words("home", nullable=True),
    words("away", nullable=True),
    Column("context", JSONB, nullable=False),
    Column("alpha", Double, nullable=False),
    Column("point", Double, nullable=False),
    Column("lower", Double, nullable=False),
    Column("upper", Double, nullable=False),
    Column("components", JSONB, nullable=False),
    words("model_version"),
    words("model_digest"),
    words("calibration_id"),
    words("code_version"),
    Column("created_at", MOMENT, nullable=False),
    now("stored_at"),
    UniqueConstraint("request_id", name="predictions_request_key"),
    Index("predictions_game_idx", "game_id", "minute"),
    Index("predictions_created_at_idx", "created_at"),
)

# The champion's forecasts of every completed minute, and a challenger's beside them; the champion's of minute 18 is the
# official one (view ``official_forecasts``).

forecasts = Table(
    "forecasts",
    metadata,
    row_id(),
    of_game("forecasts_game_fkey"),
    Column("minute", SmallInteger, nullable=False),
    Column("revision", SmallInteger, nullable=False),
    Column(
        "prediction_id",
        UUID(as_uuid=True),
        ForeignKey("predictions.id", name="forecasts_prediction_fkey"),
        nullable=False,
    ),
    words("tick_digest"),
    Column("persistence", SmallInteger, nullable=False),
    Column("polled_at", MOMENT),
    Column("queued_at", MOMENT),
    Column("forecast_at", MOMENT, nullable=False),
    now("committed_at"),
    words("role"),
    words("model_version"),
    words("calibration_id"),
    words("trace_id", nullable=True),
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
    words("disposition"),
    words("reason"),
    now("decided_at"),
)

actuals = Table(
    "actuals",
    metadata,
    row_id(),
    of_game("actuals_game_fkey"),
    Column("revision", SmallInteger, nullable=False),
    Column("margin", SmallInteger, nullable=False),
    Column("home_24", SmallInteger),
    Column("away_24", SmallInteger),
    words("state"),
    words("source"),
    now("recorded_at"),
    UniqueConstraint("game_id", "revision", name="actuals_identity_key"),
)

settlements = Table(
    "settlements",
    metadata,
    row_id(),
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
    now("settled_at"),
    UniqueConstraint("forecast_id", "actual_id", name="settlements_identity_key"),
    Index("settlements_actual_idx", "actual_id"),
)
