"""New challengers from new games, on the real PostgreSQL and MLflow."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from flows import wiring
from flows.champion import CHALLENGER, CHAMPION, pointed
from flows.drift import drift_of
from flows.recalibrate import recalibrate
from flows.renew import refresh_dejavu, retrain
from services.history import simulated_games
from services.store import Store, game_rows
from tests.support.lifecycle_world import begin, honest, lifecycle_settings, night_of, play, served

AS_OF = date(2023, 2, 3)


@pytest.fixture(scope="module")
def league() -> pd.DataFrame:
    """Five seasons of the simulated league, the last one to its end."""
    return simulated_games(7, range(2018, 2023))


def load(store: Store, games: pd.DataFrame) -> None:
    rows = list(game_rows(games, "simulated"))
    for start in range(0, len(rows), 1000):
        store.upsert_games(rows[start : start + 1000])


def test_the_weeks_games_enter_the_memory_of_a_challenger_and_one_is_on_trial_at_a_time(
    store: Store, database_url: str, mlflow_url: str, tmp_path: Path, league: pd.DataFrame
) -> None:
    settings = lifecycle_settings(database_url, mlflow_url, tmp_path, retrain_min_games=300)
    begin(settings, store, honest())
    load(store, league)
    made = refresh_dejavu(settings, as_of=AS_OF)
    registry = wiring.registry(settings)
    challenger, champion = registry.fetch(CHALLENGER), registry.fetch(CHAMPION)
    assert made.version == challenger.version.version == "2"
    before = (league["date"] < AS_OF).sum()
    assert len(challenger.ensemble.mixture.dejavu.game_id) == pytest.approx(before - 1300, abs=20)
    assert challenger.ensemble.trained_through < AS_OF
    row = store.model_version(settings.model_name, "2")
    assert row is not None
    assert (row.kind, row.parent_version) == ("refreshed", champion.version.version)
    assert champion.version.version == "1", "nobody is promoted without a trial"
    for busy in (refresh_dejavu(settings, as_of=AS_OF), retrain(settings, as_of=AS_OF)):
        assert (busy.version, busy.why) == (None, "challenger 2 is on trial: one at a time")


def test_everything_is_trained_anew_only_when_enough_games_are_new(
    store: Store, database_url: str, mlflow_url: str, tmp_path: Path, league: pd.DataFrame
) -> None:
    settings = lifecycle_settings(database_url, mlflow_url, tmp_path, retrain_min_games=100_000)
    begin(settings, store, honest())
    load(store, league)
    few = retrain(settings, as_of=AS_OF)
    assert few.version is None
    assert "100000 needed to train again" in few.why
    made = retrain(settings.model_copy(update={"retrain_min_games": 300}), as_of=AS_OF)
    registry = wiring.registry(settings)
    challenger = pointed(registry, CHALLENGER)
    assert challenger is not None
    assert made.version == challenger.version
    assert len(challenger.tags["data_digest"]) == 16
    assert registry.get(CHAMPION).version == "1"


def test_drift_asks_for_a_training_and_only_while_enough_games_are_new(
    store: Store, database_url: str, mlflow_url: str, tmp_path: Path, league: pd.DataFrame
) -> None:
    settings = lifecycle_settings(database_url, mlflow_url, tmp_path, retrain_min_games=300)
    begin(settings, store, honest())
    load(store, league)
    model = served(settings, store)
    for number in range(4):
        play(settings, store, model, number)
    calm = retrain(settings, as_of=AS_OF, on_drift=True)
    assert calm.version is None
    assert calm.why.startswith("no drift in 24 games (most evidence: ")
    for number in range(4, 12):
        play(settings, store, model, number, shift=9)
    few = retrain(settings.model_copy(update={"retrain_min_games": 100_000}), as_of=AS_OF, on_drift=True)
    assert few.version is None
    assert few.why.startswith("drift: high errors of 72 games (evidence ")
    assert few.why.endswith("100000 needed to train again")
    made = retrain(settings, as_of=AS_OF, on_drift=True)
    challenger = pointed(wiring.registry(settings), CHALLENGER)
    assert challenger is not None
    assert made.version == challenger.version
    assert challenger.tags["asked_by"].startswith("drift: high errors of 72 games")
    wiring.registry(settings).delete_alias(CHALLENGER)
    again = retrain(settings, as_of=AS_OF, on_drift=True)
    assert (again.version, again.games) == (None, 0), "the same drift does not train again"


def test_drift_is_looked_for_in_the_whole_line_against_its_first_version(
    store: Store, database_url: str, mlflow_url: str, tmp_path: Path
) -> None:
    settings = lifecycle_settings(database_url, mlflow_url, tmp_path)
    begin(settings, store, honest())
    for number in range(10):
        play(settings, store, served(settings, store), number, shift=12)
        recalibrate(settings, league_date=night_of(number))
    registry = wiring.registry(settings)
    champion = store.model_version(settings.model_name, registry.get(CHAMPION).version)
    assert champion is not None
    assert champion.version == "11"
    found = drift_of(store, settings, champion)
    assert (found.games, "high" in found.alarms) == (60, True), "recalibrated away for intervals, not for points"
