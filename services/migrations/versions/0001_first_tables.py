"""The first tables: games, what was seen, what was forecast, what happened, and who may act.

Checks refuse NaN (PostgreSQL sorts it above every number, so an upper limit is enough) and nonsense; what must never
change is append-only by trigger, whoever connects.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

GAME_ID = "'^00[1-6][0-9]{7}$'"
TRICODE = "'^[A-Z]{3}$'"

GAMES = f"""
CREATE TABLE games (
    game_id text CONSTRAINT games_pkey PRIMARY KEY CONSTRAINT games_id_check CHECK (game_id ~ {GAME_ID}),
    source text NOT NULL CONSTRAINT games_source_check CHECK (source IN ('recorded', 'archive', 'simulated', 'live')),
    season smallint NOT NULL CONSTRAINT games_season_check CHECK (season BETWEEN 1946 AND 2200),
    season_type text NOT NULL CONSTRAINT games_season_type_check CHECK (length(season_type) BETWEEN 1 AND 20),
    league_date date NOT NULL,
    home text NOT NULL CONSTRAINT games_home_check CHECK (home ~ {TRICODE}),
    away text NOT NULL CONSTRAINT games_away_check CHECK (away ~ {TRICODE}),
    tip_at timestamptz,
    status text NOT NULL DEFAULT 'scheduled'
        CONSTRAINT games_status_check CHECK (status IN ('scheduled', 'live', 'final', 'postponed')),
    margins smallint[] CONSTRAINT games_margins_check CHECK (
        cardinality(margins) = 49 AND array_position(margins, NULL) IS NULL
        AND -150 <= ALL (margins) AND 150 >= ALL (margins) AND margins[1] = 0),
    final_margin smallint CONSTRAINT games_final_margin_check CHECK (final_margin BETWEEN -150 AND 150),
    home_24 smallint CONSTRAINT games_home_24_check CHECK (home_24 BETWEEN 0 AND 150),
    away_24 smallint CONSTRAINT games_away_24_check CHECK (away_24 BETWEEN 0 AND 150),
    home_final smallint CONSTRAINT games_home_final_check CHECK (home_final BETWEEN 0 AND 300),
    away_final smallint CONSTRAINT games_away_final_check CHECK (away_final BETWEEN 0 AND 300),
    n_periods smallint CONSTRAINT games_periods_check CHECK (n_periods BETWEEN 4 AND 14),
    bubble_2020 boolean NOT NULL DEFAULT false,
    score_method text,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT games_teams_check CHECK (home <> away),
    CONSTRAINT games_half_check CHECK (margins[25] = home_24 - away_24),
    CONSTRAINT games_final_check CHECK (final_margin = home_final - away_final),
    CONSTRAINT games_history_check CHECK (margins IS NULL OR final_margin IS NOT NULL)
);
CREATE INDEX games_league_date_idx ON games (league_date);
CREATE INDEX games_source_date_idx ON games (source, league_date) WHERE margins IS NOT NULL;
"""

TICKS = """
CREATE TABLE ticks (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT ticks_pkey PRIMARY KEY,
    game_id text NOT NULL CONSTRAINT ticks_game_fkey REFERENCES games,
    digest text NOT NULL CONSTRAINT ticks_digest_check CHECK (digest ~ '^[0-9a-f]{16,128}$'),
    event_at timestamptz,
    seen_at timestamptz NOT NULL,
    status text NOT NULL CONSTRAINT ticks_status_check CHECK (status IN ('scheduled', 'live', 'final', 'postponed')),
    period smallint NOT NULL CONSTRAINT ticks_period_check CHECK (period BETWEEN 0 AND 14),
    elapsed_s double precision NOT NULL CONSTRAINT ticks_elapsed_check CHECK (elapsed_s BETWEEN 0 AND 6000),
    home_score smallint NOT NULL CONSTRAINT ticks_home_check CHECK (home_score BETWEEN 0 AND 300),
    away_score smallint NOT NULL CONSTRAINT ticks_away_check CHECK (away_score BETWEEN 0 AND 300),
    snapshot jsonb NOT NULL,
    CONSTRAINT ticks_identity_key UNIQUE (game_id, digest)
);
CREATE INDEX ticks_seen_at_idx ON ticks (seen_at);
"""

PREDICTIONS = f"""
CREATE TABLE predictions (
    id uuid CONSTRAINT predictions_pkey PRIMARY KEY,
    request_id text NOT NULL CONSTRAINT predictions_request_key UNIQUE
        CONSTRAINT predictions_request_check CHECK (length(request_id) BETWEEN 1 AND 200),
    game_id text CONSTRAINT predictions_game_check CHECK (game_id ~ {GAME_ID}),
    minute smallint NOT NULL CONSTRAINT predictions_minute_check CHECK (minute BETWEEN 0 AND 23),
    pattern double precision[] NOT NULL CONSTRAINT predictions_pattern_check CHECK (
        cardinality(pattern) = minute AND array_position(pattern, NULL) IS NULL
        AND -100 <= ALL (pattern) AND 100 >= ALL (pattern)),
    home text CONSTRAINT predictions_home_check CHECK (home ~ {TRICODE}),
    away text CONSTRAINT predictions_away_check CHECK (away ~ {TRICODE}),
    context jsonb NOT NULL,
    alpha double precision NOT NULL CONSTRAINT predictions_alpha_check CHECK (alpha > 0 AND alpha < 1),
    point double precision NOT NULL CONSTRAINT predictions_point_check CHECK (point BETWEEN -200 AND 200),
    lower double precision NOT NULL CONSTRAINT predictions_lower_check CHECK (lower BETWEEN -200 AND 200),
    upper double precision NOT NULL CONSTRAINT predictions_upper_check CHECK (upper BETWEEN -200 AND 200),
    components jsonb NOT NULL,
    model_version text NOT NULL CONSTRAINT predictions_version_check CHECK (length(model_version) BETWEEN 1 AND 200),
    model_digest text NOT NULL CONSTRAINT predictions_digest_check CHECK (length(model_digest) BETWEEN 8 AND 200),
    calibration_id text NOT NULL
        CONSTRAINT predictions_calibration_check CHECK (length(calibration_id) BETWEEN 1 AND 200),
    code_version text NOT NULL CONSTRAINT predictions_code_check CHECK (length(code_version) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT predictions_order_check CHECK (lower <= point AND point <= upper)
);
CREATE INDEX predictions_game_idx ON predictions (game_id, minute);
CREATE INDEX predictions_created_at_idx ON predictions (created_at);

CREATE TABLE official_forecasts (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT official_forecasts_pkey PRIMARY KEY,
    game_id text NOT NULL CONSTRAINT official_forecasts_game_fkey REFERENCES games,
    minute smallint NOT NULL CONSTRAINT official_forecasts_minute_check CHECK (minute BETWEEN 0 AND 23),
    revision smallint NOT NULL CONSTRAINT official_forecasts_revision_check CHECK (revision BETWEEN 0 AND 1000),
    prediction_id uuid NOT NULL CONSTRAINT official_forecasts_prediction_fkey REFERENCES predictions,
    tick_digest text NOT NULL CONSTRAINT official_forecasts_digest_check CHECK (tick_digest ~ '^[0-9a-f]{{16,128}}$'),
    persistence smallint NOT NULL
        CONSTRAINT official_forecasts_persistence_check CHECK (persistence BETWEEN -100 AND 100),
    polled_at timestamptz,
    queued_at timestamptz,
    forecast_at timestamptz NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT official_forecasts_identity_key UNIQUE (game_id, minute, revision)
);
CREATE INDEX official_forecasts_prediction_idx ON official_forecasts (prediction_id);

CREATE TABLE dispositions (
    game_id text CONSTRAINT dispositions_pkey PRIMARY KEY CONSTRAINT dispositions_game_fkey REFERENCES games,
    disposition text NOT NULL
        CONSTRAINT dispositions_disposition_check CHECK (disposition IN ('forecast', 'missed', 'void')),
    reason text NOT NULL CONSTRAINT dispositions_reason_check CHECK (length(reason) BETWEEN 1 AND 500),
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""

OUTCOMES = """
CREATE TABLE actuals (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT actuals_pkey PRIMARY KEY,
    game_id text NOT NULL CONSTRAINT actuals_game_fkey REFERENCES games,
    revision smallint NOT NULL CONSTRAINT actuals_revision_check CHECK (revision BETWEEN 0 AND 1000),
    margin smallint NOT NULL CONSTRAINT actuals_margin_check CHECK (margin BETWEEN -100 AND 100),
    home_24 smallint CONSTRAINT actuals_home_check CHECK (home_24 BETWEEN 0 AND 150),
    away_24 smallint CONSTRAINT actuals_away_check CHECK (away_24 BETWEEN 0 AND 150),
    state text NOT NULL CONSTRAINT actuals_state_check CHECK (state IN ('provisional', 'final')),
    source text NOT NULL CONSTRAINT actuals_source_check CHECK (length(source) BETWEEN 1 AND 50),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT actuals_identity_key UNIQUE (game_id, revision),
    CONSTRAINT actuals_score_check CHECK ((home_24 IS NULL) = (away_24 IS NULL) AND margin = home_24 - away_24)
);

CREATE TABLE settlements (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT settlements_pkey PRIMARY KEY,
    official_id bigint NOT NULL CONSTRAINT settlements_official_fkey REFERENCES official_forecasts,
    actual_id bigint NOT NULL CONSTRAINT settlements_actual_fkey REFERENCES actuals,
    error double precision NOT NULL CONSTRAINT settlements_error_check CHECK (error BETWEEN -300 AND 300),
    covered boolean NOT NULL,
    persistence_error double precision NOT NULL
        CONSTRAINT settlements_persistence_check CHECK (persistence_error BETWEEN -300 AND 300),
    settled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT settlements_identity_key UNIQUE (official_id, actual_id)
);
CREATE INDEX settlements_actual_idx ON settlements (actual_id);

-- What stands: of every game and minute the latest revision, of its settlements the newest.
CREATE VIEW standing_forecasts AS
SELECT DISTINCT ON (o.game_id, o.minute)
    o.id AS official_id, o.game_id, o.minute, o.revision, o.prediction_id, o.tick_digest, o.persistence,
    o.polled_at, o.queued_at, o.forecast_at, o.committed_at
FROM official_forecasts o ORDER BY o.game_id, o.minute, o.revision DESC;

CREATE VIEW standing_actuals AS
SELECT DISTINCT ON (a.game_id)
    a.id AS actual_id, a.game_id, a.revision, a.margin, a.home_24, a.away_24, a.state, a.source, a.recorded_at
FROM actuals a ORDER BY a.game_id, a.revision DESC;

CREATE VIEW standing_settlements AS
SELECT DISTINCT ON (s.official_id)
    s.id AS settlement_id, s.official_id, s.actual_id, a.margin AS settled_margin, s.error, s.covered,
    s.persistence_error, s.settled_at
FROM settlements s JOIN actuals a ON a.id = s.actual_id ORDER BY s.official_id, s.id DESC;
"""

UPKEEP = """
CREATE TABLE model_performance (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT model_performance_pkey PRIMARY KEY,
    model_name text NOT NULL,
    model_version text NOT NULL,
    minute smallint NOT NULL CONSTRAINT model_performance_minute_check CHECK (minute BETWEEN 0 AND 23),
    alpha double precision NOT NULL CONSTRAINT model_performance_alpha_check CHECK (alpha > 0 AND alpha < 1),
    scope text NOT NULL CONSTRAINT model_performance_scope_check CHECK (length(scope) BETWEEN 1 AND 50),
    as_of date NOT NULL,
    n integer NOT NULL CONSTRAINT model_performance_n_check CHECK (n >= 0),
    figures jsonb NOT NULL,
    computed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT model_performance_identity_key UNIQUE (model_name, model_version, minute, alpha, scope, as_of)
);

CREATE TABLE reports (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT reports_pkey PRIMARY KEY,
    kind text NOT NULL CONSTRAINT reports_kind_check CHECK (length(kind) BETWEEN 1 AND 50),
    league_date date NOT NULL,
    model_version text NOT NULL DEFAULT '',
    digest text NOT NULL,
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT reports_identity_key UNIQUE (kind, league_date, model_version, digest)
);
CREATE INDEX reports_kind_date_idx ON reports (kind, league_date);

CREATE TABLE promotions (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT promotions_pkey PRIMARY KEY,
    model_name text NOT NULL,
    alias text NOT NULL,
    model_version text NOT NULL,
    model_digest text NOT NULL CONSTRAINT promotions_digest_check CHECK (length(model_digest) BETWEEN 8 AND 200),
    previous_version text,
    reason text NOT NULL CONSTRAINT promotions_reason_check CHECK (length(reason) BETWEEN 1 AND 2000),
    evidence jsonb NOT NULL,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX promotions_model_idx ON promotions (model_name, alias, id);

CREATE TABLE alarm_states (
    name text NOT NULL,
    subject text NOT NULL,
    state jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT alarm_states_pkey PRIMARY KEY (name, subject)
);

CREATE TABLE leases (
    name text CONSTRAINT leases_pkey PRIMARY KEY CONSTRAINT leases_name_check CHECK (length(name) BETWEEN 1 AND 100),
    holder text NOT NULL CONSTRAINT leases_holder_check CHECK (length(holder) BETWEEN 1 AND 200),
    epoch bigint NOT NULL CONSTRAINT leases_epoch_check CHECK (epoch >= 1),
    expires_at timestamptz NOT NULL
);
"""

APPEND_ONLY = ("predictions", "official_forecasts", "dispositions", "actuals", "settlements", "reports", "promotions")

REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'table % is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$body$;
"""


def upgrade() -> None:
    """Create everything; the caller's transaction makes it all or nothing."""
    for block in (GAMES, TICKS, PREDICTIONS, OUTCOMES, UPKEEP, REFUSE):
        op.execute(block)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    """Refused: it would drop forecasts and outcomes."""
    raise NotImplementedError("the first revision has nothing to go back to: restore a backup, or drop the database")
