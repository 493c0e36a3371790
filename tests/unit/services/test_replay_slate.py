from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.league import simulate_history, simulate_plays
from services.replay_slate import LONGEST_GAP_MIN, SlateError, build_script, build_slate, spread
from services.replay_sources import recorded_slate, simulated_slate
from tests.support.feed_nights import evening


def test_rows_of_one_minute_are_spread_over_it_in_their_order() -> None:
    assert spread([0, 0, 1, 3]) == [20.0, 40.0, 90.0, 210.0]


def test_a_minute_that_goes_back_or_leaps_for_a_few_rows_is_repaired() -> None:
    assert [second // 60 for second in spread([0, 1, 2, 1, 2, 3])] == [0, 1, 1, 1, 2, 3]
    assert [second // 60 for second in spread([0, 1, 2, 361, 3, 4])] == [0, 1, 2, 2, 3, 4]


def test_a_leap_without_return_is_shortened() -> None:
    assert spread([0, 1, 900])[-1] // 60 == 1 + LONGEST_GAP_MIN


@given(st.lists(st.integers(-600, 600), min_size=1, max_size=80))
def test_times_strictly_increase_whatever_was_recorded(minutes: list[int]) -> None:
    seconds = spread(minutes)
    assert len(seconds) == len(minutes)
    assert all(first < second for first, second in pairwise(seconds))


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=60).map(lambda steps: [sum(steps[:n]) for n in range(len(steps))])
)
def test_minutes_that_never_go_back_are_kept(minutes: list[int]) -> None:
    assert [int(second // 60) for second in spread(minutes)] == minutes


def test_a_simulated_evening_has_its_games_in_the_order_of_their_tips() -> None:
    slate = evening()
    assert (slate.source, slate.league_date) == ("simulated", date(2023, 2, 3))
    assert len(slate.games) >= 8
    assert all(first.scheduled_at <= second.scheduled_at for first, second in pairwise(slate.games))
    for game in slate.games:
        assert 0 <= game.tip_s - game.scheduled_at.timestamp() < 1800
        assert sum(game.standings[0]) > 30


def test_the_default_recorded_night_has_eight_games(recorded: Path) -> None:
    slate = recorded_slate(recorded)
    assert (slate.source, len(slate.games)) == ("recorded", 8)
    games = pd.read_parquet(recorded / "games.parquet").set_index("game_id")
    for game in slate.games:
        assert (game.home, game.away) == tuple(games.loc[game.game_id, ["home", "away"]])
        assert game.rows[-1].home - game.rows[-1].away == games.loc[game.game_id, "diff_final"]
        assert datetime.fromtimestamp(game.tip_s, game.scheduled_at.tzinfo).date() == slate.league_date


def test_a_replay_reads_files_in_the_forms_that_history_reads(tmp_path: Path) -> None:
    day = date(2023, 2, 3)
    season = simulate_history([2022])
    tonight = season.loc[season["date"] == day, "game_id"].tolist()
    simulate_plays(tonight).to_parquet(tmp_path / "plays_2022.parquet")
    season.to_parquet(tmp_path / "games.parquet")
    wanted = recorded_slate(tmp_path, day)
    odd = season[season["game_id"] == tonight[0]].assign(
        game_id="0032200001", season_type="allstar", home="GNS", away="LBJ"
    )
    for form in ("%Y-%m-%d", "%Y-%m-%dT00:00:00"):
        other = pd.concat([odd, season])
        texts = pd.to_datetime(other["date"]).dt.strftime(form)
        other.assign(date=texts, season=other["season"].astype(str)).to_parquet(tmp_path / "games.parquet")
        assert recorded_slate(tmp_path, day) == wanted


def test_a_date_without_games_names_the_nearest_ones() -> None:
    with pytest.raises(SlateError, match="nearest dates with games are 2023-06"):
        simulated_slate(league_date=date(2023, 7, 20))


def test_a_season_without_plays_names_those_with_plays(recorded: Path) -> None:
    with pytest.raises(SlateError, match="2020, 2021, 2022"):
        recorded_slate(recorded, date(2019, 1, 15))


def test_a_folder_without_games_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SlateError, match="--simulated"):
        recorded_slate(tmp_path)


def test_a_league_date_before_the_simulated_seasons_is_refused() -> None:
    with pytest.raises(SlateError, match="1999"):
        simulated_slate(league_date=date(1999, 1, 1))


def test_games_without_events_and_unknown_teams_are_refused() -> None:
    day = date(2023, 2, 3)
    plays = pd.DataFrame({"game_id": ["0022200001"], "time_actual_et_minute": [pd.Timestamp("2023-02-03 19:10")]})
    games = pd.DataFrame({"game_id": ["0022200002"], "home": ["BOS"], "away": ["PHI"]})
    with pytest.raises(SlateError, match="no events"):
        build_slate(day, "recorded", games, plays)
    with pytest.raises(SlateError, match="XXX"):
        build_script("0022200001", "XXX", "PHI", day, plays)
    with pytest.raises(SlateError, match="has no events"):
        build_script("0022200001", "BOS", "PHI", day, plays.iloc[:0])
