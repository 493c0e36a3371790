"""The board's state as a function of events, and which night it shows."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from services.board_game import Game
from services.board_night import Change, Nights, event_text, night_body, state_text, totals
from services.board_state import BadEventError, Event, merge, reduce
from tests.support.board_night import TIP, forecast, night, score, settlement

GAME = "0022200760"


def event(number: int, kind: Any, data: dict[str, Any], game_id: str = GAME, seconds: float | None = None) -> Event:
    return Event(f"{number}-0", kind, game_id, TIP + timedelta(seconds=number if seconds is None else seconds), data)


def after(*events: Event) -> Game:
    game: Game | None = None
    for one in events:
        game = reduce(game, one)
    assert game is not None
    return game


def test_each_event_changes_its_own_part_of_the_game() -> None:
    game = after(
        event(1, "score", score()),
        event(2, "pattern", {"minute": 2, "margins": [1, -2]}),
        event(3, "forecast", forecast()),
        event(4, "settlement", settlement(7)),
        event(5, "disposition", {"disposition": "forecast", "reason": "issued"}),
    )
    assert game.score is not None
    assert game.score.home_score == 44
    assert game.pattern is not None
    assert game.pattern.margins == (1.0, -2.0)
    assert game.forecast is not None
    assert game.forecast.point == 5.2
    assert game.settlement is not None
    assert game.settlement.actual == 7
    assert game.disposition is not None
    assert game.disposition.disposition == "forecast"


def test_an_event_seen_twice_changes_nothing() -> None:
    once = after(event(1, "score", score()), event(2, "forecast", forecast()))
    assert reduce(once, event(2, "forecast", forecast())) == once


def test_a_lower_revision_never_replaces_a_higher_one() -> None:
    game = after(event(1, "forecast", forecast(revision=1, point=2.0)), event(2, "forecast", forecast(revision=0)))
    assert game.forecast is not None
    assert game.forecast.point == 2.0
    game = after(event(1, "settlement", settlement(3, revision=2)), event(2, "settlement", settlement(9, revision=1)))
    assert game.settlement is not None
    assert game.settlement.actual == 3


def test_the_newest_forecast_the_official_one_and_how_it_moved_are_kept_apart() -> None:
    game = after(
        event(1, "forecast", forecast(minute=0, point=1.0, persistence=0)),
        event(2, "forecast", forecast(minute=17, point=2.0)),
        event(3, "forecast", forecast(minute=18, point=3.0)),
        event(4, "forecast", forecast(minute=18, point=4.0, revision=1)),
        event(5, "forecast", forecast(minute=20, point=5.0)),
    )
    assert game.forecast is not None
    assert (game.forecast.minute, game.forecast.revision, game.forecast.point) == (18, 1, 4.0)
    assert game.latest is not None
    assert (game.latest.minute, game.latest.point) == (20, 5.0)
    steps = [(step.minute, step.revision, step.point) for step in game.trajectory]
    assert steps == [(0, 0, 1.0), (17, 0, 2.0), (18, 1, 4.0), (20, 0, 5.0)]


def test_an_older_minute_and_a_lower_revision_leave_the_newest_forecast() -> None:
    game = after(event(1, "forecast", forecast(minute=7, revision=1)), event(2, "forecast", forecast(minute=7)))
    assert len(game.trajectory) == 1
    assert game.updated_at == TIP + timedelta(seconds=1), "nothing changed"
    game = reduce(game, event(3, "forecast", forecast(minute=6, point=1.5)))
    assert game.latest is not None
    assert game.latest.minute == 7
    assert [step.minute for step in game.trajectory] == [6, 7]
    assert game.forecast is None, "none of them is official"


def test_a_forecast_is_told_to_clients_as_it_was_made() -> None:
    late = event(3, "forecast", forecast(minute=6, point=1.5))
    game = reduce(after(event(1, "forecast", forecast(minute=7))), late)
    assert json.loads(event_text(late, game))["data"]["point"] == 1.5


def test_the_distribution_of_a_forecast_is_kept() -> None:
    shape = {"first": -1, "probabilities": [0.25, 0.5, 0.25], "intervals": [{"level": 0.5, "lower": 0, "upper": 0}]}
    latest = after(event(1, "forecast", forecast(minute=7, distribution=shape | {"sd": 1.0}))).latest
    assert latest is not None
    assert latest.distribution is not None
    assert (latest.distribution.first, sum(latest.distribution.probabilities)) == (-1, 1.0)
    assert latest.distribution.intervals[0].level == 0.5


def test_only_official_forecasts_count_in_the_totals() -> None:
    game = after(event(1, "score", score()), event(2, "forecast", forecast(minute=23, point=6.9)))
    official = reduce(game, event(3, "forecast", forecast(point=5.0)))
    settled = event(4, "settlement", settlement(7))
    counted = [totals([reduce(one, settled)]) for one in (game, official)]
    assert [(one.forecast, one.settled, one.mae) for one in counted] == [(0, 0, None), (1, 1, 2.0)]


def test_merging_joins_how_the_forecast_moved() -> None:
    stored = after(event(1, "forecast", forecast(minute=0)), event(2, "forecast", forecast(minute=2, point=2.0)))
    streamed = after(
        event(3, "forecast", forecast(minute=2, point=3.0, revision=1)), event(4, "forecast", forecast(minute=3))
    )
    merged = merge(stored, streamed)
    assert [(step.minute, step.revision) for step in merged.trajectory] == [(0, 0), (2, 1), (3, 0)]
    assert merged.latest is not None
    assert merged.latest.minute == 3
    assert merge(streamed, stored).trajectory == merged.trajectory


def test_a_score_taken_back_on_review_is_shown() -> None:
    game = after(event(1, "score", score(home_score=44)), event(2, "score", score(home_score=42)))
    assert game.score is not None
    assert game.score.home_score == 42


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("score", score(status="half"), "status"),
        ("score", {key: value for key, value in score().items() if key != "home"}, "home"),
        ("pattern", {"minute": 3, "margins": [1, 2]}, "minute 3 but 2 margins"),
        ("forecast", forecast(lower=6.0), "does not hold"),
        ("forecast", forecast(point=float("nan")), "does not hold"),
        ("settlement", settlement(1, state="done"), "state"),
        ("disposition", {"disposition": "lost"}, "disposition"),
        ("rumour", {}, "unknown type"),
    ],
)
def test_a_malformed_event_is_refused_with_its_id_and_reason(kind: str, data: dict[str, Any], words: str) -> None:
    with pytest.raises(BadEventError, match=words) as refused:
        reduce(None, event(7, kind, data))
    assert "7-0" in str(refused.value)


def test_merging_takes_the_later_score_and_the_higher_revisions() -> None:
    stored = after(event(9, "score", score(home_score=50)), event(9, "forecast", forecast(revision=0)))
    streamed = after(
        event(5, "score", score(home_score=48)), event(6, "forecast", forecast(revision=1, point=1.0)),
        event(6, "pattern", {"minute": 1, "margins": [2]}),
    )  # fmt: skip
    game = merge(stored, streamed)
    assert game.score is not None
    assert game.score.home_score == 50
    assert game.forecast is not None
    assert game.forecast.revision == 1
    assert game.pattern is not None
    assert game.pattern.minute == 1
    assert merge(stored, None) == stored


def test_of_the_same_revision_the_streamed_forecast_is_kept_for_its_similar_games() -> None:
    similar = [{"date": "2020-01-01", "home": "BOS", "away": "MIA", "change": 1, "margin_24": 5, "path": [0] * 25}]
    stored, streamed = after(event(1, "forecast", forecast())), after(event(1, "forecast", forecast(similar=similar)))
    merged = merge(stored, streamed).forecast
    assert merged is not None
    assert len(merged.similar) == 1


def test_the_first_score_of_a_league_date_takes_the_board() -> None:
    nights = Nights()
    assert nights.apply(event(1, "score", score())) is Change.NIGHT
    assert nights.apply(event(2, "score", score(home_score=46))) is Change.EVENT
    assert nights.apply(event(3, "score", score(league_date="2023-02-04"), "0022200770")) is Change.NIGHT
    assert nights.league_date == "2023-02-04"
    assert [game.game_id for game in nights.games()] == ["0022200770"]


def test_a_late_settlement_of_yesterday_does_not_turn_the_page() -> None:
    nights = Nights()
    nights.apply(event(1, "score", score()))
    nights.apply(event(2, "score", score(league_date="2023-02-04"), "0022200770"))
    assert nights.apply(event(3, "settlement", settlement(4))) is Change.HIDDEN
    assert nights.apply(event(4, "score", score(status="final"))) is Change.HIDDEN
    assert nights.league_date == "2023-02-04"
    assert nights.games("2023-02-03")[0].settlement is not None


def test_an_earlier_night_comes_back_once_the_shown_one_is_silent() -> None:
    nights = Nights()
    nights.apply(event(1, "score", score()))
    nights.apply(event(2, "score", score(league_date="2023-02-04"), "0022200770"))
    assert nights.apply(event(3, "score", score(home_score=1), seconds=3000)) is Change.NIGHT
    assert nights.league_date == "2023-02-03"


def test_what_came_before_a_games_first_score_is_shown_with_it() -> None:
    nights = Nights()
    nights.apply(event(1, "score", score()))
    assert nights.apply(event(2, "pattern", {"minute": 1, "margins": [3]}, "0022200761")) is Change.HIDDEN
    assert nights.apply(event(3, "score", score(), "0022200761")) is Change.NIGHT
    assert len(nights.games()) == 2


def test_a_refused_event_leaves_the_state_as_it_was() -> None:
    nights = Nights()
    nights.apply(event(1, "score", score()))
    before = nights.games()
    with pytest.raises(BadEventError):
        nights.apply(event(2, "score", {}))
    assert nights.games() == before


def test_only_the_last_nights_are_remembered() -> None:
    nights = Nights()
    for day in range(1, 8):
        nights.apply(event(day, "score", score(league_date=f"2023-02-0{day}"), f"002220076{day}"))
    assert nights.games("2023-02-01") == []
    assert len(nights.games("2023-02-06")) == 1


def test_totals_count_each_game_once_and_compare_with_persistence() -> None:
    nights = Nights()
    for number, (kind, game_id, data) in enumerate(night(), start=1):
        nights.apply(event(number, kind, data, game_id))
    figures = totals(nights.games())
    assert (figures.games, figures.forecast, figures.missed, figures.void) == (8, 5, 1, 0)
    settled = [game for game in nights.games() if game.forecast and game.settlement]
    assert figures.settled == len(settled) == 3
    assert figures.mae == pytest.approx(sum(abs(g.forecast.point - g.settlement.actual) for g in settled) / 3)  # type: ignore[union-attr]
    assert figures.coverage == pytest.approx(figures.covered / 3)


def test_totals_of_nothing_have_no_means() -> None:
    figures = totals([])
    assert (figures.mae, figures.mae_persistence, figures.coverage, figures.games) == (None, None, None, 0)


def test_state_and_event_go_over_the_wire_as_plain_json() -> None:
    nights = Nights()
    one = event(1, "score", score())
    nights.apply(one)
    state = json.loads(state_text(nights, "1-0"))
    assert (state["type"], state["last_id"], state["league_date"], state["source"]) == (
        "state", "1-0", "2023-02-03", "recorded",
    )  # fmt: skip
    assert state["games"][0]["score"]["home"] == "BOS"
    sent = json.loads(event_text(one, nights.game(GAME)))
    assert (sent["id"], sent["type"], sent["game_id"]) == ("1-0", "score", GAME)
    assert sent["data"] == state["games"][0]["score"]


def test_games_of_two_sources_are_called_mixed() -> None:
    nights = Nights()
    nights.apply(event(1, "score", score()))
    nights.apply(event(2, "score", score(source="simulated"), "0022290001"))
    assert night_body("2023-02-03", nights.games())["source"] == "mixed"
    assert night_body(None, [])["source"] is None
