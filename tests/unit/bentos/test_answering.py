"""One request, one model, one answer."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.answering import ServedModel, answer, code_version
from bentos.contracts import PredictRequest, RequestRefused, prediction_row
from bentos.reproduce import WrongModelError, reproduce
from models.calibration import Case
from models.distribution import MarginDistribution
from models.ensemble import Ensemble
from models.ratings import Ratings
from services.answer import Prediction
from services.store_rows import PredictionRow
from tests.support.small_model import TEAMS, small_ensemble

NOW = datetime(2023, 2, 3, 20, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def model() -> ServedModel:
    return ServedModel("7", "d" * 64, small_ensemble(), "a test", {"mae": 4.9})


def ask(model: ServedModel, request: PredictRequest) -> Prediction:
    return answer(model, request, request_id="r", prediction_id=uuid4(), now=NOW)


@st.composite
def requests(draw: st.DrawFn) -> PredictRequest:
    minute = draw(st.sampled_from([0, 12, 18, 23]))
    jumps = draw(st.lists(st.floats(-6, 6).map(lambda x: round(x * 2) / 2), min_size=minute, max_size=minute))
    pattern = [max(-100.0, min(100.0, sum(jumps[: i + 1]))) for i in range(minute)]
    teams = draw(st.sampled_from([None, ("BOS", "NYK"), ("LAL", "DEN")]))
    return PredictRequest(
        pattern=pattern,
        minute=minute,
        alpha=draw(st.floats(0.02, 0.98)),
        home=teams and teams[0],
        away=teams and teams[1],
        date=draw(st.none() | st.dates(date(2022, 1, 28), date(2023, 6, 1))),
        possession=draw(st.sampled_from([None, "home", "away"])),
        above=draw(st.lists(st.floats(-100, 100), max_size=4)),
        levels=draw(st.lists(st.floats(0, 0.98, exclude_min=True), max_size=4)),
    )


@given(request=requests())
def test_any_answer_is_ordered_strict_json_and_computes_again(model: ServedModel, request: PredictRequest) -> None:
    given = ask(model, request)
    assert given.interval_lower <= given.point_forecast <= given.interval_upper
    text = given.model_dump_json()
    assert Prediction.model_validate_json(text) == given
    json.dumps(json.loads(text), allow_nan=False)
    row = PredictionRow.from_json(json.loads(json.dumps(prediction_row(request, given), allow_nan=False)))
    again = reproduce(row, model.ensemble)
    assert again.equal
    assert again.distribution_equal


@given(request=requests())
def test_the_distribution_of_an_answer_hangs_together(model: ServedModel, request: PredictRequest) -> None:
    given = ask(model, request).distribution
    whole = MarginDistribution(given.first, np.array(given.probabilities))
    assert whole.probabilities.tolist() == given.probabilities, "the answer's own probabilities make it again"
    assert given.home_leads + given.tied + given.away_leads == 1.0
    assert (given.home_leads, given.tied, given.away_leads) == (whole.home_leads, whole.tied, whole.away_leads)
    assert given.quantiles == {level: whole.quantile(float(level)) for level in given.quantiles}
    assert list(given.quantiles) == ["0.025", "0.05", "0.1", "0.25", "0.5", "0.75", "0.9", "0.95", "0.975"]
    assert [one.margin for one in given.above] == request.above
    assert [one.probability for one in given.above] == [whole.above(margin) for margin in request.above]
    assert [one.level for one in given.intervals] == sorted({0.5, 0.8, 0.9, 0.95, *request.levels})
    for narrow, wide in pairwise(given.intervals):
        assert wide.lower <= narrow.lower <= narrow.upper <= wide.upper


@pytest.mark.parametrize("alpha", [0.5, 0.2, 0.1, 0.05])
def test_a_level_gives_the_interval_that_its_alpha_gives(model: ServedModel, alpha: float) -> None:
    request = PredictRequest(pattern=[1.0] * 18, alpha=alpha, levels=[0.33])
    given = ask(model, request)
    one = next(one for one in given.distribution.intervals if one.level == pytest.approx(1 - alpha))
    assert (one.lower, one.upper) == (given.interval_lower, given.interval_upper)


def test_a_usual_level_is_left_out_and_an_asked_one_refused_where_the_calibration_set_is_too_small() -> None:
    small = ServedModel("7", "d" * 64, small_ensemble(calibration_games=12), "a test")
    request = PredictRequest(pattern=[1.0] * 18, alpha=0.2)
    assert [one.level for one in ask(small, request).distribution.intervals] == [0.5, 0.8, 0.9]
    with pytest.raises(RequestRefused) as caught:
        ask(small, request.model_copy(update={"levels": [0.6, 0.95]}))
    assert caught.value.status == 400
    assert caught.value.sentence == (
        "levels[1] 0.95 needs a calibration set of at least 19 games, this one has 12: the largest level it supports"
        " is 0.923; ask for a smaller level or calibrate on more games."
    )
    problem = caught.value.problems[0]
    assert (problem.field, problem.n, problem.needed) == ("levels[1]", 12, 19)
    largest = request.model_copy(update={"levels": [0.923]})
    assert 0.923 in [one.level for one in ask(small, largest).distribution.intervals]


@pytest.mark.parametrize("level", [5e-324, 1e-17, 0.5])
def test_any_level_below_the_largest_has_an_interval_that_holds_the_point(model: ServedModel, level: float) -> None:
    given = ask(model, PredictRequest(pattern=[1.0] * 18, levels=[level]))
    one = next(one for one in given.distribution.intervals if one.level == level)
    assert one.lower <= given.point_forecast <= one.upper


@pytest.mark.parametrize("level", [0.99, 1 - 1e-16])
def test_a_level_close_to_one_is_refused_with_numbers(model: ServedModel, level: float) -> None:
    with pytest.raises(RequestRefused, match="needs a calibration set of at least"):
        ask(model, PredictRequest(pattern=[1.0] * 18, levels=[level]))


def test_row_holds_what_the_answer_said(model: ServedModel) -> None:
    known: dict[str, Any] = {"home": "BOS", "away": "NYK", "date": date(2022, 1, 28), "possession": "away"}
    request = PredictRequest(pattern=[1.0] * 18, **known, game_id="0022190001", alpha=0.1)
    given = ask(model, request)
    row = PredictionRow.from_json(prediction_row(request, given))
    assert (row.context["possession"], row.context["date"]) == ("away", "2022-01-28")
    assert (row.id, row.created_at, row.pattern) == (given.prediction_id, NOW, (1.0,) * 18)
    assert (row.model_version, row.model_digest) == ("7", "d" * 64)
    assert row.context["rating_difference"] == given.context.rating_difference
    assert row.components["similar"][0]["path"] == given.explanation.similar[0].path
    kept = row.components["distribution"]
    assert kept["probabilities"] == given.distribution.probabilities
    assert [one["level"] for one in kept["intervals"]] == [0.5, 0.8, 0.9, 0.95]


def test_rating_is_used_when_the_teams_are_named_and_named_in_the_context(model: ServedModel) -> None:
    without = ask(model, PredictRequest(pattern=[1.0] * 18))
    assert without.context.rating_difference is None
    assert without.context.ratings_as_of is None
    given = ask(model, PredictRequest(pattern=[1.0] * 18, home="BOS", away="NYK"))
    assert given.context.rating_difference == model.ensemble.ratings.expected("BOS", "NYK")
    assert given.context.ratings_as_of == date(2022, 1, 27)


def test_a_new_season_shrinks_the_ratings_towards_the_average(model: ServedModel) -> None:
    ratings = model.ensemble.ratings

    def held(**fields: Any) -> Ratings:
        return model.ratings(PredictRequest(pattern=[1.0] * 18, **fields))

    assert held() is held(game_id="0022190001") is held(game_id="0022000001") is held(date=date(2022, 1, 28)) is ratings
    for later in (held(game_id="0022200001"), held(date=date(2022, 10, 20))):
        for team in TEAMS:
            assert later.values[team] == pytest.approx(ratings.values[team] * ratings.params.carry)


def test_the_date_tells_who_played_the_evening_before_and_the_game_id_a_playoff(model: ServedModel) -> None:
    ratings, params = model.ensemble.ratings, model.ensemble.ratings.params
    tired, rested = ratings.as_of, date(2022, 2, 10)
    assert tired is not None
    named: dict[str, Any] = {"pattern": [1.0] * 18, "home": "BOS", "away": "NYK"}
    plain = ask(model, PredictRequest(**named))
    on = {day: ask(model, PredictRequest(**named, date=day)) for day in (tired + timedelta(days=1), rested)}
    assert on[rested].context.rating_difference == plain.context.rating_difference
    assert on[rested].context.date == rested
    assert plain.context.date is None
    last = {team for team, day in ratings.last_played.items() if day == tired}
    change = params.tired_away * ("NYK" in last) - params.tired_home * ("BOS" in last)
    felt = on[tired + timedelta(days=1)].context.rating_difference
    assert felt == pytest.approx((plain.context.rating_difference or 0.0) + change)
    playoff = ask(model, PredictRequest(**named, game_id="0042100401")).context.rating_difference
    assert playoff == pytest.approx((plain.context.rating_difference or 0.0) + params.playoffs)
    assert ask(model, PredictRequest(pattern=[1.0] * 18, date=rested)).context.date is None


@pytest.mark.parametrize("calibrated", [True, False])
def test_having_the_ball_is_worth_its_points_where_it_is_calibrated_and_kept_in_the_context(
    model: ServedModel, calibrated: bool
) -> None:
    sets = dict(model.ensemble.calibration)
    if calibrated:
        sets |= {Case(18, rated, True): sets[Case(18, rated, False)] for rated in (False, True)}
    model = replace(model, ensemble=replace(model.ensemble, calibration=sets))
    answers = {ball: ask(model, PredictRequest(pattern=[1.0] * 18, possession=ball)) for ball in (None, "home", "away")}
    worth = model.ensemble.mixture.possession_value * calibrated
    for ball, points in ((None, 0.0), ("home", worth), ("away", -worth)):
        assert answers[ball].context.possession == ball
        assert answers[ball].explanation.possession == points
        assert answers[ball].point_forecast == pytest.approx(answers[None].point_forecast + points)


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"pattern": [0.0] * 7, "minute": 7}, "minute", "answers at minute 0, 12, 18, 23."),
        ({"home": "BOS", "away": "XYZ"}, "away", "known are BOS"),
        ({"home": "XYZ", "away": "BOS"}, "home", "known are BOS"),
        ({"alpha": 0.001}, "alpha", "at least 999 games, this one has 60"),
    ],
)
def test_refusal_names_the_field_and_what_to_change(
    model: ServedModel, fields: dict[str, object], field: str, says: str
) -> None:
    request = PredictRequest.model_validate({"pattern": [0.0] * 18} | fields)
    with pytest.raises(RequestRefused) as caught:
        ask(model, request)
    assert caught.value.status == 400
    assert says in caught.value.sentence
    assert caught.value.problems[0].field == field


def test_reproducing_with_another_model_is_refused(model: ServedModel) -> None:
    request = PredictRequest(pattern=[1.0] * 18)
    row = PredictionRow.from_json(prediction_row(request, ask(model, request)))
    other: Ensemble = small_ensemble(seed=5)
    with pytest.raises(WrongModelError, match="fetch version 7"):
        reproduce(row, other)


def test_a_changed_bit_is_noticed(model: ServedModel) -> None:
    request = PredictRequest(pattern=[1.0] * 18)
    body = prediction_row(request, ask(model, request))
    body["point"] = body["point"] + 1e-12
    assert not reproduce(PredictionRow.from_json(body), model.ensemble).equal


def test_a_changed_probability_is_noticed_and_a_row_without_them_still_computes_again(model: ServedModel) -> None:
    request = PredictRequest(pattern=[1.0] * 18)
    body = prediction_row(request, ask(model, request))
    body["components"]["distribution"]["probabilities"][3] += 2.0**-40
    again = reproduce(PredictionRow.from_json(body), model.ensemble)
    assert (again.numbers_equal, again.distribution_equal, again.equal) == (True, False, False)
    del body["components"]["distribution"]
    older = reproduce(PredictionRow.from_json(body), model.ensemble)
    assert (older.numbers_equal, older.distribution_equal, older.equal) == (True, None, True)


def test_facts_are_plain_json_and_code_version_is_stable(model: ServedModel) -> None:
    facts = json.loads(json.dumps(model.facts(), allow_nan=False))
    assert facts["source"] == "simulated"
    assert facts["figures"] == {"mae": 4.9}
    assert len(code_version()) == 12
    assert code_version() == facts["code_version"]


@pytest.mark.parametrize("day", [date(2022, 1, 27), date(1990, 1, 1)])
@pytest.mark.parametrize("game_id", [None, "0022190001"])
def test_a_date_whose_games_the_ratings_know_is_refused_with_both_dates_and_what_to_do(
    model: ServedModel, day: date, game_id: str | None
) -> None:
    request = PredictRequest(pattern=[1.0] * 18, home="BOS", away="NYK", date=day, game_id=game_id)
    with pytest.raises(RequestRefused) as refused:
        ask(model, request)
    assert refused.value.sentence == (
        f"date {day} is not after 2022-01-27, the newest games this model's ratings know: leave date out to ask with"
        " the ratings as they are, or ask a model trained before that date."
    )
    assert (refused.value.status, refused.value.problems[0].field) == (400, "date")
    assert ask(model, request.model_copy(update={"date": None})).context.rating_difference is not None


def test_a_late_game_of_a_date_the_ratings_know_is_still_forecast_without_its_teams(model: ServedModel) -> None:
    """What flows.issue asks after the 400, for a game revised after the night's recalibration."""
    request = PredictRequest(pattern=[1.0] * 18, date=date(2022, 1, 27), game_id="0022190001")
    given = ask(model, request)
    assert (given.context.rating_difference, given.context.ratings_as_of, given.context.date) == (None, None, None)
    assert given.game_id == "0022190001"
    assert given.point_forecast == ask(model, request.model_copy(update={"date": None})).point_forecast


def test_a_date_after_the_ratings_is_served_with_them(model: ServedModel) -> None:
    request = PredictRequest(pattern=[1.0] * 18, home="BOS", away="NYK", date=date(2022, 1, 28))
    given = ask(model, request)
    assert (given.context.ratings_as_of, given.context.date) == (date(2022, 1, 27), date(2022, 1, 28))
    assert given.context.rating_difference is not None
