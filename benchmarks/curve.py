"""How one forecaster of one worker answers, as measured: the file, and what it says of rates between the measured ones.

Between two measured rates every figure is taken on the straight line between theirs. Up to what a worker can answer
waits bend upwards with the rate, so the line lies above them. Queueing is part of the measurement, whose requests come
at random moments; no queue is carried over from one second to the next, since 64 in flight are answered within a
fraction of one. Who got no answer counts as refused. Beyond the highest rate measured everything but the refused stays
as it was there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import DATA, MeasuredFileError, read_measured

PATH = DATA / "service_curve.json"
AGAIN = "python -m benchmarks.service_curve"
# Of a rising rate no larger share is answered, but for so much of chance.
DISTURBED = 0.005
Floats = NDArray[np.float64]
Figure = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Knot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One offered rate: ``offered``, ``answered``, ``refused`` (503) and ``unanswered`` (nothing within 5 s) requests a
    second, waits of the answered in ms, ``in_flight`` requests as callers see it and ``gauge`` as the forecaster's
    metric says; ``processor`` is what forecaster and its parent take, ``elsewhere`` what programs that are no part of
    the measurement took, in cores; ``sent_late_ms`` how late the crowd was sent, 99 of 100."""

    offered: Positive
    answered: Figure
    refused: Figure
    unanswered: Figure
    p50_ms: Positive
    p99_ms: Positive
    in_flight: Figure
    gauge: Figure
    processor: Figure
    elsewhere: Figure
    sent_late_ms: Figure


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it was measured. ``load_average`` is that of the minute before the measurement."""

    cores: int
    processor: str
    python: str
    load_average: Figure


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measurement. ``games`` are what the champion remembers; of at most so many ``rounds`` the quietest was kept for
    each rate; ``starts_s`` are seconds from a start of the process to the first time it said ready, ``idle_processor``
    is what it takes while nobody asks, in cores."""

    measured_on: date
    machine: Machine
    champion: str
    games: int
    rounds: int
    seconds_each: Positive
    starts_s: tuple[Positive, ...]
    idle_processor: Figure
    knots: tuple[Knot, ...]

    @property
    def answers_s(self) -> float:
        """Requests a second that one worker answers at most."""
        return max(knot.answered for knot in self.knots)

    @property
    def start_s(self) -> float:
        """The median start, seconds."""
        return float(np.median(self.starts_s))

    def at(self, rates: Floats) -> Service:
        """What one worker does at each offered rate, requests a second. Raises ValueError for a rate below 0."""
        if np.any(rates < 0):
            raise ValueError(f"a rate of {float(rates.min())} requests a second: it cannot be below 0")
        answered = self._line("answered", rates, at_0=0.0)
        return Service(
            answered=np.minimum(answered, rates),
            refused=np.maximum(rates - answered, 0.0),
            p50_ms=self._line("p50_ms", rates, at_0=self.knots[0].p50_ms),
            p99_ms=self._line("p99_ms", rates, at_0=self.knots[0].p99_ms),
            # A scrape counts itself.
            gauge=self._line("gauge", rates, at_0=1.0),
            processor=self._line("processor", rates, at_0=self.idle_processor),
        )

    def _line(self, name: str, rates: Floats, at_0: float) -> Floats:
        offered = [0.0, *(knot.offered for knot in self.knots)]
        line: Floats = np.interp(rates, offered, [at_0, *(getattr(knot, name) for knot in self.knots)])
        return line


@dataclass(frozen=True)
class Service:
    """One worker's figures, one for each rate that was asked for; units as of Knot."""

    answered: Floats
    refused: Floats
    p50_ms: Floats
    p99_ms: Floats
    gauge: Floats
    processor: Floats


def read_curve(path: Path = PATH) -> Curve:
    """A measured curve. Raises MeasuredFileError, which says what is wrong with the file."""
    curve = read_measured(path, Curve, AGAIN)
    if not curve.knots or not curve.starts_s:
        raise MeasuredFileError(f"{path.name} holds no knots or no starts: make it anew with `{AGAIN}`")
    for knot in curve.knots:
        fates = knot.answered + knot.refused + knot.unanswered
        if abs(fates - knot.offered) > 0.1:
            raise MeasuredFileError(
                f"{path.name}: of {knot.offered:g}/s offered {fates:g} were answered, refused or neither, not all of"
                f" them: make it anew with `{AGAIN}`"
            )
    for before, after in pairwise(curve.knots):
        where = f"{path.name}: the knot of {after.offered:g}/s"
        if after.offered <= before.offered:
            raise MeasuredFileError(f"{where} comes after one of {before.offered:g}/s: sort them")
        if after.answered / after.offered > before.answered / before.offered + DISTURBED:
            raise MeasuredFileError(
                f"{where} answers {after.answered / after.offered:.1%}, more than that of {before.offered:g}/s with"
                f" {before.answered / before.offered:.1%}: something disturbed it; make it anew with `{AGAIN}` when the"
                " machine does nothing else"
            )
    return curve
