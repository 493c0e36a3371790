"""A new champion's first games: is it worse than the one before, does it miss more often than it promised?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from math import log
from statistics import NormalDist
from typing import Any
from zoneinfo import ZoneInfo

from flows.shadow import SHADOW_MINUTES, Models, shadow
from models.adaptive import WINDOW
from models.alarms import TICKET_RUN_LENGTH, coverage_detector, tolerated_rate
from models.clock import OFFICIAL_MINUTE
from models.probation import Probation, ratio
from services.settings import Settings
from services.store import Duel, ModelVersion, Promotion, Store

LEAGUE_TIME = ZoneInfo("America/New_York")


@dataclass(frozen=True)
class OnProbation:
    """``lineage`` was promoted by ``promotion`` over the lineage ``before``; its games are those after ``after``."""

    promotion: Promotion
    lineage: str
    before: str
    after: date


@dataclass(frozen=True)
class Verdict:
    """``alarm`` names what fired (error, coverage), None while nothing has; ``games`` of ``of`` were seen."""

    alarm: str | None
    games: int
    of: int
    sentence: str
    evidence: dict[str, Any]

    @property
    def over(self) -> bool:
        """Whether the probation has ended well."""
        return self.alarm is None and self.games >= self.of

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"alarm": self.alarm, "games": self.games, "of": self.of, "evidence": self.evidence}


def on_probation(store: Store, model_name: str, champion: ModelVersion) -> OnProbation | None:
    """The promotion that made the champion's lineage champion, unless it was a return or the first one ever."""
    lineages = {one.version: one.lineage for one in store.model_history(model_name)}
    for one in store.promotion_history(model_name, limit=10_000):
        before = lineages.get(one.previous_version or "")
        if one.model_version not in lineages or before == lineages[one.model_version]:
            continue
        if before is None or one.action == "roll-back" or lineages[one.model_version] != champion.lineage:
            return None
        assert one.effective_at is not None
        first = one.effective_at.astimezone(LEAGUE_TIME).date()
        return OnProbation(one, champion.lineage, before, first - timedelta(days=1))
    return None


def games_on_probation(store: Store, settings: Settings, case: OnProbation) -> int:
    """How many games the new champion has been compared on."""
    source = settings.feed_source
    return len(
        store.duels(
            settings.model_name, case.before, case.lineage, source=source, minutes=(OFFICIAL_MINUTE,), after=case.after
        )
    )


def verdict(
    store: Store, models: Models, settings: Settings, case: OnProbation, *, source: str, upto: date | None
) -> Verdict:
    """What the games since the promotion say. Shadows of the champion before are made first.

    Raises RegistryError, StoreError.
    """
    name, most = settings.model_name, settings.rollback_games
    shadow(store, models, name, case.before, source=source, upto=upto)
    duels = store.duels(
        name, case.before, case.lineage, source=source, minutes=SHADOW_MINUTES, after=case.after, upto=upto
    )
    state = Probation()
    for _, of_game in groupby(duels, key=lambda duel: (duel.league_date, duel.game_id)):
        if state.games < most:
            state = state.after({duel.minute: _ratio(duel) for duel in of_game})
    evidence: dict[str, Any] = {"likelihood_ratio": state.best, "at": settings.rollback_evidence}
    if state.best >= settings.rollback_evidence:
        said = f"the champion before knew better (evidence {state.best:.3g} of {settings.rollback_evidence:g})"
        return Verdict("error", state.games, most, f"{said} after {state.games} games", evidence)
    missed, found = _coverage(store, settings, case, source, upto)
    if missed is not None:
        return Verdict("coverage", state.games, most, missed, evidence | found)
    return Verdict(None, state.games, most, f"probation: {state.games} of {most} games", evidence | found)


def _ratio(duel: Duel) -> float:
    # Both half-widths are those of errors at least as large as a right forecaster's.
    half_width = min(duel.one_half_width, duel.other_half_width)
    return ratio(duel.one, duel.other, duel.actual, half_width / NormalDist().inv_cdf(1.0 - duel.alpha / 2.0))


def _coverage(
    store: Store, settings: Settings, case: OnProbation, source: str, upto: date | None
) -> tuple[str | None, dict[str, Any]]:
    """(what is wrong with the coverage of the official forecasts on probation, or None, and the figures)."""
    frame = store.settled_since(case.after + timedelta(days=1), source=source, minute=OFFICIAL_MINUTE)
    digests = {one.digest for one in store.model_history(settings.model_name, case.lineage)}
    own = frame[frame["model_digest"].isin(digests) & (frame["alpha"] == settings.alpha)]
    if upto is not None:
        own = own[own["league_date"] <= upto]
    misses = [not covered for covered in own["covered"].tolist()][: settings.rollback_games]
    n, alpha = len(misses), settings.alpha
    if not n:
        return None, {}
    rate = 1.0 - sum(misses) / n
    found = {"n": n, "coverage": rate}
    # As the alert on the running service has it, which ends with its ticket.
    evidence = coverage_detector(alpha, tolerated_rate(alpha, WINDOW)).after(misses).log_evidence
    if evidence is not None and evidence >= log(TICKET_RUN_LENGTH):
        return f"coverage {rate:.1%} of {n} games: the coverage alarm fires", found
    if n >= settings.coverage_min_games and abs(rate - (1.0 - alpha)) * 100.0 >= settings.coverage_off_points:
        return f"coverage {rate:.1%} of {n} games is {settings.coverage_off_points:g} points off the promise", found
    return None, found
