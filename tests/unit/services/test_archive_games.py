"""Season archives made from simulated games come back as those games."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from models import league
from models.history_frame import GAME_TYPES, POSSESSION_TYPES
from models.score_path import Fault
from services.archive_forms import ArchiveFormatError, Meeting, meetings
from services.archive_games import ArchiveGames, read_live, read_v2, season_games
from services.archives import Archives
from services.history import recorded_games
from tests.unit.services.archive_rows import live_rows, pack, serving, shot_rows, v2_rows, write_csv

REGULAR, PLAYOFFS = "nbastats_2018", "nbastats_po_2018"


@pytest.fixture(scope="module")
def games() -> pd.DataFrame:
    """Twenty games of one season, with overtime and playoffs among them."""
    season = league.simulate_history([2018])
    chosen = [
        season.head(10),
        season[season["n_periods"] > 4].head(5),
        season[season["season_type"] == "playoffs"].head(5),
    ]
    return pd.concat(chosen).drop_duplicates("game_id").reset_index(drop=True)


@pytest.fixture(scope="module")
def plays(games: pd.DataFrame) -> pd.DataFrame:
    return league.simulate_plays(games["game_id"].tolist())


@pytest.fixture(scope="module")
def rows(plays: pd.DataFrame, games: pd.DataFrame) -> pd.DataFrame:
    return v2_rows(plays, games)


@pytest.fixture
def calendar(games: pd.DataFrame, tmp_path: Path) -> dict[str, Meeting]:
    return meetings(write_csv(shot_rows(games), tmp_path / "shotdetail_2018.csv"))


def assert_same_games(archive: ArchiveGames, games: pd.DataFrame, but: str | None = None) -> None:
    expected = games[games["game_id"] != but].assign(score_method="score")
    pd.testing.assert_frame_equal(
        archive.frame.sort_values("game_id", ignore_index=True),
        expected.sort_values("game_id", ignore_index=True).astype(archive.frame.dtypes.to_dict()),
    )


def test_v2_rows_give_the_games_they_were_made_from(
    rows: pd.DataFrame, games: pd.DataFrame, calendar: dict[str, Meeting], tmp_path: Path
) -> None:
    archive = read_v2(write_csv(rows, tmp_path / f"{REGULAR}.csv"), calendar)
    assert (archive.repaired, dict(archive.left_out)) == (0, {})
    assert_same_games(archive, games)


def test_live_rows_give_the_same_games_without_a_calendar(
    plays: pd.DataFrame, games: pd.DataFrame, tmp_path: Path
) -> None:
    archive = read_live(write_csv(live_rows(plays), tmp_path / "cdnnba_2018.csv"))
    assert (archive.repaired, dict(archive.left_out)) == (0, {})
    assert_same_games(archive, games)


def test_a_season_is_downloaded_and_read(plays: pd.DataFrame, games: pd.DataFrame, tmp_path: Path) -> None:
    regular = games["season_type"] == "regular"
    with serving() as shelf:
        for stage, chosen in (("", games[regular]), ("po_", games[~regular])):
            told = plays[plays["game_id"].isin(chosen["game_id"])]
            shelf.put(f"nbastats_{stage}2018", pack(v2_rows(told, chosen), f"nbastats_{stage}2018"))
            shelf.put(f"shotdetail_{stage}2018", pack(shot_rows(chosen), f"shotdetail_{stage}2018"))
        with Archives(f"{shelf.url}/list_data.txt", tmp_path) as public:
            archive = season_games(2018, public.index(), public.fetch)
    assert archive.archives == ("nbastats_2018", "shotdetail_2018", "nbastats_po_2018", "shotdetail_po_2018")
    assert_same_games(archive, games)


def test_the_live_form_serves_seasons_without_v2(plays: pd.DataFrame, games: pd.DataFrame, tmp_path: Path) -> None:
    csv = write_csv(live_rows(plays), tmp_path / "cdnnba_2018.csv")
    archive = season_games(2018, ["cdnnba_2018", "nbastats_2018"], lambda _name: csv)
    assert archive.archives == ("cdnnba_2018",)
    assert_same_games(archive, games)


def test_a_season_without_archives_is_named() -> None:
    with pytest.raises(ArchiveFormatError, match="season 1995 cannot be loaded"):
        season_games(1995, ["nbastats_2018"], lambda name: Path(name))


def test_a_game_without_a_date_is_left_out_and_counted(
    rows: pd.DataFrame, games: pd.DataFrame, calendar: dict[str, Meeting], tmp_path: Path
) -> None:
    missing = games["game_id"].iloc[3]
    del calendar[missing]
    archive = read_v2(write_csv(rows, tmp_path / "rows.csv"), calendar)
    assert dict(archive.left_out) == {Fault.NO_DATE: 1}
    assert_same_games(archive, games, but=missing)


def test_a_corrupt_score_is_repaired_from_the_baskets(
    rows: pd.DataFrame, games: pd.DataFrame, calendar: dict[str, Meeting], tmp_path: Path
) -> None:
    corrupt = rows.copy()
    shown = corrupt.index[(corrupt["GAME_ID"] == int(games["game_id"].iloc[2])) & corrupt["SCORE"].notna()]
    corrupt.loc[shown[20:25], "SCORE"] = "77 - 7"
    archive = read_v2(write_csv(corrupt, tmp_path / "rows.csv"), calendar)
    assert (archive.repaired, dict(archive.left_out)) == (1, {})
    methods = archive.frame.set_index("game_id")["score_method"]
    assert methods[games["game_id"].iloc[2]] == "recon"
    archive.frame["score_method"] = "score"
    assert_same_games(archive, games)


def test_a_corrupt_score_that_cannot_be_repaired_is_left_out_and_counted(
    rows: pd.DataFrame, games: pd.DataFrame, calendar: dict[str, Meeting], tmp_path: Path
) -> None:
    game_id = games["game_id"].iloc[2]
    corrupt = rows.copy()
    of_game = corrupt["GAME_ID"] == int(game_id)
    shown = corrupt.index[of_game & corrupt["SCORE"].notna()]
    corrupt.loc[shown[20], "SCORE"] = "77 - 7"
    basket = corrupt.index[of_game & (corrupt["EVENTMSGTYPE"] == 1)][5]
    archive = read_v2(write_csv(corrupt.drop(index=basket), tmp_path / "rows.csv"), calendar)
    assert dict(archive.left_out) == {Fault.CORRUPT_SCORE: 1}
    assert_same_games(archive, games, but=game_id)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("PCTIMESTRING", "13:00"), Fault.BAD_CLOCK),
        (("PCTIMESTRING", "soon"), Fault.BAD_CLOCK),
        (("GAME_ID", 12290001), Fault.OTHER_COMPETITION),
        (("SCORE", None), Fault.UNFINISHED),
    ],
)
def test_a_game_that_cannot_be_told_is_left_out_with_its_reason(
    rows: pd.DataFrame,
    games: pd.DataFrame,
    calendar: dict[str, Meeting],
    tmp_path: Path,
    change: tuple[str, str | int | None],
    fault: Fault,
) -> None:
    bad = rows.copy()
    bad.loc[bad["GAME_ID"] == int(games["game_id"].iloc[0]), change[0]] = change[1]
    archive = read_v2(write_csv(bad, tmp_path / "rows.csv"), calendar)
    assert dict(archive.left_out) == {fault: 1}
    assert_same_games(archive, games, but=games["game_id"].iloc[0])


def test_former_teams_play_as_their_franchise_of_today(games: pd.DataFrame, tmp_path: Path) -> None:
    shots = shot_rows(games.head(1)).assign(HTM="NJN", VTM="SEA")
    found = meetings(write_csv(shots, tmp_path / "shots.csv"))
    assert (found[games["game_id"].iloc[0]].home, found[games["game_id"].iloc[0]].away) == ("BKN", "OKC")


def test_an_archive_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveFormatError, match="is not an archive of its name"):
        read_v2(write_csv(pd.DataFrame({"a": [1]}), tmp_path / "rows.csv"), {})


def test_an_archive_without_games_gives_an_empty_frame(rows: pd.DataFrame, tmp_path: Path) -> None:
    archive = read_v2(write_csv(rows.head(0), tmp_path / "rows.csv"), {})
    assert archive.frame.empty
    assert {name: str(kind) for name, kind in archive.frame.dtypes.items()} == GAME_TYPES | POSSESSION_TYPES


@pytest.fixture(scope="module")
def known(recorded: Path) -> pd.DataFrame:
    return recorded_games(recorded).set_index("game_id")


def test_real_archive_rows_give_the_recorded_games(recorded: Path, known: pd.DataFrame) -> None:
    for csv in sorted((recorded / "archive").glob("nbastats_game_*.csv")):
        game_id = csv.stem.rpartition("_")[2]
        row = {str(name): value for name, value in known.loc[game_id].to_dict().items()}
        archive = read_v2(csv, {game_id: Meeting(row["date"], row["home"], row["away"])})
        assert dict(archive.left_out) == {}
        assert archive.frame.set_index("game_id").loc[game_id].to_dict() == row


def test_a_real_live_file_gives_the_recorded_game(recorded: Path, known: pd.DataFrame, tmp_path: Path) -> None:
    game = json.loads((recorded / "live" / "playbyplay" / "playbyplay_0022000001.json").read_text())["game"]
    actions = pd.DataFrame(game["actions"]).assign(gameId=int(game["gameId"]))
    archive = read_live(write_csv(actions, tmp_path / "cdnnba_2020.csv"))
    assert archive.frame.set_index("game_id").loc["0022000001"].to_dict() == known.loc["0022000001"].to_dict()
