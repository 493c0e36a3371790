"""History -> ensemble and its figures.

Time runs one way: components are fitted on the oldest games, calibrated on later ones, tested on the latest. No game
serves two purposes, and nothing on or after ``as_of`` is read.

    fit                                   calibration        test (only when asked for)
    |-------------------|--validation--|  |--------------|   |--------------|   as_of

The weights and what possession is worth come from a first pass: components fitted on ``fit`` less its newest games,
weighed on those. Then the components are fitted again on all of ``fit``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np

from models.batch import Batch
from models.calibration import Calibration, Case
from models.clock import HALFTIME_MINUTE, OFFICIAL_MINUTE
from models.conformal import CalibrationSet
from models.dejavu import Dejavu
from models.ensemble import Ensemble
from models.forecast import Weights
from models.history import History
from models.lstm import Lstm
from models.lstm_training import LstmSpec, train_lstm
from models.mixture import Games, Mixture, fit_possession, fit_weights, mix
from models.ratings import RatingParams, rate_history
from models.shape import pit_ends
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
    forecast can be asked for, ``alpha`` the one the figures are for. Who has the ball counts only when it is known of
    ``possession_games`` of the validation and of the calibration games.
    """

    as_of: date
    fit_seasons: tuple[int, ...] | None = None
    calibration_seasons: tuple[int, ...] | None = None
    test_seasons: tuple[int, ...] | None = None
    calibration_games: int = 1300
    validation_games: int = 2400
    neighbours: int = 500
    possession_games: int = 500
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


def train(history: History, spec: TrainingSpec, progress: Progress | None = None) -> TrainingResult:
    """Fit, weigh, calibrate and score. Same history and spec, same bits on one machine. Raises TrainingError."""
    tell = progress if progress is not None else _silent
    tell("ratings", 0.0)
    past = history.before(spec.as_of)
    before, ratings = rate_history(past, spec.ratings)
    fit, calibration, test = split(Games(past, before), spec)
    older, validation = cut_newest(fit, spec.validation_games, "validation")
    epochs = 2.0 * spec.lstm.epochs

    dejavu, lstm = _fit(older, spec, lambda epoch, _: tell("weights", 0.05 + 0.7 * epoch / epochs))
    weights, possession_value = _weigh(dejavu, lstm, validation, spec)
    if _holders_known(calibration) < spec.possession_games:
        possession_value = 0.0
    losses: list[float] = []

    def on_epoch(epoch: int, loss: float) -> None:
        losses.append(loss)
        tell("network", 0.05 + 0.7 * (spec.lstm.epochs + epoch) / epochs)

    mixture = Mixture(*_fit(fit, spec, on_epoch), weights, possession_value)
    tell("calibration", 0.8)
    ensemble = Ensemble(
        mixture=mixture,
        ratings=ratings.on(spec.as_of),
        calibration=calibrate(mixture, calibration, spec.minutes),
        source=past.source,
        trained_through=calibration.history.last_date,
    )
    tell("figures", 0.9)
    pool = _outcomes(mixture, calibration, spec.minutes)
    if test is None:
        half = len(calibration) // 2
        scored = {case: seen.take(slice(half, None)) for case, seen in pool.items()}
        pool = {case: seen.take(slice(0, half)) for case, seen in pool.items()}
    else:
        scored = _outcomes(mixture, test, spec.minutes)
    figures = figures_of(pool, scored, spec.alpha, OFFICIAL_MINUTE)
    figures |= {"games_fit": float(len(fit)), "games_validation": float(len(validation))}
    figures |= {"games_calibration": float(len(calibration)), "loss_last_epoch": losses[-1]}
    figures["possession_value"] = possession_value
    for rated, suffix in ((True, ""), (False, "_unrated")):
        figures[f"weight_dejavu{suffix}"] = weights[rated].dejavu
        figures[f"weight_lstm{suffix}"] = weights[rated].lstm
    plots = plots_of(pool, scored, OFFICIAL_MINUTE)
    plots["training_loss"] = {"epoch": [float(epoch) for epoch in range(1, len(losses) + 1)], "loss": losses}
    tell("done", 1.0)
    return TrainingResult(ensemble, spec, figures, plots)


def calibrate(mixture: Mixture, games: Games, minutes: Sequence[int]) -> dict[Case, Calibration]:
    """The mixture's errors and PITs on ``games``, which fitted nothing, for every kind of request it can answer."""
    out: dict[Case, Calibration] = {}
    ids = games.history.game_id
    for rated in _RATED:
        batch = Batch(mixture, games, rated=rated)
        for minute in minutes:
            actual, held = games.history.change(minute), games.history.possession[:, minute] != 0
            for possession in (False, True):
                rows = held if possession else np.ones_like(held)
                if possession and (mixture.possession_value == 0.0 or not rows.any()):
                    continue
                means = batch.changes(minute, possession=possession)
                below, upto = pit_ends(batch.shapes(minute, means), actual)
                errors = CalibrationSet(tuple(ids[rows].tolist()), (actual - means)[rows])
                out[Case(minute, rated, possession)] = Calibration(errors, below[rows], upto[rows])
    return out


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
        rest, calibration = cut_newest(rest, spec.calibration_games, "calibration")
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


def cut_newest(games: Games, count: int, purpose: str) -> tuple[Games, Games]:
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


def _weigh(dejavu: Dejavu, lstm: Lstm, games: Games, spec: TrainingSpec) -> tuple[dict[bool, Weights], float]:
    """Weights, and what the ball is worth, over all minutes together; each minute's changes in units of their spread so
    that none dominates."""
    unweighed = Mixture(dejavu, lstm, dict.fromkeys(_RATED, Weights(0.5, 0.5)), 0.0)
    actual = np.stack([games.history.change(minute) for minute in spec.minutes], axis=1).astype(np.float64)
    spreads = np.sqrt((actual**2).mean(axis=0))
    weights: dict[bool, Weights] = {}
    for rated in _RATED:
        batch = Batch(unweighed, games, rated=rated)
        said = [batch.components(minute) for minute in spec.minutes]
        nearest, learned = (np.stack(component, axis=1) for component in zip(*said, strict=True))
        parts = ((changes / spreads).ravel() for changes in (nearest, learned, actual))
        weights[rated] = fit_weights(*parts)
        if rated:
            residuals = actual - mix(weights[rated], nearest, learned)
    if _holders_known(games) < spec.possession_games:
        return weights, 0.0
    held = games.history.possession[:, list(spec.minutes)]
    return weights, fit_possession(residuals, held, spreads)


def _holders_known(games: Games) -> int:
    """Of how many games it is known who had the ball."""
    return int((games.history.possession != 0).any(axis=1).sum())


def _outcomes(mixture: Mixture, games: Games, minutes: Sequence[int]) -> dict[tuple[int, bool], Outcomes]:
    """Forecasts with all that is known beside the rating, as a client that sends it would get them."""
    margins, dates = games.history.margins.astype(np.float64), games.history.date
    out: dict[tuple[int, bool], Outcomes] = {}
    for rated in _RATED:
        batch = Batch(mixture, games, rated=rated)
        for minute in minutes:
            now, changes = margins[:, minute], batch.changes(minute, possession=True)
            shapes = batch.shapes(minute, changes) if minute == OFFICIAL_MINUTE else None
            out[minute, rated] = Outcomes(now + changes, now, margins[:, HALFTIME_MINUTE], dates, shapes)
    return out


def _silent(_stage: str, _done: float) -> None:
    """Nobody listens."""
