"""Calibration within the night: it moves with each settlement, to where the nightly recalibration ends, and is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from bentos.answering import ServedModel
from bentos.champion import Champion
from bentos.following import Follower
from flows import wiring
from flows.recalibrate import recalibrate
from flows.reproduce import reproduce_prediction
from services.settings import Settings
from services.store import DatabaseUnavailable, Store
from tests.support.lifecycle_world import begin, honest, lifecycle_settings, night_of, play, registered, served
from tests.support.running_forecaster import running_forecaster
from tests.support.servers import free_port, temporary_folder
from tests.support.waiting import until


@pytest.fixture
def settings(database_url: str, mlflow_url: str, tmp_path: Path) -> Settings:
    return lifecycle_settings(database_url, mlflow_url, tmp_path)


@pytest.fixture
def champion(settings: Settings, store: Store) -> Champion:
    begin(settings, store, honest())
    model = served(settings, store)
    champion = Champion(lambda current: current or model)
    champion.refresh()
    return champion


def follower(champion: Champion, store: Store, source: str = "simulated") -> Follower:
    return Follower(champion, lambda: store, source)


def test_each_settled_game_moves_the_calibration_to_where_the_night_ends(
    settings: Settings, store: Store, champion: Champion
) -> None:
    follows, start = follower(champion, store), champion.model
    assert not follows.follow(), "nothing is settled"
    ids = [start.ensemble.calibration_id]
    for games in (1, 2, 4):
        play(settings, store, champion.model, 0, games)
        assert follows.follow()
        assert not follows.follow(), "once"
        assert (champion.model.games_since, champion.model.version, champion.model.digest) == (
            games, start.version, start.digest,
        )  # fmt: skip
        ids.append(champion.model.ensemble.calibration_id)
    assert len(set(ids)) == 4
    nightly = recalibrate(settings, league_date=night_of(0))
    assert nightly.calibration_id == ids[-1]
    assert wiring.registry(settings).fetch("champion").ensemble.calibration_id == ids[-1]


def test_an_interval_made_within_the_night_can_be_computed_again(
    settings: Settings, store: Store, champion: Champion
) -> None:
    follows = follower(champion, store)
    for games in (1, 2, 3):
        play(settings, store, champion.model, 0, games)
        follows.follow()
    recalibrate(settings, league_date=night_of(0))
    with store.engine.begin() as connection:
        made = connection.execute(text("SELECT id, calibration_id FROM predictions")).all()
    assert len({row.calibration_id for row in made}) == 3
    assert all(reproduce_prediction(settings, str(row.id)).equal for row in made)


def test_a_corrected_outcome_corrects_the_calibration_and_the_first_one_stays_known(
    settings: Settings, store: Store, champion: Champion
) -> None:
    follows = follower(champion, store)
    game_id = play(settings, store, champion.model, 0, 1)[0]
    follows.follow()
    first, actual = champion.model.ensemble.calibration_id, store.latest_actual(game_id)
    assert actual is not None
    play(settings, store, champion.model, 1, 1)  # cites the first
    store.record_actual(game_id, actual.margin + 2, source="test")
    store.settle(game_id)
    assert follows.follow()
    assert champion.model.ensemble.calibration_id != first
    with store.engine.begin() as connection:
        made = connection.execute(
            text("SELECT id FROM predictions WHERE calibration_id = :id"), {"id": first}
        ).scalars().all()  # fmt: skip
    assert made
    assert all(reproduce_prediction(settings, str(one)).equal for one in made)


def test_a_provisional_outcome_moves_it_and_the_same_one_final_does_not(
    settings: Settings, store: Store, champion: Champion
) -> None:
    follows = follower(champion, store)
    store.upsert_schedule(game_id="0022100999", source="simulated", league_date=night_of(0), home="BOS", away="DEN")
    ids = play(settings, store, champion.model, 0, 1, state="provisional")
    assert follows.follow()
    moved = champion.model
    actual = store.latest_actual(ids[0])
    assert actual is not None
    assert actual.state == "provisional"
    store.record_actual(ids[0], actual.margin, state="final", source="test")
    store.settle(ids[0])
    assert not follows.follow()
    assert champion.model is moved


def test_every_worker_comes_to_the_same_state_whenever_it_looks(
    settings: Settings, store: Store, champion: Champion
) -> None:
    late = Champion(lambda current, model=champion.model: current or model)
    late.refresh()
    follows = follower(champion, store)
    for games in (1, 3):
        play(settings, store, champion.model, 0, games)
        follows.follow()
    assert follower(late, store).follow()
    assert late.model.ensemble.calibration_id == champion.model.ensemble.calibration_id


def test_a_new_champion_moves_from_its_own_calibration(settings: Settings, store: Store, champion: Champion) -> None:
    follows = follower(champion, store)
    play(settings, store, champion.model, 0, 2)
    follows.follow()
    version = registered(settings, store, honest(seed=3))
    new = ServedModel(version.version, version.digest, wiring.registry(settings).fetch(version.version).ensemble, "t")
    swapped = Champion(lambda current: new if current is not None else champion.model)
    swapped.refresh()
    follows = follower(swapped, store)
    follows.follow()
    swapped.refresh()
    assert swapped.model is new
    assert follows.follow()
    assert (swapped.model.version, swapped.model.games_since) == (new.version, 2)


def test_games_of_another_kind_do_not_move_it(settings: Settings, store: Store, champion: Champion) -> None:
    play(settings, store, champion.model, 0, 1)
    assert not follower(champion, store, "live").follow()


def test_while_the_database_is_away_the_calibration_stays_and_the_reason_is_logged_once(
    settings: Settings, store: Store, champion: Champion, caplog: pytest.LogCaptureFixture
) -> None:
    away = Store.open(f"postgresql+psycopg2://me:secret@127.0.0.1:{free_port()}/gone")
    stores = [away, away, store]
    follows = Follower(champion, lambda: stores.pop(0), "simulated")
    play(settings, store, champion.model, 0, 1)
    before = champion.model
    for _ in range(2):
        follows.look()
    assert champion.model is before
    assert [record.message.startswith("calibration stays") for record in caplog.records] == [True]
    assert "secret" not in caplog.text
    with pytest.raises(DatabaseUnavailable):
        Follower(champion, lambda: away, "simulated").follow()
    follows.look()
    assert champion.model.games_since == 1


def test_all_workers_of_a_running_forecaster_move_by_themselves_after_a_settlement(
    settings: Settings, store: Store, champion: Champion, database_url: str
) -> None:
    with temporary_folder("forecaster") as home:
        own = {
            "MLFLOW_TRACKING_URI": settings.resolved_mlflow_uri, "HALFTIME_SOURCE": "simulated",
            "HALFTIME_REGISTERED_MODEL": settings.model_name,
        }  # fmt: skip
        with running_forecaster(home, None, database_url=database_url, workers=2, **own) as running:

            def cited() -> set[str]:
                return {str(running.predict().json().get("calibration_id")) for _ in range(16)}

            until(lambda: cited() == {champion.model.ensemble.calibration_id}, 60)
            for games in (1, 2, 3):
                before = cited()
                play(settings, store, champion.model, 0, games)
                until(lambda before=before: len(cited()) == 1 and cited() != before, 20)
            assert follower(champion, store).follow()
            assert cited() == {champion.model.ensemble.calibration_id}
            facts = running.http.get("/model").json()
            assert (facts["games_since"], facts["version"]) == (3, champion.model.version)
            answer = running.predict(request_id="moved").json()
            until(lambda: store.prediction(answer["prediction_id"]) is not None, 30)
            assert reproduce_prediction(settings, answer["prediction_id"]).equal
