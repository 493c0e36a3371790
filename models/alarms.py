"""Alarms on settled games: has what was promised stopped being true?

Each alarm watches a stream of yes and no, one a game in the order of forecast, whose "yes" is promised to come no more
often than a null rate. A mixture of Shiryaev-Roberts e-detectors (Shin, Ramdas and Rinaldo 2022, "E-detectors: a
nonparametric framework for sequential change detection") bets on higher rates from every game on:

    R(q) <- (1 + R(q)) * (q / null if yes else (1 - q) / (1 - null)),  M = mean over q of R(q)

Whatever the dependence between games, while the conditional rate stays at or below the null one the mean number of
games before M first reaches A is at least A: there is no window, no warm-up, and it may be read after every game.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.conformal import conformal_quantile

Floats = NDArray[np.float64]

SEASON = 1_230
TICKET_RUN_LENGTH = 10.0 * SEASON
"""Games between two false alarms of one stream, at least, on average: ten seasons."""
NOTE_RUN_LENGTH = 2.0 * SEASON
TICKET_THRESHOLD = math.log(TICKET_RUN_LENGTH)
"""ln of the evidence at which a stream that is watched by itself is an alarm."""

# Alternatives as multiples of a small rate: .08, .10, .14, .20 and .30 for .05; and as steps above a large one.
MULTIPLES = (1.6, 2.0, 2.8, 4.0, 6.0)
STEPS = (0.05, 0.1, 0.15, 0.25, 0.35)


def tolerated_rate(rate: float, n: int) -> float:
    """``rate`` and two standard deviations of what a reference of ``n`` games leaves open about it: an alarm at the
    rate itself would report an unlucky draw of those games. Raises ValueError unless 0 < rate < 1 and n >= 1."""
    if not 0 < rate < 1 or n < 1:
        raise ValueError(f"rate {rate} from {n} games: need 0 < rate < 1 and n >= 1")
    return rate + 2.0 * math.sqrt(rate * (1.0 - rate) / n)


@dataclass(frozen=True, slots=True)
class Detector:
    """One stream: the ``null`` rate, the ``rates`` that are bet on, all above it, and after ``n`` games the logarithm
    of R by rate (None before the first). Immutable; the same games in any batches give the same bits."""

    null: float
    rates: tuple[float, ...]
    logs: tuple[float, ...] | None = None
    n: int = 0

    @classmethod
    def above(cls, null: float, alternatives: Iterable[float]) -> Detector:
        """A detector that bets on those of ``alternatives`` that lie between ``null`` and 1."""
        return cls(null, tuple(rate for rate in alternatives if null < rate < 1.0))

    def after(self, stream: Iterable[bool]) -> Detector:
        """After further games in order."""
        rates, logs, n = np.array(self.rates), None if self.logs is None else np.array(self.logs), self.n
        on_yes, on_no = np.log(rates / self.null), np.log((1.0 - rates) / (1.0 - self.null))
        for happened in stream:
            # As logarithms: R overflows after some hundred games of "yes".
            step = on_yes if happened else on_no
            logs = step if logs is None else np.logaddexp(0.0, logs) + step
            n += 1
        return replace(self, logs=None if logs is None else tuple(logs.tolist()), n=n)

    def as_dict(self) -> dict[str, Any]:
        """Plain values fit for JSON; ``from_dict`` reads them."""
        logs = None if self.logs is None else list(self.logs)
        return {"null": self.null, "rates": list(self.rates), "logs": logs, "n": self.n}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Detector:
        """The detector that ``as_dict`` gave. Raises ValueError, also for rates and logarithms that do not belong
        together."""
        try:
            rates, logs = tuple(map(float, body["rates"])), body["logs"]
            found = cls(float(body["null"]), rates, None if logs is None else tuple(map(float, logs)), int(body["n"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an alarm's state: {error!r}") from error
        if found.logs is not None and len(found.logs) != len(rates):
            raise ValueError(f"an alarm's state has {len(rates)} rates and {len(found.logs)} logarithms")
        return found

    @property
    def log_evidence(self) -> float | None:
        """ln M; None before the first game or when there is nothing to bet on."""
        if self.logs is None or not self.logs:
            return None
        return float(np.logaddexp.reduce(np.array(self.logs)) - math.log(len(self.logs)))


def coverage_detector(alpha: float, null: float) -> Detector:
    """Of a stream of misses that ``alpha`` was promised for."""
    return Detector.above(null, (alpha * factor for factor in MULTIPLES))


@dataclass(frozen=True, slots=True)
class Reference:
    """How a model errs on ``n`` games that fitted nothing: the sizes of error that one game in 20 and one in two
    exceed, in points, and the share of errors (actual minus point) above 0."""

    large: float
    typical: float
    high: float
    n: int

    @classmethod
    def of(cls, residuals: Floats) -> Reference:
        """From residuals float64[n], actual minus point. Raises CalibrationTooSmall for fewer than 19."""
        sizes = np.sort(np.abs(residuals))
        share = float(np.clip((residuals > 0).mean(), 0.02, 0.98))
        return cls(conformal_quantile(sizes, 0.05), conformal_quantile(sizes, 0.5), share, len(residuals))

    def detectors(self) -> dict[str, Detector]:
        """The four streams of drift before the first game: too many ``large`` errors, too many above the ``typical``
        size, too many outcomes above the point (``high``) or below it (``low``)."""
        low = 1.0 - self.high
        return {
            "large": Detector.above(tolerated_rate(0.05, self.n), (0.05 * factor for factor in MULTIPLES)),
            "typical": Detector.above(tolerated_rate(0.5, self.n), (0.5 + step for step in STEPS)),
            "high": Detector.above(tolerated_rate(self.high, self.n), (self.high + step for step in STEPS)),
            "low": Detector.above(tolerated_rate(low, self.n), (low + step for step in STEPS)),
        }


DRIFT_THRESHOLD = math.log(4.0 * TICKET_RUN_LENGTH)
"""ln of the evidence at which one of the four streams of drift is an alarm: together they keep the ticket's run
length."""
