from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from models.clock import parse_clock
from services.replay_actions import actions_of
from services.replay_scribe import Action
from services.replay_slate import Row, Script, SlateError
from tests.support.feed_nights import evening


def written(script: Script) -> list[dict[str, Any]]:
    return [msgspec.json.decode(action.encode(action.home, action.away, action.at_s)) for action in actions_of(script)]


def with_rows(*rows: Row) -> Script:
    return replace(evening().games[0], rows=rows)


def row(action: str, remaining_s: float = 600.0, team: str | None = None, points: int = 0, period: int = 1) -> Row:
    return Row(period, remaining_s, action, team, points, 0, points, 1_000_000.0)


@pytest.fixture(scope="module")
def actions() -> list[dict[str, Any]]:
    return [action for script in evening().games for action in written(script)]


def test_order_numbers_increase_and_action_numbers_do_not_always() -> None:
    for script in evening().games:
        game = written(script)
        assert all(first["orderNumber"] < second["orderNumber"] for first, second in pairwise(game))
        assert len({action["actionNumber"] for action in game}) == len(game)
    every = [action for script in evening().games for action in written(script)]
    assert any(first["actionNumber"] > second["actionNumber"] for first, second in pairwise(every))
    assert any(first["timeActual"] > second["timeActual"] for first, second in pairwise(every))


def test_the_game_ends_with_the_end_of_its_last_period_and_of_itself() -> None:
    for script in evening().games:
        last = actions_of(script)[-1]
        assert last.ends_game
        assert (last.home, last.away) == (script.rows[-1].home, script.rows[-1].away)


def test_scores_are_strings_and_end_at_the_recorded_score(actions: list[dict[str, Any]]) -> None:
    assert {type(action[side]) for action in actions for side in ("scoreHome", "scoreAway")} == {str}


def test_clocks_carry_tenths_only_in_the_last_minute(actions: list[dict[str, Any]]) -> None:
    tenths = [action for action in actions if not action["clock"].endswith(".00S")]
    assert tenths
    assert all(parse_clock(action["clock"]) < 60 for action in tenths)


def test_the_clock_never_goes_up_within_a_period() -> None:
    for script in evening().games:
        for first, second in pairwise(actions_of(script)):
            assert first.period < second.period or first.remaining_s >= second.remaining_s


def test_edits_are_never_before_the_entry(actions: list[dict[str, Any]]) -> None:
    assert all(action["edited"][:19] >= action["timeActual"][:19] for action in actions)


def test_a_script_is_written_the_same_every_time() -> None:
    script = evening().games[0]
    assert written(script) == written(script)


def test_players_are_visibly_invented(actions: list[dict[str, Any]]) -> None:
    names = {action["playerName"] for action in actions if "playerName" in action}
    assert all(" No. " in name for name in names)


def test_free_throws_of_a_trip_are_counted() -> None:
    home, away = evening().games[0].home, evening().games[0].away
    trip = [row("free_throw", 500.0, home, 1), row("free_throw", 500.0, home, 0)]
    lone = [row("free_throw", 480.0, away, 1)]
    four = [row("free_throw", 470.0, home, 1)] * 4
    throws = [action for action in written(with_rows(*trip, *lone, *four)) if action["actionType"] == "freethrow"]
    named = [throw["subType"] for throw in throws]
    assert named == ["1 of 2", "2 of 2", "1 of 1", "1 of 2", "2 of 2", "1 of 2", "2 of 2"]
    assert [throw["shotResult"] for throw in throws[:2]] == ["Made", "Missed"]


def test_a_substitution_is_one_player_out_and_one_in() -> None:
    kinds = [
        (a["actionType"], a["subType"]) for a in written(with_rows(row("substitution", team=evening().games[0].home)))
    ]
    assert kinds[:2] == [("substitution", "out"), ("substitution", "in")]


def test_shots_have_the_points_that_were_recorded(actions: list[dict[str, Any]]) -> None:
    made = Counter(a["actionType"] for a in actions if a.get("shotResult") == "Made")
    assert made["2pt"] > made["3pt"] > 0
    for script in evening().games[:3]:
        for first, second in pairwise(actions_of(script)):
            if second.fields.get("shotResult") == "Made":
                gained = second.home + second.away - first.home - first.away
                assert gained == {"2pt": 2, "3pt": 3, "freethrow": 1}[second.fields["actionType"]]


def test_every_recorded_kind_of_event_can_be_written() -> None:
    kinds = "period_start period_end jump_ball made_fg missed_fg rebound turnover foul substitution timeout violation"
    rows = [row(kind) for kind in f"{kinds} instant_replay ejection free_throw".split()]
    assert all(isinstance(action, Action) for action in actions_of(with_rows(*rows)))


def test_an_unknown_event_is_named() -> None:
    with pytest.raises(SlateError, match="half_time_show"):
        actions_of(with_rows(row("half_time_show")))
