"""`./halftime trace` over what the live path left in PostgreSQL and in its logs, and the report's slowest forecast."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog
from sqlalchemy import text

from flows.report import build_report, store_client_times
from monitoring.journey import Journey
from monitoring.journey_rows import NoJourney, journeys_of_game, journeys_of_trace
from services.store import Store
from tests.support.live_rig import NIGHT, Rig
from tests.support.night_home import NightHome, night_home


@pytest.fixture(scope="module")
def home() -> Iterator[NightHome]:
    with night_home(None) as made:
        (made.folder / "logs").mkdir(parents=True)
        yield made


@pytest.fixture
def played(store: Store, home: NightHome, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A night of two games, settled, whose predictor wrote its log into the home."""
    with (home.folder / "logs" / "predictor.log").open("w") as file:
        lines = [structlog.processors.add_log_level, structlog.processors.JSONRenderer()]
        monkeypatch.setattr("flows.announce.log", structlog.wrap_logger(structlog.WriteLogger(file), lines))
        rig = Rig(store)
        rig.play()
        rig.close()
    return rig


def test_a_games_forecast_is_shown_with_its_steps_from_tables_and_logs(
    played: Rig, store: Store, home: NightHome, database_url: str
) -> None:
    game_id = played.night.games[0].script.game_id
    official = store.latest_forecast(game_id)
    assert official is not None
    store_client_times(store, NIGHT, {(game_id, official.revision): official.committed_at})
    done = home.run("trace", game_id, "--json", DATABASE_URL=database_url)
    assert done.status == 0, done.err
    journeys = [Journey.model_validate(body) for body in json.loads(done.out)]
    journey = journeys[-1]
    times = {step.name: step.at for step in journey.steps}
    assert (journey.game_id, journey.minute, journey.revision) == (game_id, 18, official.revision)
    assert journey.missing == ("made", "broadcast")
    assert times["polled"] == official.polled_at
    assert times["committed"] == times["received"] == official.committed_at
    assert times["queued"] <= times["taken"] <= times["asked"] <= times["answered"] <= times["told"]
    assert times["settled"] > times["committed"]
    assert journey.elapsed_s is not None
    assert journey.elapsed_s >= 1080.0
    shown = home.run("trace", game_id, DATABASE_URL=database_url)
    assert "the predictor takes it" in shown.out
    assert str(journey.trace_id) in shown.out


def test_a_trace_leads_to_what_was_forecast_from_its_poll(
    played: Rig, store: Store, home: NightHome, database_url: str
) -> None:
    with store.engine.connect() as connection:
        game_id, trace_id = connection.execute(
            text("SELECT game_id, trace_id FROM forecasts WHERE minute = 7 LIMIT 1")
        ).one()
    done = home.run("trace", trace_id, "--json", DATABASE_URL=database_url)
    [body] = json.loads(done.out)
    assert (body["game_id"], body["minute"], body["trace_id"]) == (game_id, 7, trace_id)
    assert [row.minute for row in journeys_of_trace(store.engine, trace_id)] == [7]
    said = home.run("trace", trace_id, "--minute", "9", DATABASE_URL=database_url).sentence
    assert "no forecast of minute 9" in said


def test_a_forecast_that_is_not_there_is_said_with_what_there_is(store: Store, home: NightHome) -> None:
    rig = Rig(store, games=1)
    rig.play(300)
    rig.close()
    game_id = rig.night.games[0].script.game_id
    with pytest.raises(NoJourney, match=r"no forecast of minute 18; there are those of minutes 0, 1: name one"):
        journeys_of_game(store.engine, game_id)
    with pytest.raises(NoJourney, match="it has none of any minute"):
        journeys_of_game(store.engine, "0022299999")
    with pytest.raises(NoJourney, match="most polls call for none"):
        journeys_of_trace(store.engine, "f" * 32)


def test_the_report_shows_the_slowest_official_forecast_of_the_night(played: Rig, store: Store) -> None:
    slowest = build_report(store, NIGHT).slowest
    assert slowest is not None
    with store.engine.connect() as connection:
        expected = connection.execute(
            text("SELECT game_id FROM official_forecasts ORDER BY committed_at - polled_at DESC LIMIT 1")
        ).scalar_one()
    assert (slowest.game_id, slowest.minute) == (expected, 18)
    assert slowest.total_ms is not None
    assert "settled" in {step.name for step in slowest.steps}
    assert build_report(store, NIGHT).slowest == slowest, "computed again, it is the same"


def test_old_snapshots_may_be_gone(played: Rig, store: Store) -> None:
    game_id = played.night.games[0].script.game_id
    assert journeys_of_game(store.engine, game_id)[0].played_at is not None
    with store.engine.begin() as connection:
        connection.execute(text("DELETE FROM ticks"))
    [row, *_] = journeys_of_game(store.engine, game_id)
    assert (row.played_at, row.elapsed_s) == (None, None)
