"""Tables of a running platform: reports, alerts, backups, leases."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Double, Index, Integer, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

from services.schema_columns import MOMENT, metadata, now, row_id, words

reports = Table(
    "reports",
    metadata,
    row_id(),
    words("kind"),
    Column("league_date", Date, nullable=False),
    Column("model_version", Text, nullable=False, server_default=""),
    words("digest"),
    Column("body", JSONB, nullable=False),
    now("created_at"),
    UniqueConstraint("kind", "league_date", "model_version", "digest", name="reports_identity_key"),
    Index("reports_kind_date_idx", "kind", "league_date"),
)

alerts = Table(
    "alerts",
    metadata,
    row_id(),
    words("fingerprint"),
    words("alertname"),
    words("status"),
    Column("labels", JSONB, nullable=False),
    Column("annotations", JSONB, nullable=False),
    Column("starts_at", MOMENT, nullable=False),
    Column("actions", JSONB, nullable=False),
    now("received_at"),
    UniqueConstraint("fingerprint", "starts_at", "status", name="alerts_identity_key"),
    Index("alerts_received_idx", "received_at"),
)

backups = Table(
    "backups",
    metadata,
    row_id(),
    words("kind"),
    Column("made_at", MOMENT, nullable=False),
    words("file_name"),
    Column("bytes", BigInteger, nullable=False),
    words("sha256"),
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
    words("holder"),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
)
