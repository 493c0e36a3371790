"""New games enter Dejavu's memory: a refresh between two trainings.

Network and weights stay. Games that calibrate may not be remembered, so memory grows by the games that the newest
``window`` of them have pushed out, and the errors of these are found anew with the larger memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from models.adaptive import WINDOW
from models.dejavu import Dejavu
from models.ensemble import Ensemble
from models.history import History
from models.mixture import Games
from models.ratings import rate_history
from models.training import calibrate, cut_newest


class NothingNew(ValueError):
    """The memory would not grow."""


@dataclass(frozen=True)
class Refreshed:
    """``games_added`` to the memory."""

    ensemble: Ensemble
    games_added: int


def refresh(ensemble: Ensemble, history: History, as_of: date, *, window: int = WINDOW) -> Refreshed:
    """``ensemble`` with the games of ``history`` before ``as_of`` in its memory but the newest ``window``, which
    calibrate it; its ledgers of the season's misses go on.

    Raises NothingNew, models.training.TrainingError when there are too few games, ValueError for another league's.
    """
    if history.source != ensemble.source:
        raise ValueError(f"a model of {ensemble.source} games cannot remember {history.source} games")
    past = history.before(as_of)
    before, ratings = rate_history(past, ensemble.ratings.params)
    older, newest = cut_newest(Games(past, before), window, "calibration")
    added = len(older) - len(ensemble.mixture.dejavu.game_id)
    if added <= 0:
        raise NothingNew(f"{len(older)} games are older than the newest {window}, as many as are remembered or fewer")
    memory = Dejavu.from_history(older.history, older.ratings, ensemble.mixture.dejavu.neighbours)
    mixture = replace(ensemble.mixture, dejavu=memory)
    calibration = calibrate(mixture, newest, ensemble.minutes)
    made = replace(
        ensemble,
        mixture=mixture,
        ratings=ratings.on(as_of),
        calibration={case: games for case, games in calibration.items() if case in ensemble.calibration},
        trained_through=newest.history.last_date,
    )
    return Refreshed(made, added)
