"""The simulated league, held against the figures of the recorded one."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models import league, league_season
from models.history import MARGIN_COLUMNS, POSSESSION_COLUMNS, History
from models.history_frame import GAME_TYPES, PLAY_TYPES, POSSESSION_TYPES, check_games, recorded_held
from models.league_schedule import EASTERN
from models.ratings import rate_history

# Points; measured on the recorded league.
FIGURES = {
    "spread of the halftime margin": 11.2,
    "mean halftime margin": 1.4,
    "spread of the change 18 to 24": 6.0,
    "persistence error at minute 18": 4.78,
    "persistence error at minute 17": 5.13,
    "home lead at minute 6": 0.45,
    "home lead at minute 12": 0.78,
    "home lead at minute 18": 1.10,
    "final home lead": 2.34,
    "spread of the final margin": 14.4,
}


def figures(games: pd.DataFrame) -> dict[str, float]:
    m = games[list(MARGIN_COLUMNS)].to_numpy(dtype=float)
    final = games["diff_final"].to_numpy(dtype=float)
    values = (
        m[:, 24].std(),
        m[:, 24].mean(),
        (m[:, 24] - m[:, 18]).std(),
        np.abs(m[:, 24] - m[:, 18]).mean(),
        np.abs(m[:, 24] - m[:, 17]).mean(),
        m[:, 6].mean(),
        m[:, 12].mean(),
        m[:, 18].mean(),
        final.mean(),
        final.std(),
    )
    return dict(zip(FIGURES, map(float, values), strict=True))


@pytest.fixture(scope="module")
def games() -> pd.DataFrame:
    return league.simulate_history()


@pytest.fixture(scope="module")
def some_plays(games: pd.DataFrame) -> pd.DataFrame:
    """Fifty games of one season, ten of them with overtime."""
    season = games[games["season"] == 2021]
    ids = season[season["n_periods"] > 4]["game_id"].head(10).tolist() + season["game_id"].iloc[::33].tolist()
    return league.simulate_plays(list(dict.fromkeys(ids)))


@pytest.mark.parametrize("figure", FIGURES)
def test_ten_seasons_meet_the_recorded_figure_within_five_percent(games: pd.DataFrame, figure: str) -> None:
    assert figures(games)[figure] == pytest.approx(FIGURES[figure], rel=0.05)


def test_another_seed_meets_the_figures_within_five_percent_and_its_sampling_error() -> None:
    other = figures(league.simulate_history(seed=20))
    for figure, target in FIGURES.items():
        sampling = 3 * 14.4 / 13_000**0.5 if "lead" in figure or "mean" in figure else 0.0
        assert other[figure] == pytest.approx(target, abs=0.05 * target + sampling), figure


def test_later_seasons_are_harder_to_forecast(games: pd.DataFrame) -> None:
    change = (games["diff_24"].astype(int) - games["diff_18"].astype(int)).abs()
    error = change.groupby(games["season"]).mean()
    slope = np.polyfit(error.index, error, 1)[0]
    assert 0.02 < slope < 0.08
    assert error.loc[:2015].mean() + 0.15 < error.loc[2020:].mean()


def test_team_strength_can_be_learned_from_results(games: pd.DataFrame) -> None:
    history = History.from_frame(games, source="simulated")
    rating = np.nan_to_num(rate_history(history)[0])
    fit, test = history.season <= 2019, history.season >= 2020
    skill = {}
    for minute in (0, 18):
        change = history.change(minute).astype(float)
        known = np.column_stack([np.ones(len(history)), history.margins[:, minute], rating])
        weights = np.linalg.lstsq(known[fit], change[fit], rcond=None)[0]
        skill[minute] = 1 - ((change - known @ weights)[test] ** 2).mean() / (change[test] ** 2).mean()
    assert 0.05 < skill[0] < 0.16
    assert 0.015 < skill[18] < 0.06


def test_strength_carries_over_from_season_to_season(games: pd.DataFrame) -> None:
    regular = games[games["season_type"] == "regular"]
    home = regular.groupby(["season", "home"])["diff_final"].mean()
    away = regular.groupby(["season", "away"])["diff_final"].mean()
    strength = (home - away.rename_axis(["season", "home"])).unstack()
    seasons = strength.to_numpy(dtype=float)
    carried = [float(np.corrcoef(one, after)[0, 1]) for one, after in pairwise(seasons)]
    assert 0.3 < np.mean(carried) < 0.85


def test_the_same_seed_gives_the_same_bits(games: pd.DataFrame) -> None:
    league_season._KEPT.clear()
    again = league.simulate_history([2017])
    alone = games[games["season"] == 2017].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, alone)


def test_the_default_league_is_the_same_on_every_machine(games: pd.DataFrame) -> None:
    margins = games.loc[games["season"] == 2022, [*MARGIN_COLUMNS, "diff_final"]].to_numpy(dtype="<i2")
    digest = hashlib.sha256(margins.tobytes()).hexdigest()
    assert digest == "7c6cc7d8bd4b08ab472cc75935346fa1bad436cc6e725df3d6e037ae6ff5e3d8"


def test_another_seed_gives_another_league(games: pd.DataFrame) -> None:
    other = league.simulate_history([2017], seed=16)
    assert other["diff_24"].head(500).tolist() != games[games["season"] == 2017]["diff_24"].head(500).tolist()


def test_games_are_sound_and_say_that_they_are_simulated(games: pd.DataFrame) -> None:
    assert {name: str(kind) for name, kind in games.dtypes.items()} == GAME_TYPES | POSSESSION_TYPES
    check_games(games, "simulated league")
    assert set(games["score_method"]) == {"simulated"}
    assert (games["game_id"].str[5:].astype(int) >= 90_000).all()
    assert sorted(games["season"].unique()) == list(range(2013, 2023))


def test_frames_have_the_types_of_the_recorded_files(
    games: pd.DataFrame, some_plays: pd.DataFrame, recorded: Path
) -> None:
    pd.testing.assert_series_equal(games[list(GAME_TYPES)].dtypes, pd.read_parquet(recorded / "games.parquet").dtypes)
    plays = pd.read_parquet(recorded / "plays_2022.parquet")
    pd.testing.assert_series_equal(some_plays.dtypes, plays.dtypes)
    assert set(some_plays["action_type"]) <= set(plays["action_type"])


def test_plays_agree_exactly_with_the_history(games: pd.DataFrame, some_plays: pd.DataFrame) -> None:
    rows = games.set_index("game_id")
    assert some_plays["game_id"].nunique() >= 45
    for game_id, plays in some_plays.groupby("game_id"):
        row = rows.loc[game_id]
        for minute in range(49):
            counted = plays[(plays["elapsed_seconds"] <= 60 * minute) & (plays["period"] <= max(1, -(-minute // 12)))]
            last = counted.iloc[-1]
            assert last["score_home"] - last["score_away"] == row[f"diff_{minute:02d}"], (game_id, minute)
        last = plays.iloc[-1]
        assert (last["score_home"], last["score_away"]) == (row["home_score_final"], row["away_score_final"])
        assert plays["period"].max() == row["n_periods"]


def test_who_has_the_ball_in_the_plays_is_who_has_it_in_the_history(
    games: pd.DataFrame, some_plays: pd.DataFrame
) -> None:
    told = games[games["game_id"].isin(some_plays["game_id"])]
    assert np.array_equal(recorded_held(some_plays, told), told[list(POSSESSION_COLUMNS)])


def test_the_ball_is_worth_what_it_is_worth_in_the_recorded_league(games: pd.DataFrame) -> None:
    history = History.from_frame(games, source="simulated")
    worth = []
    for minute in range(1, 24):
        known = np.column_stack([np.ones(len(history)), history.margins[:, minute], history.possession[:, minute]])
        worth.append(np.linalg.lstsq(known, history.change(minute), rcond=None)[0][2])
    assert 0.40 < np.mean(worth) < 0.56
    assert (history.possession[:, 1:] != 0).mean() > 0.85


def test_a_game_alone_is_the_game_in_company() -> None:
    night = date(2023, 2, 3)
    together = league.simulate_plays(day=night)
    for game_id in league.games_of(night)[:3]:
        alone = league.simulate_plays([game_id])
        pd.testing.assert_frame_equal(alone, together[together["game_id"] == game_id].reset_index(drop=True))


def test_plays_tell_a_game_in_order(some_plays: pd.DataFrame) -> None:
    assert {name: str(kind) for name, kind in some_plays.dtypes.items()} == PLAY_TYPES
    for _, plays in some_plays.groupby("game_id"):
        assert plays["row"].tolist() == list(range(len(plays)))
        assert plays["elapsed_seconds"].is_monotonic_increasing
        assert plays["event_num"].is_monotonic_increasing
        assert plays["time_actual_et_minute"].is_monotonic_increasing
        assert plays["points_home"].cumsum().tolist() == plays["score_home"].tolist()
        assert plays["points_away"].cumsum().tolist() == plays["score_away"].tolist()
        periods = plays["period"].max()
        for edge, at in (("period_start", {720, 300}), ("period_end", {0})):
            edges = plays[plays["action_type"] == edge]
            assert edges["period"].tolist() == list(range(1, periods + 1))
            assert set(edges["clock_seconds_remaining"]) <= at
        tied = plays[(plays["action_type"] == "period_end") & (plays["period"] >= 4) & (plays["period"] < periods)]
        assert (tied["score_home"] == tied["score_away"]).all()


def test_a_free_throw_comes_at_the_second_of_its_foul(some_plays: pd.DataFrame) -> None:
    keys = ["game_id", "period", "clock_seconds_remaining"]
    fouls = set(some_plays.loc[some_plays["action_type"] == "foul", keys].itertuples(index=False, name=None))
    thrown = some_plays.loc[some_plays["action_type"] == "free_throw", keys].itertuples(index=False, name=None)
    assert set(thrown) <= fouls


def test_the_wall_clock_runs_as_on_a_real_night(some_plays: pd.DataFrame) -> None:
    def first(rows: pd.Series) -> pd.Series:
        return some_plays[rows].groupby("game_id")["time_actual_et_minute"].first()

    tip = some_plays.groupby("game_id")["time_actual_et_minute"].first()
    in_second = some_plays["period"] == 2
    six_left = first(in_second & (some_plays["elapsed_seconds"] >= 1080))
    half = first(in_second & (some_plays["action_type"] == "period_end"))
    to_six, to_half = (six_left - tip).dt.total_seconds() / 60, (half - six_left).dt.total_seconds() / 60
    assert 40 < to_six.mean() < 45
    assert 32 <= to_six.quantile(0.02) < to_six.quantile(0.98) <= 56
    assert 12.5 < to_half.mean() < 16
    assert 7 <= to_half.min() < to_half.max() <= 24


def test_plays_start_shortly_after_the_scheduled_tip(some_plays: pd.DataFrame) -> None:
    tips = league.tip_times(some_plays["game_id"].unique().tolist())
    first = some_plays.groupby("game_id")["time_actual_et_minute"].first()
    for game_id, minute in first.items():
        tip = tips[str(game_id)]
        assert tip.tzinfo is UTC
        assert time(19) <= tip.astimezone(EASTERN).time() <= time(22, 30)
        late_s = (minute.to_pydatetime().replace(tzinfo=EASTERN) - tip).total_seconds()
        assert 6 * 60 <= late_s <= 14 * 60


def test_scores_look_like_basketball(games: pd.DataFrame, some_plays: pd.DataFrame) -> None:
    assert 99 < games.loc[games["season"] == 2013, "home_score_final"].mean() < 104
    assert 112 < games.loc[games["season"] == 2022, "home_score_final"].mean() < 118
    assert 0.02 < (games["n_periods"] > 4).mean() < 0.08
    per_game = some_plays["action_type"].value_counts() / some_plays["game_id"].nunique()
    recorded = {
        "rebound": 103,
        "missed_fg": 93,
        "made_fg": 83,
        "free_throw": 47,
        "foul": 41,
        "turnover": 28,
        "timeout": 11,
    }
    for action, count in recorded.items():
        assert per_game[action] == pytest.approx(count, rel=0.15), action


def test_playoff_series_end_with_the_fourth_win(games: pd.DataFrame) -> None:
    playoffs = games[(games["season_type"] == "playoffs") & (games["season"] == 2019)]
    series = playoffs["game_id"].str[:9]
    assert series.nunique() == 15
    for _, met in playoffs.groupby(series):
        winners = pd.Series(np.where(met["diff_final"] > 0, met["home"], met["away"]))
        assert winners.value_counts().max() == 4
        assert winners.iloc[-1] == winners.value_counts().idxmax()
        assert met["date"].is_monotonic_increasing


def test_a_date_without_games_has_no_plays() -> None:
    nobody = league.simulate_plays(day=date(2022, 12, 24))
    assert len(nobody) == 0
    assert {name: str(kind) for name, kind in nobody.dtypes.items()} == PLAY_TYPES
    assert league.games_of(date(1999, 1, 1)) == []


def test_dates_count_their_games(games: pd.DataFrame) -> None:
    dates = league.simulated_dates()
    assert sum(dates.values()) == len(games)
    assert list(dates) == sorted(dates)
    assert dates[date(2023, 2, 3)] == len(league.games_of(date(2023, 2, 3))) >= 8


@pytest.mark.parametrize("game_id", ["0022200001", "0029990001", "22290001", "0022299999", "00222900O1"])
def test_an_unknown_game_is_named(game_id: str) -> None:
    with pytest.raises(league.LeagueError, match=game_id):
        league.simulate_plays([game_id])


def test_plays_are_asked_for_by_game_or_by_day() -> None:
    with pytest.raises(league.LeagueError, match="not both"):
        league.simulate_plays()
    with pytest.raises(league.LeagueError, match="not both"):
        league.simulate_plays(["0022290001"], day=date(2023, 2, 3))


def test_a_season_outside_the_league_is_refused() -> None:
    with pytest.raises(ValueError, match="2023"):
        league.simulate_history([2023])


def test_no_games_give_an_empty_answer() -> None:
    assert league.tip_times([]) == {}
    assert league.simulate_plays([]).empty
