"""The life of a model: its versions, how challengers were judged, and who was champion when and by whose decision.

All three tables are append-only, and each row has an identity of its own: a decision that is carried out again after a
kill finds the row it has written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from services.database import transaction
from services.schema import evaluations, promotions, registered_versions

Kind = Literal["trained", "recalibrated", "refreshed", "found"]
Action = Literal["promote", "roll-back"]
Decider = Literal["rule", "person"]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version. ``lineage`` names the components its points are made of, which recalibration keeps;
    ``parent_version`` is what it was made from, None for one trained from games alone; ``reference`` how it erred on
    games that fitted nothing (models.alarm_streams), None when that is not known."""

    model_name: str
    version: str
    digest: str
    lineage: str
    parent_version: str | None
    kind: Kind
    trained_through: date
    ratings_as_of: date | None
    calibration_id: str
    registered_at: datetime | None = None
    reference: dict[str, dict[str, Any]] | None = None

    @property
    def has_seen(self) -> date:
        """The newest league date that any part of it has learned from."""
        return max(self.trained_through, self.ratings_as_of or self.trained_through)


@dataclass(frozen=True, slots=True)
class NewPromotion:
    """A decision about who carries ``alias``. ``decision_key`` is the same for every attempt to carry it out;
    ``effective_at`` is now when unset."""

    model_name: str
    model_version: str
    model_digest: str
    previous_version: str | None
    previous_digest: str | None
    action: Action
    reason: str
    decided_kind: Decider
    decided_by: str
    decision_key: str
    evidence: dict[str, Any] = field(default_factory=dict)
    effective_at: datetime | None = None
    alias: str = "champion"


@dataclass(frozen=True, slots=True)
class Promotion(NewPromotion):
    """A decision as it is recorded."""

    id: int = 0
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a challenger stood against the champion after the games of a league date; ``n`` games were compared."""

    model_name: str
    league_date: date
    champion_lineage: str
    challenger_lineage: str
    challenger_version: str
    decision: Literal["promote", "keep", "reject"]
    n: int
    evidence: dict[str, Any]


class LifecycleStore:
    """The part of the store that keeps ``registered_versions``, ``evaluations`` and ``promotions``."""

    engine: Engine

    def record_version(self, version: ModelVersion) -> bool:
        """Keep a registered version; False when it is there. Raises RowRefused."""
        values = asdict(version)
        del values["registered_at"]
        with transaction(self.engine) as connection:
            return connection.execute(insert(registered_versions).values(values).on_conflict_do_nothing()).rowcount == 1

    def model_version(self, model_name: str, version: str) -> ModelVersion | None:
        """One version, or None."""
        own = registered_versions.c
        query = select(registered_versions).where(own.model_name == model_name, own.version == version)
        with transaction(self.engine) as connection:
            found = connection.execute(query).mappings().one_or_none()
        return None if found is None else ModelVersion(**found)

    def model_history(self, model_name: str, lineage: str | None = None) -> list[ModelVersion]:
        """All versions, newest first, of one lineage or of all."""
        query = select(registered_versions).where(registered_versions.c.model_name == model_name)
        if lineage is not None:
            query = query.where(registered_versions.c.lineage == lineage)
        with transaction(self.engine) as connection:
            found = [ModelVersion(**row) for row in connection.execute(query).mappings()]
        return sorted(found, key=lambda one: (len(one.version), one.version), reverse=True)

    def record_promotion(self, promotion: NewPromotion) -> bool:
        """Append a decision; False when it is there already."""
        values = asdict(promotion)
        if promotion.effective_at is None:
            del values["effective_at"]
        with transaction(self.engine) as connection:
            return connection.execute(insert(promotions).values(values).on_conflict_do_nothing()).rowcount == 1

    def promotion_history(self, model_name: str, alias: str = "champion", limit: int = 100) -> list[Promotion]:
        """Decisions about an alias, newest first."""
        query = select(promotions).where(promotions.c.model_name == model_name, promotions.c.alias == alias)
        with transaction(self.engine) as connection:
            found = connection.execute(query.order_by(promotions.c.id.desc()).limit(limit)).mappings()
            return [Promotion(**row) for row in found]

    def promotion_at(self, model_name: str, at: datetime | None = None, alias: str = "champion") -> Promotion | None:
        """The decision in force at ``at`` (unset: the newest); None before the first."""
        query = select(promotions).where(promotions.c.model_name == model_name, promotions.c.alias == alias)
        if at is not None:
            query = query.where(promotions.c.effective_at <= at)
        with transaction(self.engine) as connection:
            found = connection.execute(query.order_by(promotions.c.id.desc()).limit(1)).mappings().one_or_none()
        return None if found is None else Promotion(**found)

    def record_evaluation(self, evaluation: Evaluation) -> bool:
        """Append an evaluation; False when the night's is there already."""
        statement = insert(evaluations).values(asdict(evaluation)).on_conflict_do_nothing()
        with transaction(self.engine) as connection:
            return connection.execute(statement).rowcount == 1

    def evaluation_history(
        self, model_name: str, challenger_lineage: str | None = None, limit: int = 100
    ) -> list[Evaluation]:
        """Evaluations, newest first."""
        names = list(Evaluation.__dataclass_fields__)
        query = select(*(evaluations.c[name] for name in names)).where(evaluations.c.model_name == model_name)
        if challenger_lineage is not None:
            query = query.where(evaluations.c.challenger_lineage == challenger_lineage)
        with transaction(self.engine) as connection:
            found = connection.execute(query.order_by(evaluations.c.id.desc()).limit(limit)).mappings()
            return [Evaluation(**row) for row in found]

    def rejected_lineages(self, model_name: str) -> set[str]:
        """Challengers that were rejected once: they are not tried again."""
        own = evaluations.c
        query = select(own.challenger_lineage).where(own.model_name == model_name, own.decision == "reject")
        with transaction(self.engine) as connection:
            return set(connection.execute(query.distinct()).scalars())
