"""A season in minutes: the nightly steps of the platform on a virtual clock, on a real database and a real registry.

The simulated league plays, the champion forecasts each game and settles it, and every night recalibrates and judges as
on any other night: flows.recalibrate and flows.evaluate do not know that it is a rehearsal. Something may be planted: a
league that gets harder, a better challenger, a bad one. A frozen copy of the first champion answers beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pandas as pd

from bentos.answering import ServedModel, answer
from bentos.contracts import PredictRequest, identify, prediction_row
from flows import wiring
from flows.champion import CHALLENGER, crown, deciding, keep_version
from flows.evaluate import EvaluationResult, evaluate
from flows.promote import promote
from flows.recalibrate import recalibrate
from flows.rehearsal_result import Plant, Rehearsal
from flows.shadow import SHADOW_MINUTES, Models
from flows.train import register
from models.clock import HALFTIME_MINUTE, OFFICIAL_MINUTE
from models.history import MARGIN_COLUMNS, POSSESSION_COLUMNS, History
from models.mixture import Games
from models.planting import harder, leaning
from models.ratings import rate_history
from models.training import TrainingResult, TrainingSpec, train
from services.history import simulated_games
from services.settings import Settings
from services.store import ForecastRow, PredictionRow, Store, game_rows

Progress = Callable[[str, float], None]

SEASONS = (2018, 2019, 2020, 2021, 2022)
SEASONS_BEFORE = 4
DRIFT_FACTOR, DRIFT_AFTER = 1.3, 0.25
LEAN_POINTS = 2.0
# The bad challenger is forced in once the trial has rejected it, at the latest after this share of the season.
FORCED_AFTER = 0.4
NIGHTLY_UTC = time(9, 30)


class RehearsalError(ValueError):
    """A rehearsal that cannot be played; the message says what to ask for."""


def rehearse(
    settings: Settings,
    *,
    seasons: int = 1,
    plant: Plant = "none",
    seed: int = 1,
    nights: int | None = None,
    progress: Progress | None = None,
) -> Rehearsal:
    """Plays the last ``seasons`` simulated seasons (at most ``nights`` league dates of them) through the nightly steps.

    ``settings`` names an empty, migrated database and a registered model of its own. Raises RehearsalError, StoreError,
    RegistryError.
    """
    if not 1 <= seasons <= len(SEASONS):
        raise RehearsalError(f"{seasons} seasons: the rehearsal can play 1 to {len(SEASONS)}")
    tell = progress or (lambda _stage, _share: None)
    played = SEASONS[-seasons:]
    tell("the league", 0.0)
    league = simulated_games(seed, range(played[0] - SEASONS_BEFORE, played[-1] + 1))
    past, coming = league[league["season"] < played[0]], league[league["season"] >= played[0]]
    days = sorted(set(coming["date"]))[:nights]
    if plant == "drift":
        coming = harder(coming, days[int(DRIFT_AFTER * len(days))], DRIFT_FACTOR)
    run = Rehearsal(plant, seed, played)
    with wiring.store(settings) as store:
        _load(store, past)
        trained = train(
            History.from_frame(past, "simulated"), TrainingSpec(as_of=days[0], minutes=SHADOW_MINUTES), tell
        )
        frozen = _begin(store, settings, run, trained, past, days[0])
        for place, day in enumerate(days):
            tell(f"{day}", place / len(days))
            games = coming[coming["date"] == day]
            _play(store, settings, run, games, frozen)
            _load(store, games)
            _night(settings, run, day)
            if plant == "bad":
                _force(settings, store, run, day, late=place >= FORCED_AFTER * len(days))
        run.versions = len(store.model_history(settings.model_name))
    return run


def _load(store: Store, games: pd.DataFrame) -> None:
    rows = list(game_rows(games, "simulated"))
    for start in range(0, len(rows), 500):
        store.upsert_games(rows[start : start + 500])


def _begin(
    store: Store, settings: Settings, run: Rehearsal, trained: TrainingResult, past: pd.DataFrame, first: date
) -> ServedModel:
    """Registers the first champion and what is planted beside it; the frozen copy of the champion."""
    registry = wiring.registry(settings)
    honest = register(registry, trained, settings)
    keep_version(store, honest, trained.ensemble, "trained", None)
    champion, ensemble = honest, trained.ensemble
    if run.plant in ("better", "bad"):
        leant = leaning(trained.ensemble, LEAN_POINTS, _calibration_games(trained, past), SHADOW_MINUTES)
        other = register(registry, TrainingResult(leant, trained.spec, trained.figures, {}), settings)
        keep_version(store, other, leant, "trained", None)
        if run.plant == "better":
            champion, ensemble = other, leant
        registry.set_alias(CHALLENGER, honest.version if run.plant == "better" else other.version)
    with deciding(store):
        start = datetime.combine(first, time(12), UTC) - timedelta(days=1)
        crown(store, registry, champion, reason="the rehearsal's first champion", by="rule: rehearsal", at=start)
    return ServedModel(champion.version, champion.digest, ensemble, "the rehearsal")


def _calibration_games(trained: TrainingResult, past: pd.DataFrame) -> Games:
    ids = {game for games in trained.ensemble.calibration.values() for game in games.errors.game_ids}
    whole = History.from_frame(past, "simulated")
    rows = [game_id in ids for game_id in whole.game_id.tolist()]
    return Games(whole, rate_history(whole)[0]).take(pd.Series(rows).to_numpy())


def _play(store: Store, settings: Settings, run: Rehearsal, games: pd.DataFrame, frozen: ServedModel) -> None:
    """Forecasts and settles the games of one league date."""
    registry = wiring.registry(settings)
    live = store.promotion_at(settings.model_name)
    assert live is not None
    version = store.model_version(settings.model_name, live.model_version)
    assert version is not None
    model = Models(registry).served(version)
    for row_of in games.to_dict("records"):
        game = {str(name): value for name, value in row_of.items()}
        game_id, day = str(game["game_id"]), game["date"]
        store.upsert_schedule(
            game_id=game_id, source="simulated", league_date=day, home=game["home"], away=game["away"]
        )
        actual = int(game[MARGIN_COLUMNS[HALFTIME_MINUTE]])
        for minute in SHADOW_MINUTES:
            request = _request(settings, game, minute)
            row = _asked(model, request)
            store.record_forecast(row, _forecast(row, game))
            if minute == OFFICIAL_MINUTE:
                still = _asked(frozen, request)
                run.score(day, row, still, actual)
        store.record_actual(game_id, actual, state="final", source="rehearsal")
        store.settle(game_id)


def _request(settings: Settings, game: dict[str, Any], minute: int) -> PredictRequest:
    ball = int(game[POSSESSION_COLUMNS[minute]])
    return PredictRequest(
        pattern=[float(game[MARGIN_COLUMNS[each]]) for each in range(1, minute + 1)],
        alpha=settings.alpha,
        game_id=str(game["game_id"]),
        home=game["home"],
        away=game["away"],
        minute=minute,
        date=game["date"],
        possession={1: "home", -1: "away"}.get(ball),  # type: ignore[arg-type]
        request_id=f"rehearsal:{game['game_id']}:{minute}",
    )


def _asked(model: ServedModel, request: PredictRequest) -> PredictionRow:
    request_id, prediction_id = identify(request, None)
    given = answer(model, request, request_id=request_id, prediction_id=prediction_id, now=datetime.now(UTC))
    return PredictionRow.from_json(prediction_row(request, given))


def _forecast(row: PredictionRow, game: dict[str, Any]) -> ForecastRow:
    digest = hashlib.sha256(f"{row.game_id}:{row.minute}".encode()).hexdigest()
    return ForecastRow(
        game_id=str(row.game_id),
        minute=row.minute,
        revision=0,
        tick_digest=digest[:32],
        persistence=int(game[MARGIN_COLUMNS[row.minute]]),
        forecast_at=row.created_at,
    )


def _night(settings: Settings, run: Rehearsal, day: date) -> None:
    at = datetime.combine(day + timedelta(days=1), NIGHTLY_UTC, UTC)
    made = recalibrate(settings, league_date=day, at=at)
    if made.version is not None:
        run.note(day, "recalibrated", version=made.version, games=made.settled)
    judged = evaluate(settings, league_date=day, at=at)
    for what, figures in _decided(judged):
        run.note(day, what, champion=judged.champion, **figures)


def _decided(judged: EvaluationResult) -> Iterator[tuple[str, dict[str, Any]]]:
    if judged.probation is not None and judged.probation.alarm is not None:
        yield "roll-back", {"why": judged.probation.sentence, "games": judged.probation.games}
    if judged.decision is not None and judged.decision.action != "keep":
        figures = judged.decision.evidence["over_champion"]
        yield judged.decision.action, {"why": "; ".join(judged.decision.reasons), "games": figures["n"]}


def _force(settings: Settings, store: Store, run: Rehearsal, day: date, *, late: bool) -> None:
    """The bad challenger is made champion by hand, once, after its trial has ended or when it is late."""
    kinds = [one["what"] for one in run.decisions]
    if "forced" in kinds or not ("reject" in kinds or late):
        return
    rejected = [one for one in store.model_history(settings.model_name) if one.kind == "trained"]
    lineage = max(rejected, key=lambda one: int(one.version)).lineage
    newest = store.model_history(settings.model_name, lineage)[0]
    at = datetime.combine(day + timedelta(days=1), NIGHTLY_UTC, UTC)
    promote(settings, newest.version, reason="forced in by hand: the rehearsal's bad model", force=True, at=at)
    run.note(day, "forced", version=newest.version)
