"""The replay's files have the shape of the real feed's, field by field and type by type."""

from pathlib import Path

import pytest

from services.replay_night import Night
from services.replay_sources import recorded_slate
from tests.support.feed_nights import night
from tests.support.feed_shapes import Shape, departures, recorded_shapes, shapes_of, stored_shapes

# Events that the recorded seasons hold and the few stored live files happen not to.
NOT_IN_THE_SAMPLES = {"action instantreplay", "action ejection"}
COMMON = {"actionNumber", "clock", "edited", "orderNumber", "period", "scoreAway", "scoreHome", "timeActual"}


def shown_shapes(shown: Night) -> Shape:
    """Every play-by-play at its end, and scoreboards at all stages of the evening."""
    last_s = max(game.ends_s for game in shown.games)
    boards = [shown.scoreboard(shown.clock.begins_s + minute * 60) for minute in range(0, 330, 6)]
    plays = [shown.playbyplay(game.script.game_id, last_s) for game in shown.games]
    return shapes_of([*boards, shown.scoreboard(last_s)], [body for body in plays if body])


@pytest.mark.parametrize("rules", ["", "late=0.1,duplicate=0.1,edited=0.3,take_back=0.1,overtime,postponed"])
def test_a_simulated_night_has_the_shape_of_the_feed(rules: str) -> None:
    shape = shown_shapes(night(rules)[0])
    assert departures(shape, stored_shapes()) == []
    assert set(shape) - set(stored_shapes()) <= NOT_IN_THE_SAMPLES
    assert {f"action {kind}" for kind in ("2pt", "3pt", "freethrow", "rebound", "steal", "block", "game")} <= set(shape)


def test_actions_that_the_samples_lack_have_the_common_fields() -> None:
    shape = shown_shapes(night(games=9)[0])
    common = set.intersection(*({*fields} for group, fields in stored_shapes().items() if group.startswith("action ")))
    assert common > COMMON
    for group in NOT_IN_THE_SAMPLES & set(shape):
        assert common <= set(shape[group])


def test_a_recorded_night_has_the_shape_of_the_feed(recorded: Path) -> None:
    shape = shown_shapes(Night(recorded_slate(recorded), 60))
    assert departures(shape, stored_shapes()) == []
    assert set(shape) - set(stored_shapes()) <= NOT_IN_THE_SAMPLES


def test_the_stored_shape_is_that_of_the_recorded_live_files(recorded: Path) -> None:
    assert recorded_shapes(recorded / "live") == stored_shapes()


def test_a_changed_type_an_unknown_field_and_a_missing_one_are_departures() -> None:
    reference: Shape = {
        "game": {"id": "str", "score": "int", "seed?": "int|null", "periods": "list", "periods[].n": "int"}
    }
    assert departures({"game": {"id": "str", "score": "int", "periods": "list"}}, reference) == []
    assert departures({"game": {"id": "str", "score": "str", "team": "str", "periods": "list"}}, reference) == [
        "game: score is str, not int",
        "game: team is unknown",
    ]
    assert departures({"game": {"id?": "str", "score": "int"}}, reference) == [
        "game: id is missing",
        "game: periods is missing",
    ]
