"""Recalibrate: roll the calibration set forward with newly settled games and bring the ratings up to date.

The components stay as they are; only how wide an interval must be, and what the ratings know, changes. Pure: gives a
new ensemble with a new calibration id. The same games handed over again are not counted again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import product

import numpy as np

from models.adaptive import WINDOW
from models.calibration import Case, Miss, after_date
from models.ensemble import Ensemble
from models.forecast import checked_pattern, persistence
from models.history import Result
from models.ratings import season_of
from models.settlement import SettledGame
from models.shape import pit_ends

MINIMUM_GAMES = 5
# A game may be settled for good days after it was played: postponed scoring, an outage, a correction by hand.
LATE_DAYS = 14


class RecalibrationError(ValueError):
    """A recalibration that would not be honest."""


class TooFewSettled(RecalibrationError):
    """Fewer new games than the minimum."""

    def __init__(self, found: int, minimum: int) -> None:
        self.found, self.minimum = found, minimum
        super().__init__(
            f"{found} newly settled games, at least {minimum} needed: keep the present calibration until "
            f"{minimum - found} more are settled"
        )


@dataclass(frozen=True)
class Recalibration:
    """``games_added`` to and ``games_dropped`` from the fullest calibration set, ``games_rated`` new to the ratings."""

    ensemble: Ensemble
    previous_calibration_id: str
    games_added: int
    games_dropped: int
    games_rated: int


def recalibrate(
    ensemble: Ensemble,
    settled: Sequence[SettledGame],
    results: Sequence[Result] = (),
    *,
    minimum: int = MINIMUM_GAMES,
    window: int = WINDOW,
) -> Recalibration:
    """``ensemble`` with the residuals of ``settled`` in its calibration sets and ``results`` in its ratings.

    Each set keeps its newest ``window`` games; its ledger of misses counts each league date as it would have been
    forecast the evening before. A game already in the set, and a result of a date the ratings already hold, is left
    out, so games may be handed over again. A game settled without a rating or possession goes to the sets without it
    only. Raises TooFewSettled when fewer than ``minimum`` games are new, RecalibrationError for a game that fitted the
    model, ForecastError for a pattern that is none.
    """
    if window < 1:
        raise RecalibrationError(f"window is {window}: a calibration set keeps at least 1 game")
    remembered = set(ensemble.mixture.dejavu.game_id.tolist())
    known = {case: set(games.errors.game_ids) for case, games in ensemble.calibration.items()}
    days: dict[date, dict[int, list[SettledGame]]] = defaultdict(lambda: defaultdict(list))
    for game in sorted(settled, key=lambda game: (game.date, game.game_id)):
        if game.game_id in remembered:
            raise RecalibrationError(f"game {game.game_id} fitted this model: it cannot calibrate it, leave it out")
        checked_pattern(game.pattern, game.minute)
        if game.game_id not in known[_asked(ensemble, game)]:
            days[game.date][game.minute].append(game)
    fresh = {game.game_id for minutes in days.values() for games in minutes.values() for game in games}
    if len(fresh) < minimum:
        raise TooFewSettled(len(fresh), minimum)
    calibration, ledgers = dict(ensemble.calibration), dict(ensemble.ledgers)
    added: Counter[Case] = Counter()
    for minutes in days.values():
        for minute, games in minutes.items():
            misses = _misses(ensemble, games)
            asked = {game.game_id: _asked(ensemble, game) for game in games}
            season = season_of(games[0].game_id)
            rolled, ledgers[minute] = after_date(calibration, ledgers[minute], season, asked, misses, window)
            calibration |= rolled
            added.update({case: len(day) for case, day in misses.items()})
    as_of = ensemble.ratings_as_of
    unseen = [result for result in results if as_of is None or result.date > as_of]
    newest = max((game.date for game in settled if game.game_id in fresh), default=ensemble.trained_through)
    changed = replace(
        ensemble,
        calibration=calibration,
        ledgers=ledgers,
        ratings=ensemble.ratings.update(*unseen),
        trained_through=max(ensemble.trained_through, newest),
    )
    dropped = (len(ensemble.calibration[case]) + new - len(calibration[case]) for case, new in added.items())
    most = max(added.values(), default=0)
    return Recalibration(changed, ensemble.calibration_id, most, max(dropped, default=0), len(unseen))


def known_games(ensemble: Ensemble) -> set[str]:
    """The games that the model remembers or is calibrated on: they teach it nothing more."""
    known = set(ensemble.mixture.dejavu.game_id.tolist())
    return known.union(*(games.errors.game_ids for games in ensemble.calibration.values()))


def _misses(ensemble: Ensemble, games: Sequence[SettledGame]) -> dict[Case, list[Miss]]:
    """The games' errors in every state of knowledge that is a part of what was known of them."""
    out: dict[Case, list[Miss]] = defaultdict(list)
    for game in games:
        for rating, possession in product({None, game.rating}, {0, game.possession}):
            case = Case(game.minute, rating is not None, possession != 0)
            if case in ensemble.calibration:
                out[case].append(_miss(ensemble, game, rating, possession))
    return out


def _asked(ensemble: Ensemble, game: SettledGame) -> Case:
    return ensemble.case(game.minute, game.rating is not None, game.possession)


def _miss(ensemble: Ensemble, game: SettledGame, rating: float | None, possession: int) -> Miss:
    """What the ensemble gets wrong about a game of which it is told this much."""
    change, shape = ensemble.before_calibration(game.pattern, game.minute, rating, possession)
    happened = game.actual - persistence(game.pattern)
    below, upto = pit_ends(shape[None, :], np.array([round(happened)]))
    return Miss(game.game_id, happened - change, float(below[0]), float(upto[0]))
