"""The forecaster the service answers with: a mixture for the point and the shape, calibration for how sure it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.adaptive import Adaptive, Ledger
from models.batch import Batch
from models.calibration import Calibration, Case
from models.conformal import prediction_set
from models.dejavu import Neighbours
from models.distribution import TAIL_LEFT_OUT, MarginDistribution
from models.forecast import (
    BadPossession,
    Components,
    Forecast,
    UnsupportedMinute,
    checked_alpha,
    checked_pattern,
    checked_possession,
    checked_rating,
    persistence,
)
from models.history import SOURCES
from models.mixture import Games, Mixture
from models.ratings import Ratings
from models.shape import LARGEST_CHANGE, corrected, corrected_cumulative, corrected_rows

SIMILAR_GAMES = 5

_TAILS = np.array([TAIL_LEFT_OUT, 1.0 - TAIL_LEFT_OUT])

Floats = NDArray[np.float64]


class _Seen(NamedTuple):
    """A game after ``minute`` minutes: the margin ``now``, Dejavu's finds, the LSTM's change, what is known."""

    minute: int
    now: float
    near: Neighbours
    learned: float
    rating: float | None
    ball: int


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Everything a forecast is computed from. Immutable; ``dataclasses.replace`` makes a changed one.

    ``source`` says what kind of games it learned, ``trained_through`` the date of the newest of them, calibration
    included. ``calibration`` has each minute with and without a rating, and with possession or not at all; ``ledgers``
    by minute what the season has missed so far, in all states of knowledge together, since its promise is one. Raises
    ValueError when a part is missing or a calibration game is also a game Dejavu remembers.
    """

    mixture: Mixture
    ratings: Ratings
    calibration: Mapping[Case, Calibration]
    source: str
    trained_through: date
    ledgers: Mapping[int, Ledger] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"source is {self.source!r}: it must be one of {', '.join(SOURCES)}")
        cases = set(self.calibration)
        minutes = {case.minute for case in cases}
        if not minutes or not all(Case(minute, rated, False) in cases for minute in minutes for rated in (False, True)):
            raise ValueError("each minute needs a calibration set with and one without a rating")
        if any(case._replace(rated=not case.rated) not in cases for case in cases):
            raise ValueError("calibration with possession is needed both with and without a rating")
        remembered = set(self.mixture.dejavu.game_id.tolist())
        for case, games in self.calibration.items():
            seen = remembered.intersection(games.errors.game_ids)
            if seen:
                raise ValueError(f"game {min(seen)} calibrates {case} but was also used to fit: leave it out of one")
        if not set(self.ledgers) <= minutes:
            raise ValueError(f"ledgers of minutes {sorted(set(self.ledgers) - minutes)}, which have no calibration")
        ledgers = {minute: self.ledgers.get(minute, Ledger()) for minute in sorted(minutes)}
        object.__setattr__(self, "ledgers", MappingProxyType(ledgers))
        object.__setattr__(self, "calibration", MappingProxyType(dict(sorted(self.calibration.items()))))

    @property
    def minutes(self) -> tuple[int, ...]:
        """Minutes a forecast can be asked for, with or without a rating."""
        return tuple(sorted({case.minute for case in self.calibration}))

    @property
    def lineage(self) -> str:
        """Names the components its points are made of; recalibration keeps them."""
        return self.mixture.lineage

    @property
    def ratings_as_of(self) -> date | None:
        """The newest league date the ratings have seen."""
        return self.ratings.as_of

    @cached_property
    def calibration_id(self) -> str:
        """Names the calibration games, their errors and what was missed since: 16 hex digits."""
        digest = hashlib.sha256(repr(sorted(self.ledgers.items())).encode())
        for case, games in self.calibration.items():
            digest.update(f"{case.minute} {case.rated} {case.possession} ".encode())
            digest.update(hashlib.sha256(games.content()).digest())
        return digest.hexdigest()[:16]

    def forecast(
        self, pattern: Sequence[float], minute: int, alpha: float, rating: float | None, possession: int = 0
    ) -> Forecast:
        """The margin at the half, seen after ``minute`` minutes. Pure: same input, same bits.

        ``pattern`` is margin(1)..margin(minute), home minus away; ``rating`` the expected final margin in points or
        None; ``possession`` 1 when the home team has the ball, -1 the away team, 0 nobody or unknown. It counts where
        the ``case`` that answers knows of it. Raises BadPattern, UnsupportedMinute, BadAlpha, BadRating, BadPossession,
        CalibrationTooSmall.
        """
        margins = checked_pattern(pattern, minute)
        level, known, ball = checked_alpha(alpha), checked_rating(rating), checked_possession(possession)
        case, path = self.case(minute, known is not None, ball), np.array([0.0, *margins])
        near, learned = self.mixture.dejavu.look(path[1:], known, SIMILAR_GAMES), self.mixture.lstm.change(path, known)
        seen = _Seen(minute, persistence(margins), near, learned, known, ball if case.possession else 0)
        point = self._point(seen)
        shape = self.mixture.shape(near, minute, point - round(seen.now))
        cumulative = corrected_cumulative(shape, self.calibration[case].correction)
        return self._told(seen, level, case, point, cumulative)

    def path(
        self, pattern: Sequence[float], alpha: float, rating: float | None, possession: Sequence[int]
    ) -> tuple[Forecast, ...]:
        """What ``forecast`` says after each of the minutes 0..len(pattern), bit by bit, in less time than one by one.

        ``possession`` is who had the ball at these minutes, one more than there are margins. Raises as ``forecast``.
        """
        margins = checked_pattern(pattern, len(pattern))
        level, known, balls = checked_alpha(alpha), checked_rating(rating), list(map(checked_possession, possession))
        if len(balls) != len(margins) + 1:
            raise BadPossession(f"possession at {len(balls)} minutes: {len(margins)} margins need {len(margins) + 1}")
        path, rated = np.array([0.0, *margins]), known is not None
        nearest = tuple(self.mixture.dejavu.follow(path[1:], known, SIMILAR_GAMES))
        learned = self.mixture.lstm.changes(path[None, :], np.array([known]) if rated else None)[0].tolist()
        cases = [self.case(minute, rated, ball) for minute, ball in enumerate(balls)]
        half = [
            _Seen(case.minute, now, near, change, known, ball if case.possession else 0)
            for case, now, near, change, ball in zip(cases, (0.0, *margins), nearest, learned, balls, strict=True)
        ]
        points = [self._point(seen) for seen in half]
        means = np.array([point - round(seen.now) for point, seen in zip(points, half, strict=True)])
        maps = [self.calibration[case].correction for case in cases]
        cumulative = corrected_rows(self.mixture.shapes(nearest, means), maps)
        told = zip(half, cases, points, cumulative, strict=True)
        return tuple(self._told(seen, level, case, point, row) for seen, case, point, row in told)

    def _point(self, seen: _Seen) -> float:
        return seen.now + self.mixture.change(seen.near, seen.learned, seen.rating is not None, seen.ball)

    def _told(self, seen: _Seen, alpha: float, case: Case, point: float, cumulative: Floats) -> Forecast:
        calibration, half_width = self.calibration[case], self._half_width(case, alpha)
        now, near, value = seen.now, seen.near, self.mixture.possession_value * seen.ball
        return Forecast(
            point=point,
            interval=prediction_set(point, half_width),
            alpha=alpha,
            minute=seen.minute,
            components=Components(now + near.change, now + seen.learned, now, value),
            weights=self.mixture.weights[seen.rating is not None],
            similar=near.similar,
            rating=seen.rating,
            possession=seen.ball,
            half_width=half_width,
            sd=calibration.errors.sd,
            n_calibration=len(calibration),
            distribution=_distribution(round(now), cumulative),
        )

    def before_calibration(
        self, pattern: Sequence[float], minute: int, rating: float | None, possession: int = 0
    ) -> tuple[float, Floats]:
        """The change in points and its shape, float64[161], as calibration finds them. Raises as ``forecast`` does."""
        margins, known = checked_pattern(pattern, minute), checked_rating(rating)
        ball = checked_possession(possession)
        ball = ball if self.case(minute, known is not None, ball).possession else 0
        now, path = persistence(margins), np.array([0.0, *margins])
        near = self.mixture.dejavu.look(path[1:], known, 0)
        change = self.mixture.change(near, self.mixture.lstm.change(path, known), known is not None, ball)
        return change, self.mixture.shape(near, minute, now + change - round(now))

    def points(self, games: Games, minute: int) -> Floats:
        """Points float64[n] of many games at once with all that is known of each; equal to ``forecast`` up to
        rounding."""
        now, counts = games.history.margins[:, minute].astype(np.float64), self.case(minute, True, 1).possession
        return now + Batch(self.mixture, games, rated=True).changes(minute, possession=counts)

    def pmfs(self, games: Games, minute: int, points: Floats) -> tuple[NDArray[np.int64], Floats]:
        """The distributions of ``points``: first int[n] and pmf float64[n, 161], P(margin = first + i) = pmf[i]."""
        now = games.history.margins[:, minute].astype(np.int64)
        shapes = Batch(self.mixture, games, rated=True).shapes(minute, points - now)
        for rows, case in self.cases(games, minute):
            shapes[rows] = corrected(shapes[rows], self.calibration[case].correction)
        return now - LARGEST_CHANGE, shapes

    def cases(self, games: Games, minute: int) -> Iterator[tuple[NDArray[np.bool_], Case]]:
        """Which games are asked with which knowledge, rating known: (rows bool[n], case)."""
        ball = games.history.possession[:, minute] != 0
        for held in (False, True):
            if (ball == held).any():
                yield ball == held, self.case(minute, True, int(held))

    def case(self, minute: int, rated: bool, possession: int) -> Case:
        """The calibration set to answer with: that of requests that know as much. Raises UnsupportedMinute.

        Without a set for requests that know who has the ball, the one that does not know serves, and the ball does not
        count: that set's errors are of points without it. Before tip-off nobody has the ball, whatever is said.
        """
        case = Case(minute, rated, possession != 0 and minute > 0)
        if case in self.calibration:
            return case
        case = Case(minute, rated, False)
        if case not in self.calibration:
            known = ", ".join(str(known) for known in self.minutes)
            raise UnsupportedMinute(f"minute {minute}: this model answers at minute {known}")
        return case

    @cached_property
    def adaptive(self) -> Mapping[Case, Adaptive]:
        """What gives the intervals: each calibration set, corrected by its minute's ledger."""
        sets = self.calibration.items()
        return {case: Adaptive(games.errors, self.ledgers[case.minute]) for case, games in sets}

    @cached_property
    def _half_width(self) -> Callable[[Case, float], float]:
        # The same few levels are asked again and again.
        return lru_cache(maxsize=1024)(lambda case, alpha: self.adaptive[case].half_width(alpha))

    def warm(self) -> None:
        """Compute now what the first forecast would otherwise wait for."""
        self.mixture.dejavu.warm()
        self.mixture.lstm.warm()
        for case, games in self.calibration.items():
            _ = self.adaptive[case].corrected(0.5), games.errors.scores, games.errors.sd, games.correction


def _distribution(now: int, cumulative: Floats) -> MarginDistribution:
    """Margins from the cumulative probabilities of changes, without the tails in which less than 1e-6 lies."""
    first, last = cumulative.searchsorted(_TAILS).tolist()
    kept = cumulative[first : last + 1] - (cumulative[first - 1] if first else 0.0)
    return MarginDistribution.of_cumulative(now - LARGEST_CHANGE + first, kept)
