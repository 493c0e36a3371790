from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from models.game import Status
from services.replay_clock import FeedClock
from services.replay_night import LEAD_S, Night
from services.replay_rules import RuleError, parse_rules
from services.wire import ScoreboardGame, parse_playbyplay, parse_scoreboard
from tests.support.feed_nights import ManualTime, evening, every_moment, night


def lines(shown: Night) -> list[ScoreboardGame]:
    return parse_scoreboard(shown.scoreboard(shown.clock.now_s()))


def test_the_clock_stands_until_it_is_started_and_then_runs_fast() -> None:
    time = ManualTime()
    clock = FeedClock(1000.0, 60.0, time)
    time.seconds = 5.0
    assert (clock.started, clock.now_s()) == (False, 1000.0)
    clock.start()
    time.seconds = 6.0
    clock.start()
    assert (clock.started, clock.now_s()) == (True, 1060.0)


@pytest.mark.parametrize("speed", [0.0, -1.0, 1e6])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        FeedClock(0.0, speed)


def test_the_night_begins_a_feed_minute_before_the_first_tip() -> None:
    shown, time = night()
    assert shown.clock.begins_s == min(game.tip_s for game in shown.slate.games) - LEAD_S
    assert {line.status for line in lines(shown)} == {Status.SCHEDULED}
    time.seconds = LEAD_S
    assert Status.LIVE in {line.status for line in lines(shown)}


def test_the_scoreboard_follows_the_plays_from_tip_to_final() -> None:
    shown, time = night(games=1)
    seen: list[str] = []
    (game,) = shown.games
    for at_s in [shown.clock.begins_s, *every_moment(shown)]:
        time.seconds = at_s - shown.clock.begins_s
        (line,) = lines(shown)
        body = shown.playbyplay(line.game_id, at_s)
        if body is None:
            assert line.status is Status.SCHEDULED
            assert line.status_text.endswith(" pm ET")
            continue
        snapshot = parse_playbyplay(body, line)
        assert snapshot.status is line.status
        assert snapshot.score == (line.home_score, line.away_score)
        assert snapshot.period == line.period
        assert (line.clock_s is None) is (line.status is Status.FINAL)
        seen.append(line.status_text)
    assert "Half" in seen
    assert "Q1 :00.0" in seen
    assert seen[-1] in ("Final", "Final/OT", "Final/OT2")
    assert shown.state().games[0].final_at.timestamp() == pytest.approx(game.timeline.final_s)


def test_the_clock_is_now_and_then_empty_while_the_status_text_shows_it() -> None:
    shown, _ = night(games=1)
    bodies = [shown.scoreboard(at_s) for at_s in every_moment(shown)]
    empty = [body for body in bodies if b'"gameStatus":2' in body and b'"gameClock":""' in body]
    assert empty
    assert all(parse_scoreboard(body)[0].clock_s is not None for body in empty)


def test_the_evenings_games_stay_after_midnight() -> None:
    shown, time = night(games=9)
    time.seconds = max(game.ends_s for game in shown.games) - shown.clock.begins_s
    state = shown.state()
    assert state.feed_now.astimezone(ZoneInfo("America/New_York")).date() == state.league_date + timedelta(days=1)
    assert len(lines(shown)) == 9
    assert {line.league_date for line in lines(shown)} == {state.league_date}


def test_the_state_says_where_the_night_is() -> None:
    shown, time = night("postponed", games=3)
    state = shown.state()
    assert (state.source, state.started, state.finished, len(state.games)) == ("simulated", True, False, 3)
    assert [game.postponed for game in state.games] == [False, False, True]
    played = [game for game in state.games if not game.postponed]
    assert all(game.scheduled_at <= game.tip_at < game.half_at < game.final_at for game in state.games)
    assert state.ends_at == max(game.final_at for game in played)
    time.seconds = (state.ends_at - state.feed_now).total_seconds() - 1
    assert not shown.state().finished
    time.seconds += 2
    assert shown.state().finished


def test_a_postponed_game_stays_postponed_and_has_no_plays() -> None:
    shown, time = night("postponed", games=1)
    time.seconds = 20_000.0
    (line,) = lines(shown)
    assert (line.status, line.status_text, line.period) == (Status.POSTPONED, "PPD", 0)
    assert shown.playbyplay(line.game_id, shown.clock.now_s()) is None
    assert shown.state().finished


def test_an_overtime_game_ends_as_one() -> None:
    game_id = evening().games[0].game_id
    shown, time = night(f"overtime:{game_id}", games=1)
    time.seconds = 20_000.0
    (line,) = lines(shown)
    assert line.status_text.startswith("Final/OT")
    assert line.period >= 5


def test_rules_added_in_play_leave_what_was_shown() -> None:
    shown, time = night(games=1)
    game_id = shown.games[0].script.game_id
    time.seconds = 2400.0
    before = shown.playbyplay(game_id, shown.clock.now_s())
    shown.misbehave(parse_rules("late=0.5,edited=0.5,take_back=0.5,overtime"))
    assert shown.playbyplay(game_id, shown.clock.now_s()) == before
    time.seconds = 2700.0
    well_behaved, _ = night(games=1)
    assert shown.playbyplay(game_id, shown.clock.now_s()) != well_behaved.playbyplay(game_id, shown.clock.now_s())


def test_rules_that_cannot_hold_are_refused() -> None:
    shown, time = night()
    with pytest.raises(RuleError, match="not tonight's"):
        shown.misbehave(parse_rules("postponed:0022200001"))
    time.seconds = 7200.0
    with pytest.raises(RuleError, match="has begun"):
        shown.misbehave(parse_rules(f"postponed:{shown.games[0].script.game_id}"))


def test_behaving_again_ends_the_faults() -> None:
    shown, _ = night("blocked")
    assert shown.fault("scoreboard", None) == "blocked"
    shown.behave()
    assert shown.fault("scoreboard", None) is None
