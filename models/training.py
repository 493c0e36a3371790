"""History -> ensemble and its figures.

Time runs one way: components are fitted on the oldest games, calibrated on later ones, tested on the latest. No game
serves two purposes, and nothing on or after ``as_of`` is read.

    fit                                   calibration        test (only when asked for)
    |-------------------|--validation--|  |--------------|   |--------------|   as_of

The weights come from a first pass: components fitted on ``fit`` less its newest games, weighed on those. Then the
components are fitted again on all of ``fit``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.clock import HALFTIME_MINUTE, OFFICIAL_MINUTE
from models.conformal import CalibrationSet
from models.dejavu import Dejavu
from models.ensemble import Case, Ensemble, Floats, fit_weights, mix
from models.forecast import Weights
from models.history import History
from models.lstm import Lstm
from models.lstm_training import LstmSpec, train_lstm
from models.ratings import RatingParams, rate_history
from models.training_figures import Figures, Outcomes, Plots, figures_of, plots_of

Progress = Callable[[str, float], None]
"""Called with a short stage name and the share of the whole work that is done, 0..1."""

_RATED = (True, False)


class TrainingError(ValueError):
    """A history and a spec that cannot give an honest model."""


@dataclass(frozen=True)
class TrainingSpec:
    """What to train on. Games on or after ``as_of`` are never read.

    ``calibration_seasons`` None takes the newest ``calibration_games`` (whole dates); ``fit_seasons`` None takes all
    games before them; ``test_seasons`` None takes none, and the figures then come from the newer half of the
    calibration games, calibrated on the older half. ``validation_games`` is how many of the newest fit games the
    weights are fitted on (two seasons: one odd season alone misleads), ``neighbours`` Dejavu's k, ``minutes`` what a
    forecast can be asked for, ``alpha`` the one the figures are for.
    """

    as_of: date
    fit_seasons: tuple[int, ...] | None = None
    calibration_seasons: tuple[int, ...] | None = None
    test_seasons: tuple[int, ...] | None = None
    calibration_games: int = 1300
    validation_games: int = 2400
    neighbours: int = 500
    minutes: tuple[int, ...] = tuple(range(HALFTIME_MINUTE))
    alpha: float = 0.05
    lstm: LstmSpec = field(default_factory=LstmSpec)
    ratings: RatingParams = field(default_factory=RatingParams)

    def as_dict(self) -> dict[str, Any]:
        """Plain values fit for JSON."""
        body = asdict(self)
        body["as_of"] = self.as_of.isoformat()
        return {name: list(value) if isinstance(value, tuple) else value for name, value in body.items()}


@dataclass(frozen=True)
class TrainingResult:
    """``figures`` are plain floats by name, ``plots`` columns of numbers by plot."""

    ensemble: Ensemble
    spec: TrainingSpec
    figures: Figures
    plots: Plots


@dataclass(frozen=True, eq=False)
class Games:
    """A history with the rating each game had before tip-off, float64[n] in points."""

    history: History
    ratings: Floats

    def __len__(self) -> int:
        return len(self.history)

    def take(self, rows: NDArray[Any] | slice) -> Games:
        return Games(self.history.take(rows), self.ratings[rows])


def train(history: History, spec: TrainingSpec, progress: Progress | None = None) -> TrainingResult:
    """Fit, weigh, calibrate and score. Same history and spec, same bits on one machine. Raises TrainingError."""
    tell = progress if progress is not None else _silent
    tell("ratings", 0.0)
    past = history.before(spec.as_of)
    before, ratings = rate_history(past, spec.ratings)
    fit, calibration, test = split(Games(past, before), spec)
    older, validation = _cut_newest(fit, spec.validation_games, "validation")
    epochs = 2.0 * spec.lstm.epochs

    first = _fit(older, spec, lambda epoch, _: tell("weights", 0.05 + 0.7 * epoch / epochs))
    weights = _weigh(_changes(first, validation, spec), validation, spec)
    losses: list[float] = []

    def on_epoch(epoch: int, loss: float) -> None:
        losses.append(loss)
        tell("network", 0.05 + 0.7 * (spec.lstm.epochs + epoch) / epochs)

    dejavu, lstm = _fit(fit, spec, on_epoch)
    tell("calibration", 0.8)
    calibrated = _outcomes((dejavu, lstm), weights, calibration, spec)
    ids = tuple(calibration.history.game_id.tolist())
    ensemble = Ensemble(
        dejavu=dejavu,
        lstm=lstm,
        ratings=ratings.on(spec.as_of),
        weights=weights,
        calibration={case: CalibrationSet(ids, seen.residuals) for case, seen in calibrated.items()},
        source=past.source,
        trained_through=calibration.history.last_date,
    )
    tell("figures", 0.9)
    if test is None:
        half = len(calibration) // 2
        pool = {case: seen.take(slice(0, half)) for case, seen in calibrated.items()}
        scored = {case: seen.take(slice(half, None)) for case, seen in calibrated.items()}
    else:
        pool, scored = calibrated, _outcomes((dejavu, lstm), weights, test, spec)
    figures = figures_of(pool, scored, spec.alpha, OFFICIAL_MINUTE)
    figures |= {"games_fit": float(len(fit)), "games_validation": float(len(validation))}
    figures |= {"games_calibration": float(len(calibration)), "loss_last_epoch": losses[-1]}
    for rated, suffix in ((True, ""), (False, "_unrated")):
        figures[f"weight_dejavu{suffix}"] = weights[rated].dejavu
        figures[f"weight_lstm{suffix}"] = weights[rated].lstm
    plots = plots_of(pool, scored, OFFICIAL_MINUTE)
    plots["training_loss"] = {"epoch": [float(epoch) for epoch in range(1, len(losses) + 1)], "loss": losses}
    tell("done", 1.0)
    return TrainingResult(ensemble, spec, figures, plots)


def split(games: Games, spec: TrainingSpec) -> tuple[Games, Games, Games | None]:
    """(fit, calibration, test or None), each after the one before. Raises TrainingError."""
    rest, test = games, None
    if spec.test_seasons is not None:
        test = _seasons(games, spec.test_seasons, "test")
        rest = games.take(games.history.date < np.datetime64(test.history.first_date, "D"))
    if spec.calibration_seasons is not None:
        calibration = _seasons(rest, spec.calibration_seasons, "calibration")
        rest = rest.take(rest.history.date < np.datetime64(calibration.history.first_date, "D"))
    else:
        rest, calibration = _cut_newest(rest, spec.calibration_games, "calibration")
    fit = rest if spec.fit_seasons is None else _seasons(rest, spec.fit_seasons, "fit")
    return fit, calibration, test


def _seasons(games: Games, years: tuple[int, ...], purpose: str) -> Games:
    found = games.take(np.isin(games.history.season, years))
    missing = sorted(set(years) - set(found.history.season.tolist()))
    if missing:
        raise TrainingError(
            f"no game for {purpose} in season {missing[0]}: load it, or check as_of and the other seasons"
        )
    return found


def _cut_newest(games: Games, count: int, purpose: str) -> tuple[Games, Games]:
    """(the older games, at least ``count`` of the newest in whole league dates)."""
    if not 0 < count < len(games):
        raise TrainingError(
            f"{purpose} needs {count} games and some older ones, there are {len(games)}: load more history"
        )
    dates = games.history.date
    newest = dates >= dates[len(games) - count]
    if newest.all():
        raise TrainingError(f"the {count} newest games for {purpose} leave no older date: load more history")
    return games.take(~newest), games.take(newest)


def _fit(games: Games, spec: TrainingSpec, on_epoch: Callable[[int, float], None]) -> tuple[Dejavu, Lstm]:
    if len(games) < spec.neighbours:
        raise TrainingError(
            f"{len(games)} games to fit, {spec.neighbours} neighbours asked: load more history or set fewer neighbours"
        )
    trained = train_lstm(games.history.margins, games.ratings, spec.lstm, on_epoch)
    return Dejavu.from_history(games.history, games.ratings, spec.neighbours), trained.lstm


def _changes(fitted: tuple[Dejavu, Lstm], games: Games, spec: TrainingSpec) -> dict[Case, tuple[Floats, Floats]]:
    """What each component says, by case: (dejavu float64[n], lstm float64[n])."""
    dejavu, lstm = fitted
    margins = games.history.margins.astype(np.float64)
    by_rated = {rated: lstm.changes(margins[:, :HALFTIME_MINUTE], games.ratings if rated else None) for rated in _RATED}
    out: dict[Case, tuple[Floats, Floats]] = {}
    for minute in spec.minutes:
        for rated in _RATED:
            nearest = dejavu.changes(margins[:, 1 : minute + 1], games.ratings if rated else None)
            out[minute, rated] = nearest, by_rated[rated][:, minute]
    return out


def _weigh(said: dict[Case, tuple[Floats, Floats]], games: Games, spec: TrainingSpec) -> dict[bool, Weights]:
    """Weights over all minutes together, each minute's changes in units of their spread so that none dominates."""
    actual = {minute: games.history.change(minute).astype(np.float64) for minute in spec.minutes}
    spread = {minute: float(np.sqrt(np.mean(changes**2))) for minute, changes in actual.items()}
    weights: dict[bool, Weights] = {}
    for rated in _RATED:
        nearest = np.concatenate([said[minute, rated][0] / spread[minute] for minute in spec.minutes])
        learned = np.concatenate([said[minute, rated][1] / spread[minute] for minute in spec.minutes])
        happened = np.concatenate([actual[minute] / spread[minute] for minute in spec.minutes])
        weights[rated] = fit_weights(nearest, learned, happened)
    return weights


def _outcomes(
    fitted: tuple[Dejavu, Lstm], weights: dict[bool, Weights], games: Games, spec: TrainingSpec
) -> dict[Case, Outcomes]:
    halves = games.history.margins[:, HALFTIME_MINUTE].astype(np.float64)
    out: dict[Case, Outcomes] = {}
    for case, (nearest, learned) in _changes(fitted, games, spec).items():
        now = games.history.margins[:, case[0]].astype(np.float64)
        out[case] = Outcomes(now + mix(weights[case[1]], nearest, learned), now, halves, games.history.date)
    return out


def _silent(_stage: str, _done: float) -> None:
    """Nobody listens."""
