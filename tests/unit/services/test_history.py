"""Frames of games and plays from files and from the simulated league."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from models import league
from models.history import POSSESSION_COLUMNS
from models.history_frame import GAME_TYPES, PLAY_TYPES, POSSESSION_TYPES
from services.history import (
    HistoryError,
    recorded_dates,
    recorded_games,
    recorded_plays,
    simulated_dates,
    simulated_games,
    simulated_plays,
)

NIGHT = date(2023, 2, 3)


@pytest.fixture(scope="module")
def season() -> pd.DataFrame:
    return league.simulate_history([2022])


@pytest.fixture
def folder(tmp_path: Path, season: pd.DataFrame) -> Path:
    """Simulated games written as recorded files: two nights have plays."""
    season.to_parquet(tmp_path / "games.parquet")
    nights = season[season["date"].isin([NIGHT, NIGHT + timedelta(days=1)])]
    league.simulate_plays(nights["game_id"].tolist()).to_parquet(tmp_path / "plays_2022.parquet")
    return tmp_path


def test_games_come_back_as_they_were_written(folder: Path, season: pd.DataFrame) -> None:
    back = recorded_games(folder)
    pd.testing.assert_frame_equal(back[list(GAME_TYPES)], season[list(GAME_TYPES)])


def test_who_had_the_ball_is_read_from_the_plays_beside_the_games(folder: Path, season: pd.DataFrame) -> None:
    held = recorded_games(folder).set_index("date")[list(POSSESSION_COLUMNS)].abs()
    with_plays = held.index.isin([NIGHT, NIGHT + timedelta(days=1)])
    assert (held[with_plays].sum(axis=1) >= 12).all()
    assert not held[~with_plays].to_numpy().any()
    (folder / "plays_2022.parquet").unlink()
    assert not recorded_games(folder)[list(POSSESSION_COLUMNS)].to_numpy().any()


def test_plays_of_a_day_are_those_of_its_games(folder: Path) -> None:
    plays = recorded_plays(folder, day=NIGHT)
    pd.testing.assert_frame_equal(plays, simulated_plays(day=NIGHT))
    ids = league.games_of(NIGHT)[:2]
    assert recorded_plays(folder, game_ids=ids)["game_id"].drop_duplicates().tolist() == ids


def test_a_day_without_games_has_no_plays(folder: Path) -> None:
    nobody = recorded_plays(folder, day=date(2022, 12, 24))
    assert nobody.empty
    assert {name: str(kind) for name, kind in nobody.dtypes.items()} == PLAY_TYPES


def test_dates_are_those_of_seasons_with_plays(folder: Path, season: pd.DataFrame) -> None:
    dates = recorded_dates(folder)
    assert dates[NIGHT] == len(league.games_of(NIGHT))
    assert sum(dates.values()) == len(season)
    (folder / "plays_2022.parquet").unlink()
    assert recorded_dates(folder) == {}


def test_plays_that_are_not_there_are_named(folder: Path) -> None:
    with pytest.raises(HistoryError, match=r"plays_2022.parquet holds no plays of 1 of 1 games, first 0022290001"):
        recorded_plays(folder, game_ids=["0022290001"])
    with pytest.raises(HistoryError, match=r"plays_2019.parquet does not exist"):
        recorded_plays(folder, game_ids=["0021990001"])
    with pytest.raises(HistoryError, match="'22290001'"):
        recorded_plays(folder, game_ids=["22290001"])
    with pytest.raises(HistoryError, match="not both"):
        recorded_plays(folder)


def test_a_missing_file_or_column_is_named(folder: Path, season: pd.DataFrame) -> None:
    with pytest.raises(HistoryError, match=r"nowhere/games.parquet does not exist"):
        recorded_games(folder / "nowhere")
    season.drop(columns=["diff_24", "away"]).to_parquet(folder / "games.parquet")
    with pytest.raises(HistoryError, match=r"games.parquet lacks 2 columns, first 'away'"):
        recorded_games(folder)
    (folder / "games.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(HistoryError, match="cannot be read as parquet"):
        recorded_games(folder)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("game_id", "22290001", "game_id 22290001 .* is unlike 0022200001"),
        ("game_id", "0022290002", "game_id 0022290002 .* comes more than once"),
        ("diff_00", 2, "diff_00 2 .* is not 0"),
        ("diff_24", 99, "diff_24 99 .* differs from the scores at minute 24"),
        ("diff_final", 0, "diff_final 0 .* differs from the final scores"),
        ("n_periods", 3, "n_periods 3 .* is outside"),
        ("date", "opening night", "date opening night .* is not a date"),
    ],
)
def test_a_bad_row_is_counted_and_shown(
    folder: Path, season: pd.DataFrame, column: str, value: str | int, says: str
) -> None:
    bad = season.copy()
    bad[column] = bad[column].astype(object)
    bad.loc[bad.index == 0, column] = value
    if column == "date":
        bad["date"] = bad["date"].astype(str)
    elif column != "game_id":
        bad[column] = bad[column].astype("int16")
    bad.to_parquet(folder / "games.parquet")
    with pytest.raises(HistoryError, match=rf"games.parquet: 1 of {len(bad)} rows are bad: {says}"):
        recorded_games(folder)


def test_values_that_do_not_fit_their_type_are_named(folder: Path, season: pd.DataFrame) -> None:
    wide = season.astype({"diff_05": "int64"})
    wide.loc[7, "diff_05"] = 70_000
    wide.to_parquet(folder / "games.parquet")
    with pytest.raises(HistoryError, match="diff_05 has 1 values no int16 holds, first 70000"):
        recorded_games(folder)
    empty = season.astype({"home_score_24": "float64"})
    empty.loc[7, "home_score_24"] = None
    empty.to_parquet(folder / "games.parquet")
    with pytest.raises(HistoryError, match="column home_score_24 is empty in 1 rows, first row 7"):
        recorded_games(folder)


def test_simulated_twins_have_the_same_form() -> None:
    games = simulated_games(seasons=[2022])
    assert {name: str(kind) for name, kind in games.dtypes.items()} == GAME_TYPES | POSSESSION_TYPES
    assert set(games["score_method"]) == {"simulated"}
    assert simulated_dates()[NIGHT] == len(league.games_of(NIGHT))


def test_recorded_games_pass_their_checks(recorded: Path) -> None:
    games = recorded_games(recorded)
    pd.testing.assert_frame_equal(games[list(GAME_TYPES)], pd.read_parquet(recorded / "games.parquet"))
    assert recorded_dates(recorded)[NIGHT] == 8
    assert recorded_plays(recorded, day=NIGHT)["game_id"].nunique() == 8


def test_recorded_possessions_are_known_at_most_marks_of_the_seasons_with_plays(recorded: Path) -> None:
    games = recorded_games(recorded)
    known = games[list(POSSESSION_COLUMNS)[1:]].ne(0).mean(axis=1)
    assert known[games["season"] >= 2020].mean() > 0.85
    assert not known[games["season"] < 2020].any()


def test_every_recorded_date_to_replay_has_its_plays(recorded: Path) -> None:
    games = recorded_games(recorded)
    for season in (2020, 2021, 2022):
        plays = pd.read_parquet(recorded / f"plays_{season}.parquet", columns=["game_id"])
        missing = set(games.loc[games["season"] == season, "game_id"]) - set(plays["game_id"])
        assert not missing


def test_dates_as_timestamps_or_texts_seasons_as_texts_and_columns_nobody_reads_are_forgiven(
    folder: Path, season: pd.DataFrame
) -> None:
    wanted = recorded_games(folder)
    moments = pd.to_datetime(season["date"])
    for days in (moments, moments.dt.strftime("%Y-%m-%d")):
        other = season.assign(date=days, season=season["season"].astype(str)).drop(
            columns=["bubble_2020", "score_method"]
        )
        other.to_parquet(folder / "games.parquet")
        found = recorded_games(folder)
        columns = [name for name in wanted.columns if name not in ("bubble_2020", "score_method")]
        assert found[columns].equals(wanted[columns])

        found_plays = recorded_plays(folder, day=NIGHT)
        pd.testing.assert_frame_equal(found_plays, simulated_plays(day=NIGHT))
        assert recorded_dates(folder)[NIGHT] == len(league.games_of(NIGHT))


def test_columns_nobody_reads_may_have_gaps(folder: Path, season: pd.DataFrame) -> None:
    gaps = season.astype({"bubble_2020": object})
    gaps.loc[[3, 4], ["bubble_2020", "score_method"]] = None
    gaps.to_parquet(folder / "games.parquet")
    found = recorded_games(folder)
    assert found["score_method"].tolist()[2:5] == ["simulated", "", ""]
    assert not found["bubble_2020"].any()


def odd_rows(season: pd.DataFrame) -> pd.DataFrame:
    """Seven games of ``NIGHT`` that are no games to learn from, each wrong in what only such games have wrong."""
    night = season[season["date"] == NIGHT].iloc[:7].reset_index(drop=True)
    odd = night.astype(dict.fromkeys(("date", "season", "diff_07", "home_score_24"), object))
    odd["game_id"] = [f"003220000{place}" for place in range(7)]
    odd["season_type"] = ["allstar", "playin", "playin", None, "regular", "regular", "regular"]
    odd.loc[0, ["date", "home", "away", "diff_07", "home_score_24"]] = ["in spring", "GNS", "LBJ", None, None]
    odd.loc[4, "home"], odd.loc[5, "away"] = "GNS", None
    odd.loc[6, "diff_07"] = None
    return odd


def test_games_of_another_kind_or_teams_or_without_a_minute_are_left_out_and_counted_in_one_warning(
    folder: Path, season: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = recorded_games(folder)
    assert caplog.text == ""
    texts = season.assign(date=season["date"].astype(str))
    together = pd.concat([odd_rows(season).astype({"date": str}), texts])
    together.astype({"season": "int64", "diff_07": "float64", "home_score_24": "float64"}).to_parquet(
        folder / "games.parquet"
    )
    assert recorded_games(folder).equals(wanted)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        f"{folder / 'games.parquet'}: 7 of {len(season) + 7} games are left out: 2 neither regular season nor playoffs"
        " (playin), 1 neither regular season nor playoffs (None), 1 neither regular season nor playoffs (allstar),"
        " 1 no margin of a minute (diff_07), 1 unknown teams (GNS), 1 unknown teams (None)"
    )
    assert recorded_dates(folder)[NIGHT] == len(league.games_of(NIGHT))
    assert recorded_plays(folder, day=NIGHT)["game_id"].nunique() == len(league.games_of(NIGHT))
    assert len(caplog.records) == 1


def test_a_file_without_any_game_of_the_league_is_refused_with_what_it_has(folder: Path, season: pd.DataFrame) -> None:
    season.assign(season_type="Regular Season").to_parquet(folder / "games.parquet")
    with pytest.raises(HistoryError, match=rf"none of {len(season)} games .* {len(season)} neither .*Regular Season"):
        recorded_games(folder)


def test_a_date_with_a_time_of_day_is_still_refused(folder: Path, season: pd.DataFrame) -> None:
    moments = pd.to_datetime(season["date"])
    moments[5] += pd.Timedelta(hours=19)
    for days in (moments, moments.astype(str)):
        season.assign(date=days).to_parquet(folder / "games.parquet")
        for read in (recorded_games, recorded_dates):
            with pytest.raises(HistoryError, match=r"1 of \d+ rows are bad: date .* is not a date"):
                read(folder)
    for wrong in ("2022-10", "20221018?", ""):
        season.assign(date=wrong).to_parquet(folder / "games.parquet")
        with pytest.raises(HistoryError, match=f"{len(season)} of {len(season)} rows are bad: date"):
            recorded_games(folder)


def test_a_row_that_contradicts_itself_is_refused_whatever_is_left_out(folder: Path, season: pd.DataFrame) -> None:
    wrong = season.copy()
    wrong.loc[9, "home_score_final"] += 1
    pd.concat([odd_rows(season).iloc[1:3], wrong]).to_parquet(folder / "games.parquet")
    with pytest.raises(HistoryError, match=rf"1 of {len(season)} rows are bad: diff_final .* the final scores"):
        recorded_games(folder)
