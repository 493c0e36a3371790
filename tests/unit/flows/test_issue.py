"""What a live forecast is asked with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from flows.issue import ForecastIssuer, live_request_id
from models.game import Play, Snapshot, Status
from services.store import ForecastRow, Outcome, PredictionRow
from services.ticks import Tick
from tests.support.live_rig import FakeForecaster

AT = datetime(2023, 2, 4, 1, 0, tzinfo=UTC)
PLAYS = (Play(1, 1, 30.0, 2, 0), Play(2, 1, 100.0, 2, 3), Play(3, 1, 130.0, 4, 3))


@dataclass
class Kept:
    """A store that keeps what it is given."""

    outcome: Outcome = Outcome.RECORDED
    predictions: list[PredictionRow] = field(default_factory=list)
    forecasts: list[ForecastRow] = field(default_factory=list)

    def record_forecast(self, prediction: PredictionRow, row: ForecastRow) -> Kept:
        self.predictions.append(prediction)
        self.forecasts.append(row)
        return self

    def latest_forecast(self, _game_id: str, _minute: int) -> None:
        return None


def tick(*possessions: int) -> Tick:
    snapshot = Snapshot(
        "0022200781",
        "BOS",
        "PHX",
        Status.LIVE,
        1,
        130.0,
        plays=PLAYS,
        event_at=AT,
        edited_at=AT,
        possessions=possessions,
    )
    return Tick("0022200781", snapshot, date(2023, 2, 3), "simulated", AT)


def test_a_live_forecast_tells_the_league_date_and_who_has_the_ball_at_its_minute() -> None:
    forecaster, store = FakeForecaster(), Kept()
    issuer = ForecastIssuer(forecaster, store, 0.05)  # type: ignore[arg-type]
    for minute, pattern in enumerate([(), (2,), (2, -1)]):
        issuer.issue(tick(0, 1, -1), pattern, minute=minute)
    assert [request.possession for request in forecaster.asked] == [None, "home", "away"]
    assert {request.date for request in forecaster.asked} == {date(2023, 2, 3)}
    assert [row.context["possession"] for row in store.predictions] == [None, "home", "away"]
    assert [row.minute for row in store.forecasts] == [0, 1, 2]


def test_a_snapshot_that_does_not_tell_who_has_the_ball_is_forecast_without() -> None:
    forecaster = FakeForecaster()
    ForecastIssuer(forecaster, Kept(), 0.05).issue(tick(), (2, -1), minute=2)  # type: ignore[arg-type]
    assert forecaster.asked[0].possession is None


def test_attempts_at_one_forecast_share_their_id_and_other_knowledge_has_another() -> None:
    one = live_request_id("0022200781", 2, 0, (2, -1), 1)
    assert one == live_request_id("0022200781", 2, 0, (2, -1), 1)
    others = {live_request_id("0022200781", 2, 0, (2, -1), -1), live_request_id("0022200781", 2, 0, (2, 0), 1)}
    assert len({one, *others}) == 3
