"""Judging models every night: a challenger in its shadow, and a new champion on probation.

Both are paired comparisons on the same games whose verdict may be read after every game (models/paired.py,
models/promotion.py). What is decided is carried out and recorded with its evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import structlog

from flows import wiring
from flows.champion import CHALLENGER, CHAMPION, crown, deciding, keep_version, pointed, reconcile
from flows.probation import Verdict, on_probation, verdict
from flows.promote import held_out, newest_of
from flows.shadow import Models, shadow
from models.promotion import WEIGHTS, Action, Decision, Rules, Shadowed, Trial, decide
from services.registry import Registry
from services.settings import Settings
from services.store import Evaluation, ModelVersion, Store

log = structlog.get_logger("evaluate")


@dataclass(frozen=True)
class EvaluationResult:
    """What a night's evaluation found and did. ``decision`` is None without a challenger, ``probation`` the verdict on
    a champion that was promoted lately, None when there is none; ``champion`` the version in force afterwards."""

    league_date: date | None
    champion: str | None
    challenger: str | None = None
    decision: Decision | None = None
    probation: Verdict | None = None

    def line(self) -> str:
        """One sentence for a log."""
        said = [f"champion: version {self.champion}"]
        if self.probation is not None:
            said.append(self.probation.sentence)
        if self.decision is not None:
            said.append(f"challenger {self.challenger}: {self.decision.action} ({'; '.join(self.decision.reasons)})")
        return "; ".join(said)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "league_date": self.league_date.isoformat() if self.league_date else None,
            "champion": self.champion,
            "challenger": self.challenger,
            "decision": self.decision.action if self.decision else None,
            "reasons": list(self.decision.reasons) if self.decision else [],
            "evidence": self.decision.evidence if self.decision else {},
            "probation": self.probation.to_json() if self.probation else None,
        }


def evaluate(settings: Settings, *, league_date: date | None = None, at: datetime | None = None) -> EvaluationResult:
    """Judges a champion on probation and a challenger on the games settled up to ``league_date`` (unset: all), and
    carries the verdict out. ``at`` is when it takes effect, now when unset.

    May be repeated: the same night again decides the same once. Raises RegistryError, StoreError, LifecycleBusy.
    """
    registry, source = wiring.registry(settings), settings.feed_source
    models = Models(registry)
    with wiring.store(settings) as store, deciding(store):
        reconcile(store, registry)
        night = league_date or store.newest_night(source)
        champion = _known(store, registry, CHAMPION)
        if champion is None or night is None:
            return EvaluationResult(night, champion.version if champion else None)
        case = on_probation(store, registry.model_name, champion)
        found = verdict(store, models, settings, case, source=source, upto=night) if case is not None else None
        if case is not None and found is not None and found.alarm is not None:
            back = registry.get(newest_of(store, registry.model_name, case.before))
            _record(store, registry.model_name, night, case.before, champion, "reject", found.games, found.to_json())
            crown(
                store, registry, back, reason=found.sentence, action="roll-back", by=f"rule: {found.alarm} alarm",
                evidence=found.to_json(), at=at,
            )  # fmt: skip
            return EvaluationResult(night, back.version, probation=found)
        shown = None if found is None or found.over else found
        challenger = _challenger(store, registry, champion)
        if challenger is None:
            return EvaluationResult(night, champion.version, probation=shown)
        decision = _judged(store, models, settings, champion, challenger, night)
        n = int(decision.evidence["over_champion"]["n"])
        told = {"reasons": list(decision.reasons), **decision.evidence}
        _record(store, registry.model_name, night, champion.lineage, challenger, decision.action, n, told)
        if decision.action == "promote":
            crown(
                store, registry, registry.get(challenger.version), reason=decision.reasons[0], by="rule: evidence",
                evidence=told, at=at,
            )  # fmt: skip
        if decision.action != "keep":
            registry.delete_alias(CHALLENGER)
        now = challenger.version if decision.action == "promote" else champion.version
        return EvaluationResult(night, now, challenger.version, decision, shown)


def _judged(
    store: Store, models: Models, settings: Settings, champion: ModelVersion, challenger: ModelVersion, night: date
) -> Decision:
    name, source = settings.model_name, settings.feed_source
    shadow(store, models, name, challenger.lineage, source=source, upto=night)
    # What a challenger did before the present champion reigned counts too: both lines forecast those games.
    duels = store.duels(
        name, champion.lineage, challenger.lineage, source=source, minutes=tuple(WEIGHTS), after=date.min,
        upto=night,
    )  # fmt: skip
    seen = [
        Shadowed(duel.game_id, duel.minute, duel.other, duel.one, float(duel.persistence), float(duel.actual))
        for duel in duels
    ]
    trial = Trial().after(seen)
    rules = Rules(
        promote_alpha=settings.promote_alpha,
        reject_alpha=settings.promote_alpha,
        min_games=settings.promote_min_games,
        min_gain=settings.promote_min_gain,
    )
    return decide(trial, held_out(store, models.registry, challenger.version), rules)


def _challenger(store: Store, registry: Registry, champion: ModelVersion) -> ModelVersion | None:
    """Who is on trial; one of the champion's own line, or rejected before, is not."""
    found = _known(store, registry, CHALLENGER)
    if found is None:
        return None
    if found.lineage == champion.lineage or found.lineage in store.rejected_lineages(registry.model_name):
        log.info("no challenger any more", version=found.version, lineage=found.lineage)
        registry.delete_alias(CHALLENGER)
        return None
    return found


def _known(store: Store, registry: Registry, alias: str) -> ModelVersion | None:
    """The version behind an alias as ``registered_versions`` has it; None when the alias is not set."""
    version = pointed(registry, alias)
    if version is None:
        return None
    known = store.model_version(registry.model_name, version.version)
    return known or keep_version(store, version, registry.fetch_digest(version.digest), "found", None)


def _record(
    store: Store, name: str, night: date, champion: str, challenger: ModelVersion, decision: Action, n: int,
    evidence: dict[str, Any],
) -> None:  # fmt: skip
    store.record_evaluation(
        Evaluation(name, night, champion, challenger.lineage, challenger.version, decision, n, evidence)
    )
