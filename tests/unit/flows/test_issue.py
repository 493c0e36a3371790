"""What a live forecast is asked with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from flows.issue import ForecastIssuer, live_request_id
from models.game import Play, Snapshot, Status
from services.answer import Prediction
from services.client import ForecasterRefused
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

    def record_forecast(self, prediction: PredictionRow, row: ForecastRow, *, seen: int | None) -> Kept:
        self.predictions.append(prediction)
        self.forecasts.append(row)
        return self

    def latest_forecast(self, _game_id: str, _minute: int) -> None:
        return None

    def first_model(self, _game_id: str) -> str | None:
        return self.predictions[0].model_digest if self.predictions else None


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


def test_a_game_keeps_the_model_of_its_first_forecast() -> None:
    forecaster, store = FakeForecaster(), Kept()
    issuer = ForecastIssuer(forecaster, store, 0.05)  # type: ignore[arg-type]
    issuer.issue(tick(0, 1, -1), (), minute=0)
    first = store.predictions[0].model_digest
    forecaster.model = replace(forecaster.model, version="2", digest="e" * 64)
    for minute, pattern in ((1, (2,)), (2, (2, -1))):
        issuer.issue(tick(0, 1, -1), pattern, minute=minute)
    assert [request.model_digest for request in forecaster.asked] == [None, first, first]
    heir = ForecastIssuer(forecaster, store, 0.05)  # type: ignore[arg-type]
    heir.issue(tick(0, 1, -1), (2, -1), minute=2)
    assert forecaster.asked[-1].model_digest == first, "also after a restart"


def test_a_game_whose_model_is_gone_goes_on_with_the_champion() -> None:
    class Forgetful(FakeForecaster):
        def predict(self, pattern: Sequence[float], **fields: Any) -> Prediction:
            answered = super().predict(pattern, **fields)
            if fields["model_digest"] is not None:
                raise ForecasterRefused(404, "that model is gone")
            return answered

    forecaster, store = Forgetful(), Kept()
    issuer = ForecastIssuer(forecaster, store, 0.05)  # type: ignore[arg-type]
    for minute, pattern in ((0, ()), (1, (2,))):
        issuer.issue(tick(0, 1, -1), pattern, minute=minute)
    last = forecaster.asked[-1]
    assert (last.model_digest, str(last.request_id).endswith(":unpinned")) == (None, True)
    assert [row.minute for row in store.forecasts] == [0, 1]
