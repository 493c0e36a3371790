"""Which alarms a settled forecast speaks to, and how their states move.

For each line of models and promised level: coverage over all official forecasts; coverage by kind of game, told apart
by lead size, phase of the season and minute; and drift of the official errors in size and sign. A stream gets at most
one forecast a game, so each alarm's promise holds by itself. Kinds are many, so which of them are alarms is decided
together: with K kinds the k-th largest evidence counts when it reaches K/k times the threshold. That is the
Benjamini-Hochberg rule on e-detectors, which keeps the share of false alarms among all within what the threshold
promises (Wang and Ramdas 2022, "False discovery rate control with e-values"; for change detection Dandapanthula and
Ramdas 2025, "Multiple testing in multi-stream sequential change detection").
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from models.alarms import TICKET_RUN_LENGTH, Detector, Reference, coverage_detector, tolerated_rate
from models.clock import OFFICIAL_MINUTE
from models.conditional import LEAD_BINS, lead_size

if TYPE_CHECKING:
    from models.ensemble import Ensemble

COVERAGE = "coverage"
DRIFT = ("large", "typical", "high", "low")
ALL = "all"
BANDS = (0, 6, 12, OFFICIAL_MINUTE, 23)
"""One minute stands for each part of the half: forecasts of neighbouring minutes miss together."""
# Without a reference a calibration set of about this size is taken to stand behind the intervals.
CALIBRATION_GAMES = 1000
# The size that one error in 20 exceeds needs so many.
LEAST_GAMES = 19
_PHASES = dict.fromkeys((10, 11, 12), "October to December") | dict.fromkeys((1, 2), "January and February")


class Stream(NamedTuple):
    """What an alarm watches: coverage or one of ``DRIFT``, of ``ALL`` games or of one kind."""

    alarm: str
    kind: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A settled forecast of the champion: ``error`` is actual minus point, ``lead`` the margin when it was made, both
    in points; ``reference`` how the line erred when it was trained, None when that is not known."""

    minute: int
    covered: bool
    error: float
    lead: float
    season_type: str
    date: date
    reference: Reference | None = None


def streams(seen: Answered) -> dict[Stream, bool]:
    """What the forecast says to which stream: True is what must not come too often."""
    missed = not seen.covered
    if seen.minute not in BANDS:
        return {}
    if seen.minute != OFFICIAL_MINUTE:
        return {Stream(COVERAGE, f"minute {seen.minute}"): missed}
    kinds = (ALL, f"lead {lead_size(max(edge for edge in LEAD_BINS if edge <= abs(seen.lead)))}", _phase(seen))
    said = {Stream(COVERAGE, kind): missed for kind in kinds}
    if seen.reference is not None:
        said |= {
            Stream("large", ALL): abs(seen.error) > seen.reference.large,
            Stream("typical", ALL): abs(seen.error) > seen.reference.typical,
            Stream("high", ALL): seen.error > 0.0,
            Stream("low", ALL): seen.error < 0.0,
        }
    return said


def begun(stream: Stream, alpha: float, reference: Reference | None) -> Detector:
    """The stream's detector before its first game, for intervals at ``alpha``."""
    if stream.alarm == COVERAGE or reference is None:
        return coverage_detector(alpha, tolerated_rate(alpha, reference.n if reference else CALIBRATION_GAMES))
    return reference.detectors()[stream.alarm]


def moved(states: Mapping[Stream, Detector], alpha: float, seen: Sequence[Answered]) -> dict[Stream, Detector]:
    """The states that ``seen``, in the order of settlement, moves. In any batches the same forecasts give the same
    bits."""
    said: dict[Stream, list[bool]] = defaultdict(list)
    known: dict[Stream, Reference | None] = {}
    for one in seen:
        for stream, happened in streams(one).items():
            said[stream].append(happened)
            known.setdefault(stream, one.reference)
    return {
        stream: (states.get(stream) or begun(stream, alpha, known[stream])).after(happened)
        for stream, happened in said.items()
    }


def kinds_in_alarm(log_evidence: Mapping[str, float], run_length: float = TICKET_RUN_LENGTH) -> set[str]:
    """Which kinds' evidence (ln M by kind) is an alarm, all looked at together."""
    ordered = sorted(log_evidence.items(), key=lambda item: item[1], reverse=True)
    enough = [
        place for place, (_, value) in enumerate(ordered, 1) if value >= math.log(run_length * len(ordered) / place)
    ]
    return {kind for kind, _ in ordered[: max(enough, default=0)]}


def references(model: Ensemble) -> dict[str, dict[str, Any]]:
    """How ``model`` errs at the official minute on the games that calibrate it, as plain values by what is known of a
    game; kinds of requests with too few games are left out."""
    return {
        _known(case.rated, case.possession): asdict(Reference.of(games.errors.residuals))
        for case, games in model.calibration.items()
        if case.minute == OFFICIAL_MINUTE and len(games) >= LEAST_GAMES
    }


def reference_of(stored: Mapping[str, Mapping[str, Any]] | None, rated: bool, possession: bool) -> Reference | None:
    """What ``references`` gave for a game of which so much is known, or for the nearest kind of request."""
    for name in (_known(rated, possession), _known(rated, False), _known(False, False)):
        if stored and name in stored:
            return Reference(**stored[name])
    return None


def _known(rated: bool, possession: bool) -> str:
    return f"{'rated' if rated else 'unrated'}{', ball' if possession else ''}"


def _phase(seen: Answered) -> str:
    if seen.season_type == "playoffs":
        return "playoffs"
    return _PHASES.get(seen.date.month, "March and later")
