"""Forecasts of every minute: what held the official forecasts alone now holds one for each completed minute.

The official forecast is the champion's at minute 18; ``official_forecasts`` stays as a view of it and its revisions.
A forecast's identity names the model and its calibration, and its role: a challenger promoted in the middle of a night
may forecast what it has forecast in the shadow. Of the champion's there is one a game, minute and revision whatever
model made it, so an attempt that is repeated across a change of champion finds the first one.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The model's version and calibration are those of the prediction, which is there already; the trigger that keeps the
# table append-only sleeps while they are copied.
TABLE = """
DROP VIEW standing_settlements, standing_forecasts;

ALTER TABLE official_forecasts RENAME TO forecasts;
ALTER SEQUENCE official_forecasts_id_seq RENAME TO forecasts_id_seq;
ALTER TRIGGER official_forecasts_append_only ON forecasts RENAME TO forecasts_append_only;
ALTER INDEX official_forecasts_prediction_idx RENAME TO forecasts_prediction_idx;
ALTER TABLE forecasts RENAME CONSTRAINT official_forecasts_pkey TO forecasts_pkey;
ALTER TABLE forecasts RENAME CONSTRAINT official_forecasts_game_fkey TO forecasts_game_fkey;
ALTER TABLE forecasts RENAME CONSTRAINT official_forecasts_prediction_fkey TO forecasts_prediction_fkey;
ALTER TABLE forecasts RENAME CONSTRAINT official_forecasts_minute_check TO forecasts_minute_check;
ALTER TABLE forecasts RENAME CONSTRAINT official_forecasts_revision_check TO forecasts_revision_check;
ALTER TABLE forecasts RENAME CONSTRAINT official_forecasts_digest_check TO forecasts_digest_check;
ALTER TABLE forecasts RENAME CONSTRAINT official_forecasts_persistence_check TO forecasts_persistence_check;

ALTER TABLE forecasts
    ADD COLUMN role text NOT NULL DEFAULT 'champion'
        CONSTRAINT forecasts_role_check CHECK (role IN ('champion', 'shadow')),
    ADD COLUMN model_version text,
    ADD COLUMN calibration_id text;
ALTER TABLE forecasts DISABLE TRIGGER forecasts_append_only;
UPDATE forecasts f SET model_version = p.model_version, calibration_id = p.calibration_id
FROM predictions p WHERE p.id = f.prediction_id;
ALTER TABLE forecasts ENABLE TRIGGER forecasts_append_only;
ALTER TABLE forecasts
    ALTER COLUMN role DROP DEFAULT,
    ALTER COLUMN model_version SET NOT NULL,
    ALTER COLUMN calibration_id SET NOT NULL,
    DROP CONSTRAINT official_forecasts_identity_key,
    ADD CONSTRAINT forecasts_identity_key UNIQUE (game_id, minute, model_version, calibration_id, revision, role);
CREATE UNIQUE INDEX forecasts_champion_key ON forecasts (game_id, minute, revision) WHERE role = 'champion';

ALTER TABLE settlements RENAME COLUMN official_id TO forecast_id;
ALTER TABLE settlements RENAME CONSTRAINT settlements_official_fkey TO settlements_forecast_fkey;
"""

VIEWS = """
CREATE VIEW official_forecasts AS
SELECT f.id, f.game_id, f.minute, f.revision, f.prediction_id, f.model_version, f.calibration_id, f.tick_digest,
    f.persistence, f.polled_at, f.queued_at, f.forecast_at, f.committed_at
FROM forecasts f WHERE f.role = 'champion' AND f.minute = 18;

-- What stands: of every game and minute the champion's latest revision, of its settlements the newest. Said as "none
-- is later", which reads a few rows by their index where a few are asked for, whatever they are asked by.
CREATE VIEW standing_forecasts AS
SELECT f.id AS forecast_id, f.game_id, f.minute, f.revision, f.prediction_id, f.tick_digest, f.persistence,
    f.polled_at, f.queued_at, f.forecast_at, f.committed_at
FROM forecasts f WHERE f.role = 'champion' AND NOT EXISTS (
    SELECT 1 FROM forecasts later WHERE later.role = 'champion' AND later.game_id = f.game_id
        AND later.minute = f.minute AND later.revision > f.revision);

CREATE VIEW standing_settlements AS
SELECT s.id AS settlement_id, s.forecast_id, s.actual_id, a.margin AS settled_margin, s.error, s.covered,
    s.persistence_error, s.settled_at
FROM settlements s JOIN actuals a ON a.id = s.actual_id
WHERE NOT EXISTS (SELECT 1 FROM settlements later WHERE later.forecast_id = s.forecast_id AND later.id > s.id);
"""


def upgrade() -> None:
    """Generalise the table and its views; every row stays, under its id."""
    op.execute(TABLE)
    op.execute(VIEWS)


def downgrade() -> None:
    """Refused: it would drop the forecasts of the other minutes."""
    raise NotImplementedError("the forecasts of the other minutes have no place in the tables before: restore a backup")
