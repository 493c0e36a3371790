"""Calibration that follows the season: a rolling set of scores, corrected by a ledger of misses.

A rolling set alone trails the drift of the league and leaves every season to chance: of 1,300 games a fair 95%
interval misses 65 +- 8. So a ledger counts, level by level, the misses beyond those promised since the season began,
and the set is asked for a little more or less than the promise until they are made up. That is the integral controller
of conformal PID control (Angelopoulos, Candes and Tibshirani 2023), which ACI (Gibbs and Candes 2021) is the linear
case of; here it acts on alpha, so that one set of scores serves every level and intervals nest.

What is settled on a league date counts from the next date on. Everything is immutable; same games, same bits.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.adaptive_rules import Floats, Integrator, Rule, logit
from models.conformal import CalibrationSet, conformal_rank, games_needed, nonconformity
from models.forecast import checked_alpha

ALPHAS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
"""The levels a ledger is kept for. Others lie between two of them, or take the nearest one's correction."""

WINDOW = 1300
"""Games in the rolling set: about a season."""

_LOGITS = logit(np.array(ALPHAS))
_KNOTS: list[float] = _LOGITS.tolist()


class BadLedger(ValueError):
    """Stored values that are no ledger."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Misses of one season: ``stray`` is by ``ALPHAS`` how many more of ``games`` forecasts missed than were promised
    to, negative when fewer did. ``season`` None: no game yet. A new season starts a new ledger. Raises BadLedger."""

    season: int | None = None
    games: int = 0
    stray: tuple[float, ...] = (0.0,) * len(ALPHAS)

    def __post_init__(self) -> None:
        if len(self.stray) != len(ALPHAS) or not all(abs(stray) <= self.games for stray in self.stray):
            raise BadLedger(f"stray {self.stray} over {self.games} games: it needs {len(ALPHAS)} numbers within them")

    def after(self, season: int, games: int, stray: Floats) -> Ledger:
        """With ``games`` more of ``season`` that strayed by ``stray`` float64[levels]. Raises BadLedger for a season
        before this one."""
        if self.season is not None and season < self.season:
            raise BadLedger(f"games of season {season} after games of season {self.season}: settle the oldest first")
        before = self if season == self.season else Ledger(season)
        total = tuple(float(sum(pair)) for pair in zip(before.stray, stray, strict=True))
        return Ledger(season, before.games + games, total)

    def as_dict(self) -> dict[str, Any]:
        """Plain values fit for JSON; ``from_dict`` reads them."""
        return {"season": self.season, "games": self.games, "alphas": list(ALPHAS), "stray": list(self.stray)}

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Ledger:
        """The ledger ``as_dict`` gave. Raises BadLedger, also when it was kept for other levels."""
        try:
            season, games, alphas, stray = body["season"], int(body["games"]), body["alphas"], body["stray"]
            if tuple(alphas) != ALPHAS:
                raise BadLedger(f"kept for the levels {alphas}, not {list(ALPHAS)}: start an empty one")
            return cls(None if season is None else int(season), games, tuple(float(value) for value in stray))
        except (KeyError, TypeError) as error:
            raise BadLedger(f"not a ledger: {error!r}") from error


@dataclass(frozen=True, eq=False)
class Settled:
    """What one league date taught: ``residuals`` float64[k] (actual minus point), all of ``season``."""

    season: int
    game_ids: Sequence[str]
    residuals: Floats


@dataclass(frozen=True, eq=False)
class Adaptive:
    """The rolling ``calibration`` set of at most ``window`` games, the season's ``ledger`` and the ``rule`` that turns
    the ledger into a correction."""

    calibration: CalibrationSet
    ledger: Ledger = field(default_factory=Ledger)
    rule: Rule = field(default_factory=Integrator)
    window: int = WINDOW

    @cached_property
    def _corrections(self) -> tuple[float, ...]:
        """What is added to the logits of ``ALPHAS``. The sums are sorted, so that a smaller alpha never gives a
        narrower interval (rearrangement: Chernozhukov, Fernandez-Val and Galichon 2010)."""
        moved = np.sort(self.rule.corrected(_LOGITS, np.array(self.ledger.stray)))
        return tuple((moved - _LOGITS).tolist())

    def corrected(self, alpha: float) -> float:
        """The alpha the calibration set is asked for, within 1/(n+1)..n/(n+1).

        Between two levels the correction is interpolated on the logit scale. Raises CalibrationTooSmall when the set
        cannot support ``alpha`` itself, BadAlpha.
        """
        asked = checked_alpha(alpha)
        conformal_rank(len(self.calibration), asked)
        at = math.log(asked / (1.0 - asked))
        # A forecast asks for many levels: plain numbers are ten times faster here than an array of six.
        above = bisect.bisect_left(_KNOTS, at)
        if 0 < above < len(_KNOTS):
            share = (at - _KNOTS[above - 1]) / (_KNOTS[above] - _KNOTS[above - 1])
            correction = (1.0 - share) * self._corrections[above - 1] + share * self._corrections[above]
        else:
            correction = self._corrections[0 if above == 0 else -1]
        least = 1.0 / (len(self.calibration) + 1)
        return min(max(1.0 / (1.0 + math.exp(-at - correction)), least), 1.0 - least)

    def half_width(self, alpha: float) -> float:
        """Half-width of the interval at ``alpha``. Raises CalibrationTooSmall, BadAlpha."""
        return self.calibration.quantile(self.corrected(alpha))

    def strays(self, scores: Floats) -> Floats:
        """By how many more than promised the intervals miss games of these ``scores`` float64[k]: float64[levels]."""
        stray = np.zeros(len(ALPHAS))
        for place, alpha in enumerate(ALPHAS):
            # A level that was refused promised nothing.
            if games_needed(alpha) <= len(self.calibration):
                stray[place] = np.count_nonzero(scores > self.half_width(alpha)) - alpha * len(scores)
        return stray

    def update(self, day: Settled) -> Adaptive:
        """After a league date: its misses are in the ledger, its scores in the set. Raises ValueError for a game the
        set already holds."""
        scores = nonconformity(day.residuals)
        return replace(
            self,
            calibration=self.calibration.rolled(day.game_ids, day.residuals, self.window),
            ledger=self.ledger.after(day.season, len(scores), self.strays(scores)),
        )


def by_date(
    dates: NDArray[np.datetime64],
    seasons: NDArray[np.integer],
    game_ids: Sequence[str],
    residuals: Floats,
) -> list[Settled]:
    """n games, ``dates`` [n] ascending, as one Settled for each league date."""
    ends = [*np.flatnonzero(dates[1:] != dates[:-1]) + 1, len(dates)] if len(dates) else []
    days: list[Settled] = []
    start = 0
    for end in map(int, ends):
        rows = slice(start, end)
        days.append(Settled(int(seasons[start]), game_ids[rows], residuals[rows]))
        start = end
    return days


class Online(Protocol):
    """Anything that gives half-widths and learns from a settled league date, as ``Adaptive`` does."""

    def half_width(self, alpha: float) -> float:
        """Half-width of the interval at ``alpha``."""
        ...

    def update(self, day: Settled) -> Self:
        """The state after one more league date."""
        ...


State = TypeVar("State", bound=Online)


def replay(state: State, days: Iterable[Settled], alphas: Sequence[float]) -> tuple[Floats, State]:
    """(half-widths float64[games, alphas] as each game was forecast, the state after the last date).

    The state is updated after each of ``days``, oldest first. Raises CalibrationTooSmall, BadAlpha, ValueError.
    """
    widths: list[list[float]] = []
    for day in days:
        widths += [[state.half_width(alpha) for alpha in alphas]] * len(day.game_ids)
        state = state.update(day)
    return np.array(widths, dtype=np.float64).reshape(-1, len(alphas)), state
