"""A live game of a date that the champion's ratings know already: a late game, revised after the recalibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from bentos.answering import ServedModel, answer
from bentos.contracts import PredictRequest, RequestRefused, identify
from flows.issue import ForecastIssuer
from services.answer import Prediction
from services.client import ForecasterRefused
from tests.support.small_model import small_ensemble
from tests.unit.flows.test_issue import Kept, tick

TONIGHT = date(2022, 1, 27)


class Service:
    """Answers as the service does, refusals included; its ratings know every game through ``TONIGHT``."""

    def __init__(self) -> None:
        self.model = ServedModel("1", "d" * 64, small_ensemble(minutes=tuple(range(24))), "test")
        self.asked: list[PredictRequest] = []

    def predict(self, pattern: Sequence[float], **fields: Any) -> Prediction:
        request = PredictRequest(pattern=list(pattern), **fields)
        self.asked.append(request)
        request_id, prediction_id = identify(request, None)
        try:
            return answer(
                self.model, request, request_id=request_id, prediction_id=prediction_id, now=datetime.now(UTC)
            )
        except RequestRefused as error:
            raise ForecasterRefused(error.status, error.sentence) from error


@pytest.mark.parametrize(("day", "rated"), [(TONIGHT, False), (date(2022, 1, 28), True)])
def test_a_game_of_a_date_the_ratings_know_is_forecast_without_them_and_its_row_says_so(day: date, rated: bool) -> None:
    service, store, game = Service(), Kept(), tick(0, 1, -1)
    game = replace(game, league_date=day, snapshot=replace(game.snapshot, away="NYK"))
    ForecastIssuer(service, store, 0.1).issue(game, (2, -1), minute=2)  # type: ignore[arg-type]
    assert [request.home for request in service.asked] == (["BOS"] if rated else ["BOS", None])
    [row] = store.predictions
    assert (row.context["rating_difference"] is not None, row.context["home"] is not None) == (rated, rated)
    assert str(service.asked[-1].request_id).endswith(":unrated") == (not rated)
