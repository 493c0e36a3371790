from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.game import Snapshot, Status, half_over, halftime_score, margins
from models.history_frame import recorded_held
from services.wire import (
    WireError,
    WireSyntaxError,
    parse_playbyplay,
    parse_scoreboard,
    parse_scoreboard_lines,
)
from tests.support.feed_json import GAME_ID, action, board_file, board_game, board_line, end, plays_file

GAME = board_game()


def one(**changes: Any) -> Any:
    (game,) = parse_scoreboard(board_file(board_line(**changes)))
    return game


# scoreboard


def test_a_scoreboard_line_is_read_whole() -> None:
    assert one() == GAME


@pytest.mark.parametrize(
    ("text", "clock", "expected"),
    [
        ("Q2 6:21", "PT06M21.00S", 381.0),
        ("Q2 07:15", "", 435.0),
        ("Q1 :00.0 ", "", 0.0),
        ("Q4 :36.4", "", 36.4),
        ("Q4 0:36", "PT00M36.40S", 36.4),
        ("OT 2:30", "", 150.0),
        ("OT2 2:30   ", "", 150.0),
        ("Half", "", 0.0),
        ("Half  ", "PT00M00.00S", 0.0),
        ("Halftime show", "", None),
        ("", "", None),
    ],
)
def test_clock_comes_from_the_game_clock_or_else_from_the_status_text(
    text: str, clock: str, expected: float | None
) -> None:
    game = one(gameStatusText=text, gameClock=clock)
    assert game.clock_s == expected
    assert game.status_text == text.strip()


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (1, "7:30 pm ET", Status.SCHEDULED),
        (1, "PPD", Status.POSTPONED),
        (1, "PPD  ", Status.POSTPONED),
        (2, "Q1 12:00", Status.LIVE),
        (3, "Final", Status.FINAL),
        (3, "Final/OT", Status.FINAL),
    ],
)
def test_status_is_the_number_except_for_a_postponed_game(status: int, text: str, expected: Status) -> None:
    game = one(gameStatus=status, gameStatusText=text, gameClock="", period=0)
    assert game.status is expected
    assert game.postponed is (expected is Status.POSTPONED)
    assert game.clock_s is None or expected is Status.LIVE


@pytest.mark.parametrize("game_et", ["2022-10-18T22:30:00Z", "2022-10-18T22:30:00-04:00", None])
def test_league_date_and_tip_do_not_trust_the_suffix_of_the_eastern_time(game_et: str | None) -> None:
    game = one(gameEt=game_et, gameTimeUTC="2022-10-19T02:30:00Z")
    assert game.league_date == date(2022, 10, 18)
    assert game.tip_at == datetime(2022, 10, 19, 2, 30, tzinfo=UTC)


@pytest.mark.parametrize("game_et", ["2022-10-18T22:30:00Z", "2022-10-18T22:30:00-04:00"])
def test_tip_comes_from_the_eastern_time_when_the_utc_time_is_missing(game_et: str) -> None:
    game = one(gameTimeUTC="", gameEt=game_et, gameCode=None)
    assert game.tip_at == datetime(2022, 10, 19, 2, 30, tzinfo=UTC)
    assert game.league_date == date(2022, 10, 18)


def test_a_game_without_decided_teams_is_left_out() -> None:
    assert parse_scoreboard(board_file(board_line(home={"teamTricode": None}))) == []
    assert parse_scoreboard(board_file(board_line(away={"teamTricode": "TBD"}))) == []


def test_one_bad_line_does_not_hide_the_others() -> None:
    bad = board_line(gameId="0022200002", gameStatus=9)
    games, rejected = parse_scoreboard_lines(board_file(board_line(), bad))
    assert games == [GAME]
    assert [(error.game_id, error.field, error.value) for error in rejected] == [("0022200002", "gameStatus", 9)]
    with pytest.raises(WireError, match="0022200002"):
        parse_scoreboard(board_file(board_line(), bad))


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"gameId": "20220001"}, "gameId", "20220001"),
        ({"gameStatus": "2"}, "gameStatus", "2"),
        ({"period": 99}, "period", 99),
        ({"gameClock": "6:21"}, "gameClock", "6:21"),
        ({"gameTimeUTC": "tonight"}, "gameTimeUTC", "tonight"),
        ({"gameTimeUTC": "0001-01-01T00:00:00Z"}, "gameTimeUTC", "0001-01-01T00:00:00Z"),
        ({"gameTimeUTC": None, "gameEt": None}, "gameTimeUTC", None),
        ({"homeTeam": 7}, "homeTeam", 7),
        ({"gameCode": "20221399/PHIBOS"}, "gameCode", "20221399/PHIBOS"),
        ({"home": {"score": "many"}}, "homeTeam.score", "many"),
        ({"home": {"score": -1}}, "homeTeam.score", -1),
        ({"home": {"score": 1.5}}, "homeTeam.score", 1.5),
    ],
)
def test_a_bad_value_is_named_with_its_game_and_field(changes: dict[str, Any], field: str, value: object) -> None:
    with pytest.raises(WireError) as caught:
        one(**changes)
    assert (caught.value.field, caught.value.value) == (field, value)
    assert field in str(caught.value)
    assert repr(value) in str(caught.value)


# play-by-play


def read(*actions: object, **changes: Any) -> Snapshot:
    return parse_playbyplay(plays_file(*actions), board_game(**changes))


def test_scores_are_strings_and_the_order_number_is_the_order() -> None:
    snapshot = read(action(3, 1, "10:30", 2, 3), action(2, 1, "11:00", 2, 0), action(1, 1, "11:30", 0, 0))
    assert [(play.order, play.t, play.home, play.away) for play in snapshot.plays] == [
        (20_000, 60.0, 2, 0),
        (30_000, 90.0, 2, 3),
    ]
    assert (snapshot.period, snapshot.t, snapshot.status) == (1, 90.0, Status.LIVE)


def test_who_has_the_ball_is_told_at_every_minute_that_is_over() -> None:
    by = {"personId": 7, "teamTricode": "BOS"}
    opening = (
        action(1, 1, "11:58", 0, 0, **by | {"actionType": "jumpball"}),
        action(2, 1, "11:30", 2, 0, **by | {"shotResult": "Made"}),
        action(3, 1, "10:59", 2, 0, **by | {"actionType": "foul"}),
        action(4, 1, "10:59", 2, 0, actionType="freethrow", shotResult="Missed", personId=8, teamTricode="PHI"),
        action(5, 1, "9:58", 2, 0, **by | {"actionType": "rebound"}),
        action(6, 1, "9:40", 2, 0, **by | {"actionType": "3pt", "shotResult": "Missed"}),
        action(7, 1, "8:59", 2, 0, actionType="turnover", subType="shot clock", personId=0, teamTricode="PHI"),
    )
    assert read(*opening[:1]).possessions == (0,)
    assert read(*opening).possessions == (0, -1, 0, 0)
    again = (*opening, action(8, 1, "8:20", 2, 0, **by | {"actionType": "rebound"}), end(9, 1, 2, 0))
    assert read(*again).possessions == (0, -1, 0, 0, *[1] * 8, -1)
    assert len(read(*again, end(10, 2, 2, 0)).possessions) == 24


@pytest.mark.parametrize("kind", ["rebound", "turnover", "foul"])
def test_what_a_team_does_without_a_player_says_nothing_of_its_side(kind: str) -> None:
    plays = (action(1, 1, "11:30", 2, 0, shotResult="Missed", personId=7, teamTricode="BOS"),)
    unclear = action(2, 1, "11:20", 2, 0, actionType=kind, personId=0, teamTricode="BOS")
    assert read(*plays, unclear, action(3, 1, "10:50", 2, 0, actionType="timeout")).possessions == (0, 0)


def test_tenths_of_the_clock_are_kept() -> None:
    assert read(action(1, 1, "PT00M36.40S", 2, 0)).t == pytest.approx(683.6)


def test_of_an_action_that_comes_twice_the_newest_edit_counts() -> None:
    old = action(2, 1, "11:00", 3, 0, edited="2022-10-18T23:40:00Z")
    new = action(2, 1, "11:00", 2, 0, edited="2022-10-18T23:41:00Z")
    for pair in ((old, new), (new, old)):
        snapshot = read(action(1, 1, "11:30", 0, 0), *pair)
        assert snapshot.score == (2, 0)


def test_missing_fields_of_an_action_are_tolerated() -> None:
    bare = {"orderNumber": 20_000, "period": 1, "actionType": "stoppage"}
    blank = {"orderNumber": 30_000, "period": 1, "clock": "", "scoreHome": "", "scoreAway": None}
    snapshot = read(action(1, 1, "11:00", 2, 0), bare, blank, action(4, 1, "10:00", 2, 2))
    assert snapshot.score == (2, 2)
    assert snapshot.t == 120.0


def test_numbers_are_taken_for_scores_too() -> None:
    assert read(action(1, 1, "11:00", 0, 0, scoreHome=2)).score == (2, 0)


def test_period_end_ends_the_half_even_when_more_actions_follow_it() -> None:
    replay = action(3, 2, "0:00", 50, 48, actionType="instantreplay", subType="request")
    snapshot = read(action(1, 2, "0:05", 50, 48), end(2, 2, 50, 48), replay)
    assert snapshot.period_ended
    assert half_over(snapshot)
    assert halftime_score(snapshot) == (50, 48)


def test_a_new_period_is_not_ended_by_the_end_of_the_last() -> None:
    assert not read(end(1, 1, 20, 20), action(2, 2, "12:00", 20, 20)).period_ended


def test_no_actions_is_a_scheduled_or_postponed_game() -> None:
    assert read().status is Status.SCHEDULED
    assert read(postponed=True, status=Status.POSTPONED).status is Status.POSTPONED
    assert read().period == 0


def test_game_end_makes_a_game_final() -> None:
    assert read(end(1, 4, 100, 99), end(2, 4, 100, 99, "game")).status is Status.FINAL


def test_a_file_that_lags_behind_a_final_scoreboard_is_not_final() -> None:
    final = {"status": Status.FINAL, "home_score": 100, "away_score": 99}
    assert read(action(1, 2, "6:00", 40, 41), **final).status is Status.LIVE
    assert read(end(1, 4, 98, 99), **final).status is Status.LIVE
    assert read(end(1, 4, 100, 99), **final).status is Status.FINAL


def test_event_time_is_of_the_newest_play_and_edit_time_of_the_newest_edit() -> None:
    snapshot = read(
        action(1, 1, "11:00", 2, 0, timeActual="2022-10-18T23:41:00.0Z", edited="2022-10-18T23:59:00Z"),
        action(2, 1, "10:00", 4, 0, timeActual="2022-10-18T23:42:00.0Z", edited="2022-10-18T23:42:05Z"),
    )
    assert snapshot.event_at == datetime(2022, 10, 18, 23, 42, tzinfo=UTC)
    assert snapshot.edited_at == datetime(2022, 10, 18, 23, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"clock": "PT1"}, "clock of action 10000 (period 1)", "PT1"),
        ({"clock": "PT13M00.00S"}, "clock of action 10000 (period 1)", "PT13M00.00S"),
        ({"scoreHome": "two"}, "scoreHome", "two"),
        ({"scoreAway": "-3"}, "scoreAway", "-3"),
        ({"scoreAway": "٣"}, "scoreAway", "٣"),
        ({"orderNumber": None}, "game.actions[0].orderNumber", None),
        ({"period": 0}, "game.actions[0].period", 0),
        ({"edited": "yesterday"}, "edited", "yesterday"),
        ({"timeActual": "9999-12-31T23:59:59-23:59"}, "timeActual", "9999-12-31T23:59:59-23:59"),
    ],
)
def test_a_bad_action_is_named_with_its_game_and_field(changes: dict[str, Any], field: str, value: object) -> None:
    with pytest.raises(WireError) as caught:
        read(action(1, 1, "11:00", 2, 0) | changes)
    assert (caught.value.game_id, caught.value.field, caught.value.value) == (GAME_ID, field, value)


def test_the_file_of_another_game_is_refused() -> None:
    with pytest.raises(WireError, match="0022200009"):
        parse_playbyplay(plays_file(game_id="0022200009"), GAME)


@pytest.mark.parametrize("data", [b"", b"<html></html>", b'{"game":', b"\xff\xfe", b"[" * 100_000, b"nul"])
def test_what_is_no_json_document_is_a_syntax_error(data: bytes) -> None:
    with pytest.raises(WireSyntaxError):
        parse_playbyplay(data, GAME)
    with pytest.raises(WireSyntaxError):
        parse_scoreboard(data)


# any bytes

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def parsed_or_refused(data: bytes) -> None:
    for parse in (parse_scoreboard, lambda body: parse_playbyplay(body, GAME)):
        try:
            parse(data)
        except WireError as error:
            assert str(error)  # noqa: PT017


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_a_wire_error(data: bytes) -> None:
    parsed_or_refused(data)


@given(st.sampled_from(sorted(board_line())), json_values)
def test_any_value_in_a_scoreboard_line_gives_a_value_or_a_wire_error(field: str, value: object) -> None:
    parsed_or_refused(msgspec.json.encode({"scoreboard": {"games": [board_line() | {field: value}]}}))


@given(st.sampled_from(sorted(action(1, 1, "1:00", 0, 0))), json_values)
def test_any_value_in_an_action_gives_a_value_or_a_wire_error(field: str, value: object) -> None:
    parsed_or_refused(plays_file(action(1, 1, "11:00", 2, 0), action(2, 1, "10:00", 2, 0) | {field: value}))


@given(st.data())
def test_a_file_cut_off_anywhere_is_refused(data: st.DataObject) -> None:
    plays, board = plays_file(action(1, 1, "11:00", 2, 0)), board_file(board_line())
    with pytest.raises(WireError):
        parse_playbyplay(plays[: data.draw(st.integers(0, len(plays) - 1))], GAME)
    with pytest.raises(WireError):
        parse_scoreboard(board[: data.draw(st.integers(0, len(board) - 1))])


# files of the real feed


def test_recorded_scoreboards_are_read_whole(recorded: Path) -> None:
    files = sorted((recorded / "live" / "scoreboard").glob("*.json"))
    assert len(files) == 6
    for path in files:
        body = path.read_bytes()
        games = parse_scoreboard(body)
        raw = msgspec.json.decode(body)["scoreboard"]
        assert [game.game_id for game in games] == [line["gameId"] for line in raw["games"]]
        assert {game.league_date.isoformat() for game in games} == {raw["gameDate"]}
        for game, line in zip(games, raw["games"], strict=True):
            assert (game.home_score, game.away_score) == (line["homeTeam"]["score"], line["awayTeam"]["score"])
            assert (game.clock_s is None) is (game.status is not Status.LIVE)


def test_margins_of_a_recorded_live_file_equal_the_training_row(recorded: Path) -> None:
    game = board_game(game_id="0022000001", home="BKN", away="GSW")
    snapshot = parse_playbyplay((recorded / "live/playbyplay/playbyplay_0022000001.json").read_bytes(), game)
    games = pd.read_parquet(recorded / "games.parquet").set_index("game_id")
    row: dict[Any, Any] = games.loc["0022000001"].to_dict()
    assert margins(snapshot) == tuple(int(row[f"diff_{minute:02d}"]) for minute in range(1, 25))
    assert halftime_score(snapshot) == (row["home_score_24"], row["away_score_24"])
    assert snapshot.status is Status.FINAL
    assert snapshot.score == (row["home_score_final"], row["away_score_final"])


def test_one_recorded_game_at_four_moments_moves_forward(recorded: Path) -> None:
    game = board_game(game_id="0022500775", home="CHA", away="ATL")
    folder = recorded / "live" / "playbyplay"
    moments = ("NoSubsYet", "Halftime", "2ndHalf", "GameEnd")
    snapshots = [
        parse_playbyplay((folder / f"playbyplay_0022500775.{name}.json").read_bytes(), game) for name in moments
    ]
    assert [snapshot.period for snapshot in snapshots] == [1, 2, 4, 4]
    assert [half_over(snapshot) for snapshot in snapshots] == [False, True, True, True]
    assert [snapshot.status for snapshot in snapshots] == [Status.LIVE] * 3 + [Status.FINAL]
    assert margins(snapshots[1]) == margins(snapshots[3])


def test_a_real_file_tells_who_had_the_ball_as_the_recorded_plays_do(recorded: Path) -> None:
    data = (recorded / "live" / "playbyplay" / "playbyplay_0022000001.json").read_bytes()
    line = board_game(game_id="0022000001", home="BKN", away="GSW")
    games = pd.read_parquet(recorded / "games.parquet", filters=[("game_id", "==", "0022000001")])
    plays = pd.read_parquet(recorded / "plays_2020.parquet", filters=[("game_id", "==", "0022000001")])
    assert list(parse_playbyplay(data, line).possessions) == recorded_held(plays, games)[0].tolist()
