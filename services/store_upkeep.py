"""Upkeep: leases, reports and the figures of each model version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert

from services.database import dump_json, transaction
from services.schema import model_performance, reports

# The database's clock decides. The holder that asks again in time keeps its epoch; whoever takes an expired lease gets
# the next one, so an old holder can be told from a new one even when both have the same name.
_ACQUIRE = text(
    """
    INSERT INTO leases AS l (name, holder, epoch, expires_at)
    VALUES (:name, :holder, 1, clock_timestamp() + make_interval(secs => :ttl_s))
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,
        epoch = l.epoch + CASE WHEN l.holder = excluded.holder AND l.expires_at > clock_timestamp() THEN 0 ELSE 1 END,
        expires_at = clock_timestamp() + make_interval(secs => :ttl_s)
    WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
    RETURNING epoch
    """
)
_RENEW = text(
    """
    UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => :ttl_s)
    WHERE name = :name AND holder = :holder AND epoch = :epoch AND expires_at > clock_timestamp()
    """
)
_RELEASE = text(
    """
    UPDATE leases SET expires_at = clock_timestamp()
    WHERE name = :name AND holder = :holder AND expires_at > clock_timestamp()
    """
)


@dataclass(frozen=True, slots=True)
class Report:
    """A stored report; ``body`` is JSON values."""

    id: int
    kind: str
    league_date: date
    model_version: str
    digest: str
    body: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Performance:
    """A row of ``model_performance``: the ``figures`` of a version at one minute and level over the ``n`` games of
    ``scope`` as of a league date."""

    model_name: str
    model_version: str
    minute: int
    alpha: float
    scope: str
    as_of: date
    n: int
    figures: dict[str, Any]


class LeaseStore:
    """The part of the store that keeps ``leases``."""

    engine: Engine

    def acquire_lease(self, name: str, holder: str, ttl_s: float) -> int | None:
        """Take or keep the lease for ``ttl_s`` seconds: its epoch, or None while another holds it."""
        with transaction(self.engine) as connection:
            found = connection.execute(_ACQUIRE, {"name": name, "holder": holder, "ttl_s": ttl_s}).scalar_one_or_none()
        return None if found is None else int(found)

    def renew_lease(self, name: str, holder: str, epoch: int, ttl_s: float) -> bool:
        """Prolong a lease still held under ``epoch``; False when it ran out or passed on."""
        values = {"name": name, "holder": holder, "epoch": epoch, "ttl_s": ttl_s}
        with transaction(self.engine) as connection:
            return connection.execute(_RENEW, values).rowcount == 1

    def release_lease(self, name: str, holder: str) -> bool:
        """Give the lease back; False when ``holder`` did not hold it."""
        with transaction(self.engine) as connection:
            return connection.execute(_RELEASE, {"name": name, "holder": holder}).rowcount == 1


class UpkeepStore:
    """The part of the store that keeps ``reports`` and ``model_performance``."""

    engine: Engine

    def record_report(
        self,
        kind: str,
        league_date: date,
        body: Mapping[str, Any],
        model_version: str = "",
        *,
        beside: Mapping[str, Any] | None = None,
    ) -> int | None:
        """Store a report; its id, or None when exactly this report is stored already.

        ``beside`` goes into the body too, but two reports that differ in it alone (a time, a plot) are the same one.
        """
        values = {
            "kind": kind,
            "league_date": league_date,
            "model_version": model_version,
            "digest": _digest(body),
            "body": dict(body) | dict(beside or {}),
        }
        statement = insert(reports).values(values).on_conflict_do_nothing().returning(reports.c.id)
        with transaction(self.engine) as connection:
            found = connection.execute(statement).scalar_one_or_none()
        return None if found is None else int(found)

    def report_id(self, kind: str, league_date: date, body: Mapping[str, Any], model_version: str = "") -> int | None:
        """The id of exactly this report (``body`` without what stood beside it), None when it is not stored."""
        own = reports.c
        query = select(own.id).where(
            own.kind == kind,
            own.league_date == league_date,
            own.model_version == model_version,
            own.digest == _digest(body),
        )
        with transaction(self.engine) as connection:
            found = connection.execute(query).scalar_one_or_none()
        return None if found is None else int(found)

    def report_body(self, report_id: int) -> dict[str, Any] | None:
        """The body of a stored report, None when it is not there."""
        with transaction(self.engine) as connection:
            found: dict[str, Any] | None = connection.execute(
                select(reports.c.body).where(reports.c.id == report_id)
            ).scalar_one_or_none()
        return found

    def list_reports(self, kind: str | None = None, league_date: date | None = None, limit: int = 100) -> list[Report]:
        """Stored reports, newest first."""
        query = select(reports).order_by(reports.c.id.desc()).limit(limit)
        if kind is not None:
            query = query.where(reports.c.kind == kind)
        if league_date is not None:
            query = query.where(reports.c.league_date == league_date)
        with transaction(self.engine) as connection:
            return [Report(**row) for row in connection.execute(query).mappings()]

    def record_performance(
        self,
        *,
        model_name: str,
        model_version: str,
        minute: int,
        alpha: float,
        scope: str,
        as_of: date,
        n: int,
        figures: Mapping[str, Any],
    ) -> None:
        """Store a model version's figures over ``scope`` as of a league date; computing them again replaces them."""
        row = Performance(model_name, model_version, minute, alpha, scope, as_of, n, dict(figures))
        self.record_performances([row])

    def record_performances(self, rows: Sequence[Performance]) -> None:
        """Store figures of many versions at once, as ``record_performance`` does; all or none."""
        if not rows:
            return
        statement = insert(model_performance).values([asdict(row) for row in rows])
        statement = statement.on_conflict_do_update(
            constraint="model_performance_identity_key",
            set_={
                "n": statement.excluded.n,
                "figures": statement.excluded.figures,
                "computed_at": func.clock_timestamp(),
            },
        )
        with transaction(self.engine) as connection:
            connection.execute(statement)

    def performance(self, model_name: str, scope: str | None = None) -> list[dict[str, Any]]:
        """Figures of a model's versions, newest league date first."""
        query = select(model_performance).where(model_performance.c.model_name == model_name)
        if scope is not None:
            query = query.where(model_performance.c.scope == scope)
        with transaction(self.engine) as connection:
            found = connection.execute(query.order_by(model_performance.c.as_of.desc(), model_performance.c.id.desc()))
            return [dict(row) for row in found.mappings()]


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(dump_json(dict(sorted(body.items()))).encode()).hexdigest()
