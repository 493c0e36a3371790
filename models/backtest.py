"""The walk-forward backtest: every season forecast with nothing later than each game's own date.

For a season, everything fitted is fitted on games before its first date, as training does it for the product. Then the
season is walked by league date: ratings know the earlier dates, calibration the errors of the earlier dates, and a
date's own games are scored before any of them is learned from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models import baselines
from models.adaptive import WINDOW
from models.backtest_ensemble import walk_ensemble
from models.backtest_scores import Scores, score, skills
from models.backtest_walk import Floats, Predictions, fixed, rolled
from models.baselines import Forecaster, MissingLibrary, halves, leads
from models.batch import Batch
from models.clock import HALFTIME_MINUTE
from models.conditional import Answered
from models.ensemble import Ensemble
from models.history import History
from models.mixture import Games
from models.ratings import rate_history
from models.training import TrainingSpec, split, train

PERSISTENCE, LINEAR, ENSEMBLE, SPLIT_CONFORMAL = "persistence", "linear", "ensemble", "split-conformal"
COMPONENTS = ("dejavu", "lstm")
# The share of the games left to fit that the weights may take, where there are fewer than training asks for.
VALIDATION_SHARE = 3

# The random state that training uses and the libraries' thread counts belong to the process: one season at a time.
_ALONE = threading.Lock()

Progress = Callable[[str, float], None]
"""Called with what is being done and the share 0..1 of the season that is done."""


class BacktestError(ValueError):
    """A backtest that cannot be run honestly."""


# A handful of league dates says nothing; from these on figures are given, with ranges from RANGE_DATES on.
LEAST_DATES = 10


@dataclass(frozen=True)
class BacktestSpec:
    """``minutes`` to forecast at; ``training`` as for the product, its ``as_of`` moved to each season's first date;
    ``window`` how many of the newest errors calibrate."""

    minutes: tuple[int, ...] = tuple(range(HALFTIME_MINUTE))
    training: TrainingSpec = field(default_factory=lambda: TrainingSpec(as_of=date.max))
    window: int = WINDOW

    def __post_init__(self) -> None:
        wrong = [minute for minute in self.minutes if not 0 <= minute < HALFTIME_MINUTE]
        if wrong or not self.minutes:
            raise BacktestError(f"minutes {list(self.minutes)}: name minutes 0..{HALFTIME_MINUTE - 1}, at least one")
        object.__setattr__(self, "minutes", tuple(sorted(set(self.minutes))))

    @property
    def games_needed(self) -> int:
        """The fewest earlier games a season can be forecast from."""
        return self.training.calibration_games + 2 * self.training.neighbours


@dataclass(frozen=True, eq=False)
class Fitted:
    """What is known before a season: the ensemble, the forecasters beside it and the games that calibrate them all."""

    ensemble: Ensemble
    forecasters: tuple[Forecaster, ...]
    calibration: Games
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SeasonResult:
    """One season's scores by (minute, forecaster), its games' league dates [n], the ensemble's 95% intervals minute by
    minute, and what the reader should know."""

    season: int
    dates: NDArray[np.datetime64]
    scores: Mapping[tuple[int, str], Scores]
    answered: tuple[Answered, ...]
    notes: tuple[str, ...]


def check_seasons(history: History, seasons: Sequence[int], spec: BacktestSpec) -> tuple[int, ...]:
    """The seasons asked for, each once, in order. Raises BacktestError when one cannot be forecast."""
    known = sorted(set(history.season.tolist()))
    earlier = {season: len(history.before(history.seasons(season).first_date)) for season in known}
    dates = {season: len(set(history.seasons(season).date.tolist())) for season in known}
    possible = [season for season in known if earlier[season] >= spec.games_needed and dates[season] >= LEAST_DATES]
    remedy = f"seasons that can be tested: {', '.join(map(str, possible)) or 'none; load more history'}"
    if not seasons:
        raise BacktestError(f"no season to test: name one; {remedy}")
    for season in seasons:
        if season not in earlier:
            raise BacktestError(f"season {season} has no game in this history; {remedy}")
        if dates[season] < LEAST_DATES:
            raise BacktestError(
                f"season {season} has games on {dates[season]} league dates: at least {LEAST_DATES} are needed to say"
                f" how good a forecaster is; {remedy}"
            )
        if season not in possible:
            raise BacktestError(
                f"season {season} has {earlier[season]} earlier games, {spec.games_needed} are needed"
                f" ({spec.training.calibration_games} to calibrate, the rest to fit); {remedy}"
            )
    return tuple(sorted(set(seasons)))


def run_season(history: History, season: int, spec: BacktestSpec, progress: Progress | None = None) -> SeasonResult:
    """Fit before ``season`` and walk it. Same history and spec, same bits, whatever runs beside it.

    Raises BacktestError, models.training.TrainingError.
    """
    tell = progress if progress is not None else _silent
    check_seasons(history, [season], spec)
    with _ALONE, threadpool_limits(1):
        fitted = fit_before(history, season, spec, lambda stage, done: tell(stage, 0.7 * done))
        return walk(history, season, fitted, spec, lambda stage, done: tell(stage, 0.7 + 0.3 * done))


def fit_before(history: History, season: int, spec: BacktestSpec, progress: Progress | None = None) -> Fitted:
    """Everything fitted on the games before the first date of ``season``."""
    tell = progress if progress is not None else _silent
    first = history.seasons(season).first_date
    past = history.before(first)
    rest = len(past) - spec.training.calibration_games
    # Weights and calibration of a model do not depend on the minutes somebody asks about here: all are trained.
    training = replace(
        spec.training, as_of=first, validation_games=min(spec.training.validation_games, rest // VALIDATION_SHARE)
    )
    ensemble = train(
        past, training, lambda stage, done: tell("baselines" if stage == "done" else stage, 0.8 * done)
    ).ensemble
    ratings, _ = rate_history(past, training.ratings)
    fit, calibration, _ = split(Games(past, ratings), training)
    made = [
        baselines.persistence(),
        baselines.linear(fit, spec.minutes),
        baselines.published_dejavu(fit),
    ]
    notes: tuple[str, ...] = ()
    try:
        made.append(baselines.gradient_boosting(fit, spec.minutes))
    except MissingLibrary as error:
        notes = (f"gradient-boosting is left out: {error}",)
    return Fitted(ensemble, tuple(made), calibration, notes)


def walk(
    history: History, season: int, fitted: Fitted, spec: BacktestSpec, progress: Progress | None = None
) -> SeasonResult:
    """Forecast ``season`` date by date and score it."""
    tell = progress if progress is not None else _silent
    games = rated_season(history, season, spec)
    actual = halves(games)
    scores: dict[tuple[int, str], Scores] = {}
    answered: list[Answered] = []
    for place, minute in enumerate(spec.minutes):
        tell(f"minute {minute}", place / len(spec.minutes))
        said = predictions(games, minute, fitted, spec)
        found = {name: score(name, minute, season, one, actual) for name, one in said.items()}
        beside = skills(list(found.values()), [found[PERSISTENCE]] * len(found), games.history.date)
        for (name, scored), row in zip(found.items(), beside, strict=True):
            scored.row.update(row)
            scores[minute, name] = scored
        answered.append(answered_by(games, minute, said[ENSEMBLE]))
    tell("done", 1.0)
    return SeasonResult(season, games.history.date, scores, tuple(answered), fitted.notes)


def rated_season(history: History, season: int, spec: BacktestSpec) -> Games:
    """The games of ``season`` with the ratings of their own dates."""
    last = history.seasons(season).last_date
    through = history.take(history.date <= np.datetime64(last, "D"))
    ratings, _ = rate_history(through, spec.training.ratings)
    return Games(through, ratings).take(through.season == season)


def predictions(games: Games, minute: int, fitted: Fitted, spec: BacktestSpec) -> dict[str, Predictions]:
    """What each forecaster says at ``minute`` of ``games``, by name: each with its own past errors."""
    seen, before = masked(games, minute), masked(fitted.calibration, minute)
    actual, happened = halves(games), halves(fitted.calibration)
    asked, asked_before = (Batch(fitted.ensemble.mixture, some, rated=True) for some in (seen, before))
    out: dict[str, Predictions] = {}

    def add(name: str, points: Floats, past: Floats) -> None:
        out[name] = rolled(happened - past, points, actual, games.history.date, spec.window)

    for forecaster in fitted.forecasters:
        add(forecaster.name, forecaster.points(seen, minute), forecaster.points(before, minute))
    now, then = leads(seen, minute), leads(before, minute)
    for name, changes, past in zip(COMPONENTS, asked.components(minute), asked_before.components(minute), strict=True):
        add(name, now + changes, then + past)
    out[ENSEMBLE] = walk_ensemble(fitted.ensemble, asked, seen, games.history.change(minute), minute, spec.window)
    errors = happened - then - asked_before.changes(minute, possession=True)
    out[SPLIT_CONFORMAL] = fixed(errors, out[ENSEMBLE].points, games.history.date)
    return out


def masked(games: Games, minute: int) -> Games:
    """The games as they look after ``minute``: every later margin is the one of ``minute``, the ball is loose, and
    nobody has won."""
    history = games.history
    margins, possession = history.margins.copy(), history.possession.copy()
    margins[:, minute + 1 :] = margins[:, minute, None]
    possession[:, minute + 1 :] = 0
    return replace(
        games,
        history=replace(
            history, margins=margins, possession=possession, final_margin=np.zeros_like(history.final_margin)
        ),
    )


def answered_by(games: Games, minute: int, said: Predictions) -> Answered:
    """The 95% intervals with what tells kinds of games apart."""
    history = games.history
    return Answered(
        game_id=history.game_id,
        season=history.season,
        season_type=history.season_type,
        date=history.date,
        minute=np.full(len(games), minute),
        lead=leads(games, minute),
        rating=games.ratings,
        lower=said.lower[:, -1],
        upper=said.upper[:, -1],
        actual=halves(games),
    )


def _silent(_stage: str, _done: float) -> None:
    """Nobody listens."""
