import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.forecast import UnknownTeam
from models.history import History, Result
from models.ratings import RatingParams, Ratings, StaleResult, is_playoff, rate_history
from tests.unit.models.builders import TEAMS, make_history

DAY = dt.date(2022, 11, 1)
PLAIN = RatingParams(gain=0.1, carry=0.5, home_advantage=0.0, court_gain=0.0)


def result(home: str, away: str, margin: int, day: dt.date = DAY, season: int = 2022) -> Result:
    return Result("0022200001", season, day, home, away, margin)


def with_final(history: History, row: int, margin: int) -> History:
    finals = history.final_margin.copy()
    finals[row] = margin
    arrays = {name: getattr(history, name) for name in ("game_id", "season", "season_type", "date", "home", "away")}
    return History(
        **arrays,
        margins=history.margins,
        final_margin=finals,
        possession=history.possession,
        source=history.source,
    )


def test_a_game_moves_both_teams_by_gain_times_the_surprise() -> None:
    ratings = Ratings(replace(PLAIN, home_advantage=2.0)).update(result("LAL", "BOS", 12))
    assert ratings.values == {"BOS": pytest.approx(-1.0), "LAL": pytest.approx(1.0)}
    assert ratings.expected("LAL", "BOS") == pytest.approx(4.0)
    assert ratings.as_of == DAY


def test_between_seasons_a_rating_keeps_its_carry() -> None:
    first = Ratings(PLAIN).update(result("LAL", "BOS", 20))
    assert first.on(dt.date(2023, 10, 24)).values["LAL"] == pytest.approx(1.0)
    later = first.update(result("LAL", "BOS", 2, dt.date(2023, 10, 24), 2023))
    assert later.values["LAL"] == pytest.approx(1.0)


def test_shrinking_for_a_new_season_happens_once() -> None:
    first = Ratings(PLAIN).update(result("LAL", "BOS", 20))
    opening = result("LAL", "BOS", 6, dt.date(2023, 10, 24), 2023)
    assert first.on(dt.date(2023, 10, 24)).update(opening).values == first.update(opening).values


def test_a_finals_game_in_october_belongs_to_the_season_before() -> None:
    bubble = Ratings().update(result("LAL", "MIA", 9, dt.date(2020, 10, 9), 2019))
    assert bubble.on(dt.date(2020, 10, 11)) is bubble
    assert bubble.on(dt.date(2020, 12, 22)).season == 2020


def test_a_result_the_ratings_already_hold_is_refused() -> None:
    ratings = Ratings().update(result("LAL", "BOS", 3))
    with pytest.raises(StaleResult, match="already hold every game through 2022-11-01"):
        ratings.update(result("MIA", "NYK", 3))


def test_an_unknown_team_is_named_with_the_known_ones() -> None:
    ratings = Ratings().update(result("LAL", "BOS", 3))
    assert ratings.knows("LAL")
    assert not ratings.knows("SEA")
    with pytest.raises(UnknownTeam, match="'SEA': known are BOS, LAL"):
        ratings.expected("SEA", "LAL")
    with pytest.raises(UnknownTeam, match="does not play itself"):
        ratings.expected("LAL", "LAL")


def test_ratings_cannot_be_changed_in_place() -> None:
    ratings = Ratings().update(result("LAL", "BOS", 3))
    with pytest.raises(TypeError):
        ratings.values["LAL"] = 9.0  # type: ignore[index]


def test_nonsense_parameters_are_refused() -> None:
    for wrong in ({"gain": 0.0}, {"carry": 1.1}, {"cap": 0.0}, {"court_gain": 1.0}, {"tired_home": 21.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RatingParams(**wrong)


def test_the_part_of_a_surprise_beyond_the_cap_does_not_count() -> None:
    capped = replace(PLAIN, cap=15.0)
    assert Ratings(capped).update(result("LAL", "BOS", 40)) == Ratings(capped).update(result("LAL", "BOS", 15))


def test_a_team_on_its_second_evening_in_a_row_is_expected_to_do_worse() -> None:
    params = replace(PLAIN, tired_home=1.0, tired_away=2.0)
    ratings = Ratings(params).update(result("LAL", "BOS", 0, DAY), result("NYK", "MIA", 0, DAY - dt.timedelta(days=1)))
    evening_after = DAY + dt.timedelta(days=1)
    assert ratings.expected("LAL", "MIA", evening_after) == -1.0
    assert ratings.expected("MIA", "LAL", evening_after) == 2.0
    assert ratings.expected("LAL", "BOS", evening_after) == 1.0
    assert ratings.expected("LAL", "MIA", DAY + dt.timedelta(days=2)) == 0.0
    assert ratings.expected("LAL", "MIA") == 0.0


def test_the_home_team_is_worth_more_in_the_playoffs() -> None:
    ratings = Ratings(replace(PLAIN, home_advantage=2.0, playoffs=1.5)).update(result("LAL", "BOS", 2))
    assert ratings.expected("BOS", "LAL", playoffs=True) == ratings.expected("BOS", "LAL") + 1.5
    assert [is_playoff(game_id) for game_id in ("0042200101", "0022200001", "0052200001")] == [True, False, False]


def test_a_court_earns_its_own_advantage_from_its_home_games_alone() -> None:
    ratings = Ratings(replace(PLAIN, court_gain=0.05, court_carry=0.5)).update(result("DEN", "BOS", 10))
    assert ratings.courts == {"BOS": 0.0, "DEN": pytest.approx(0.5)}
    assert ratings.on(dt.date(2023, 10, 24)).courts["DEN"] == pytest.approx(0.25)
    assert ratings.expected("DEN", "BOS") - ratings.expected("BOS", "DEN") == pytest.approx(2 * 2.0 + 0.5)


def test_in_the_bubble_of_2020_nobody_was_at_home() -> None:
    params = replace(PLAIN, home_advantage=2.5, playoffs=2.2, court_gain=0.05)
    ratings = Ratings(params).update(result("LAL", "MIA", 9, dt.date(2020, 8, 20), 2019))
    assert ratings.courts["LAL"] == 0.0
    assert ratings.expected("LAL", "MIA", dt.date(2020, 8, 22), playoffs=True) == pytest.approx(2 * 0.9)
    assert ratings.expected("LAL", "MIA", dt.date(2020, 12, 22)) == pytest.approx(2 * 0.9 + 2.5)


@settings(max_examples=40, deadline=None)
@given(row=st.integers(0, 79), margin=st.integers(-60, 60))
def test_a_game_never_changes_the_rating_of_a_game_on_its_date_or_before(row: int, margin: int) -> None:
    history = make_history(80)
    before, _ = rate_history(history)
    changed, _ = rate_history(with_final(history, row, margin))
    same_or_earlier = history.date <= history.date[row]
    assert np.array_equal(before[same_or_earlier], changed[same_or_earlier])


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(40)))
def test_results_may_come_in_any_order(order: list[int]) -> None:
    results = list(make_history(40).results())
    assert Ratings().update(*[results[row] for row in order]) == Ratings().update(*results)


def test_rating_a_history_ends_where_updating_game_by_game_ends() -> None:
    history = make_history(80)
    before, last = rate_history(history)
    half = Ratings().update(*history.take(slice(0, 40)).results())
    assert half.update(*history.take(slice(40, None)).results()) == last
    game = list(history.results())[40]
    assert before[40] == half.expected(game.home, game.away, game.date)
    assert before[0] == RatingParams().home_advantage


def test_ratings_find_the_stronger_teams() -> None:
    _, ratings = rate_history(make_history(1600))
    values = [ratings.values[team] for team in TEAMS]
    assert np.corrcoef(values, np.arange(len(TEAMS)))[0, 1] > 0.85
    assert sum(values) == pytest.approx(0.0, abs=1e-9)
